"""Games of two players with two actions each, as data; this file imports no JAX."""

ACTIONS = (("Up", "Down"), ("Left", "Right"))

# Selten & Chmura (2008), American Economic Review 98:938-966, figure 3: row's payoffs, then column's, each with
# rows (Up, Down) by columns (Left, Right). Two public replications have typos in games 1 and 3.
SELTEN_CHMURA = {
    1: (((10, 0), (9, 10)), ((8, 18), (9, 8))),
    2: (((9, 0), (6, 8)), ((4, 13), (7, 5))),
    3: (((8, 0), (7, 10)), ((6, 14), (7, 4))),
    4: (((7, 0), (5, 9)), ((4, 11), (6, 2))),
    5: (((7, 0), (4, 8)), ((2, 9), (5, 1))),
    6: (((7, 1), (3, 8)), ((1, 7), (5, 0))),
    7: (((10, 4), (9, 14)), ((12, 22), (9, 8))),
    8: (((9, 3), (6, 11)), ((7, 16), (7, 5))),
    9: (((8, 3), (7, 13)), ((9, 17), (7, 4))),
    10: (((7, 2), (5, 11)), ((6, 13), (6, 2))),
    11: (((7, 2), (4, 10)), ((4, 11), (5, 1))),
    12: (((7, 3), (3, 10)), ((3, 9), (5, 0))),
}

_GOEREE_HOLT = "Goeree & Holt (2001), AER 91:1402-1422"
_COINS = (("heads", "tails"), ("heads", "tails"))
_HUNTERS = (("stag", "hare"), ("stag", "hare"))
_DRIVERS = (("dare", "yield"), ("dare", "yield"))

# By name: title, source, payoffs, actions.
TEXTBOOK = {
    "matching-pennies": (
        "Matching pennies, symmetric (dollars)", _GOEREE_HOLT, (((0.8, 0.4), (0.4, 0.8)), ((0.4, 0.8), (0.8, 0.4))),
        _COINS,
    ),
    "matching-pennies-asymmetric": (
        "Matching pennies, one payoff raised to 3.20 (dollars)", _GOEREE_HOLT,
        (((3.2, 0.4), (0.4, 0.8)), ((0.4, 0.8), (0.8, 0.4))), _COINS,
    ),
    "stag-hunt": (
        "Stag hunt", "textbook: 4 together, 3 alone, 1 let down", (((4, 1), (3, 3)), ((4, 3), (1, 3))), _HUNTERS,
    ),
    "chicken": (
        "Chicken", "Aumann (1974), Journal of Mathematical Economics 1:67-96", (((0, 7), (2, 6)), ((0, 2), (7, 6))),
        _DRIVERS,
    ),
}  # fmt: skip
