"""The games that have a name: what `bayescal games` lists and `bayescal solve NAME` solves.

This file imports no JAX: a game is imported and built when it is asked for. One's own game is registered by

    GAMES.register("my-game", NamedGame("What it is", "Source", 2, "17 efforts", MyGame))

and then has a name in Python, in dataset.toml and on the command line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayescal.environments.two_by_two import ACTIONS, SELTEN_CHMURA, TEXTBOOK
from bayescal.errors import InputError
from bayescal.registry import Registry

if TYPE_CHECKING:
    from bayescal.environments.base import Environment


NORMAL_FORM = "bayescal.environments.normal_form:NormalForm"  # the factory of a table of payoffs


@dataclass(frozen=True)
class NamedGame:
    """A game in the registry: what it is, where it comes from, and how to build it.

    Attributes:
        players, actions: as `bayescal games` shows them.
        factory: the class or function that builds the game, or where it is: "module:attribute".
        options: that it is called with.
        small: further options of a version with few actions, on which the tests check the laws of games by brute
            force.
        template: options that `bayescal data template` writes, such as the grid of a learned policy.
        most: the largest values of options, where they are not the usual ones (see limits.py).

    Example:
        >>> from bayescal.environments.named import NamedGame
        >>> pair = NamedGame("Two firms", "textbook", 2, "101 quantities", "bayescal:Cournot", {"firms": 2})
        >>> pair.build().players, pair.build(firms=5).players
        (2, 5)
    """

    title: str
    source: str
    players: int
    actions: str
    factory: "str | Callable[..., Environment]"
    options: Mapping[str, Any] = field(default_factory=dict)
    over_time: bool = False
    small: Mapping[str, Any] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)

    def build(self, **options: Any) -> "Environment":
        """The game; `options` take precedence over its own.

        Raises:
            InputError: the game would be too large.
        """
        if options:
            from bayescal.environments.limits import check_options

            check_options(str(self.options.get("name", self.title)), options, self.most)
        factory = self.factory
        if isinstance(factory, str):
            module, _, attribute = factory.partition(":")
            factory = getattr(import_module(module), attribute)
        return factory(**{**self.options, **options})

    def example(self) -> "Environment":
        """The small version."""
        return self.build(**self.small)


def _two_by_two(name: str, title: str, source: str, payoffs: Any, actions: Any) -> NamedGame:
    options = {"payoffs": payoffs, "name": name, "role_names": ("row", "column"), "action_labels": actions}
    return NamedGame(title, source, 2, "2 x 2", NORMAL_FORM, options)


def _at(place: str) -> str:
    return f"bayescal.environments.{place}"


_HUCK_1999 = "Huck, Normann & Oechssler (1999), Economic Journal 109:C80-C95"
_HUCK_2004 = "Huck, Normann & Oechssler (2004), JEBO 53:435-446"
_STERMAN = "Sterman (1989), Management Science 35:321-339"
_HOMMES = "Hommes, Sonnemans, Tuinstra & van de Velden (2007), Macroeconomic Dynamics 11(S1):8-33"
_POLICY_GRID = {"quantities": list(range(0, 61, 2))}  # of the learned policy `cournot`

GAMES: Registry[NamedGame] = Registry("game", {})
for _number, _payoffs in SELTEN_CHMURA.items():
    _name = f"selten-chmura-{_number:02d}"
    _title, _source = f"Selten & Chmura 2x2 game {_number}", "Selten & Chmura (2008), AER 98:938-966"
    GAMES.register(_name, _two_by_two(_name, _title, _source, _payoffs, ACTIONS))
for _name, (_title, _source, _payoffs, _actions) in TEXTBOOK.items():
    GAMES.register(_name, _two_by_two(_name, _title, _source, _payoffs, _actions))

_ONE_SHOT = {
    "travelers-dilemma": NamedGame(
        "Traveller's dilemma, reward 5 cents", "Goeree & Holt (2001), AER 91:1402-1422", 2, "13 claims",
        _at("symmetric:travelers_dilemma"),
    ),
    "volunteers-dilemma": NamedGame(
        "Volunteer's dilemma, three players", "Goeree, Holt & Smith (2017), GEB 102:303-315", 3, "2",
        _at("volunteers_dilemma:VolunteersDilemma"),
    ),
    "public-goods": NamedGame(
        "Public goods, four players, return 0.4", "Isaac & Walker (1988), QJE 103:179-199", 4, "21 contributions",
        _at("public_goods:PublicGoods"), small={"contributions": (0, 5, 10, 20)},
    ),
    "request-11-20": NamedGame(
        "11-20 money request game", "Arad & Rubinstein (2012), AER 102:3561-3573", 2, "10 requests",
        _at("symmetric:request_game"),
    ),
    "cournot-2": NamedGame(
        "Cournot duopoly", _HUCK_1999, 2, "101 quantities", _at("cournot:Cournot"), {"firms": 2},
        small={"quantities": range(0, 61, 10)}, template=_POLICY_GRID,
    ),
    "cournot-3": NamedGame(
        "Cournot triopoly", _HUCK_2004, 3, "101 quantities", _at("cournot:Cournot"), {"firms": 3},
        small={"quantities": range(10, 61, 10)}, template=_POLICY_GRID,
    ),
    "beauty-contest": NamedGame(
        "p-beauty contest, p = 2/3, distance payoff", "Nagel (1995), AER 85:1313-1326", 3, "101 guesses",
        _at("beauty_contest:BeautyContest"), {"players": 3}, small={"guesses": range(0, 101, 20)},
    ),
}  # fmt: skip

_OVER_TIME = {
    "newsvendor": NamedGame(
        "Newsvendor, 30 rounds", "Schweitzer & Cachon (2000), Management Science 46:404-420", 1, "101 orders",
        _at("newsvendor:Newsvendor"), over_time=True, small={"orders": range(0, 101, 10), "rounds": 6},
    ),
    "beer-game": NamedGame(
        "Beer game, four echelons, 36 weeks", _STERMAN, 4, "orders", _at("supply_chain:beer_game"), over_time=True,
        small={"weeks": 9},
    ),
    "supply-chain": NamedGame(
        "Supply chain of any length (echelons=2)", _STERMAN, 2, "orders", _at("supply_chain:SupplyChain"),
        {"echelons": 2, "name": "supply-chain"}, over_time=True, small={"weeks": 9},
    ),
    "capacity-allocation": NamedGame(
        "One supplier's capacity, proportionally allocated",
        "Cachon & Lariviere (1999), Management Science 45:1091-1108", 2, "orders",
        _at("capacity_allocation:CapacityAllocation"), {"name": "capacity-allocation"}, over_time=True,
        small={"rounds": 8},
    ),
    **{
        f"cobweb-{treatment}": NamedGame(
            f"Cobweb market of six forecasters, {treatment.replace('-', ' ')} (kappa = {kappa:g})", _HOMMES, 6,
            "forecasts", _at("cobweb:Cobweb"), {"kappa": kappa, "name": f"cobweb-{treatment}"}, over_time=True,
            small={"rounds": 8},
        )
        for treatment, kappa in (("stable", 0.22), ("unstable", 0.5), ("strongly-unstable", 2.0))
    },
    "cournot-repeated": NamedGame(
        "Cournot duopoly, 25 rounds", _HUCK_1999, 2, "quantities", _at("cournot_repeated:RepeatedCournot"),
        over_time=True, small={"rounds": 8},
    ),
    "public-goods-repeated": NamedGame(
        "Public goods: what one gives to a common project, 10 rounds with the same three others",
        "Fehr & Gaechter (2000), AER 90:980-994", 4, "21 contributions", _at("repeated:public_goods_repeated"),
        over_time=True, small={"endowment": 4.0, "rounds": 4},
    ),
    "bus-engine": NamedGame(
        "Replacing bus engines", "Rust (1987), Econometrica 55:999-1033", 1, "2", _at("bus_engine:BusEngine"),
        over_time=True, small={"bins": 8, "horizon": 12},
    ),
    "dynamic-cournot": NamedGame(
        "Cournot duopoly in a good or bad market", "made up: a Markov game to check solvers with", 2, "6 x 6",
        _at("markov:dynamic_cournot"), over_time=True,
    ),
    "repeated-dilemma": NamedGame(
        "Prisoner's dilemma that goes on with probability 3/4", "Dal Bo & Frechette (2011), AER 101:411-429", 2,
        "2 x 2", _at("repeated_dilemma:repeated_dilemma"), over_time=True,
    ),
    "kuhn-poker": NamedGame(
        "Kuhn's poker", "Kuhn (1950), Contributions to the Theory of Games I", 2, "2 x 2",
        _at("extensive:kuhn_poker"), over_time=True,
    ),
    "centipede-4": NamedGame(
        "Centipede, four moves", "McKelvey & Palfrey (1992), Econometrica 60:803-836", 2, "2 x 2",
        _at("extensive:centipede"), over_time=True,
    ),
}  # fmt: skip
for _name, _game in {**_ONE_SHOT, **_OVER_TIME}.items():
    GAMES.register(_name, _game)


def game_names() -> tuple[str, ...]:
    """The games that have a name.

    Example:
        >>> import bayescal as bc
        >>> [name for name in bc.game_names() if "cobweb" in name]
        ['cobweb-stable', 'cobweb-unstable', 'cobweb-strongly-unstable']
    """
    return tuple(GAMES)


def get_game(name: str, /, **options: Any) -> Any:
    """The game of this name; the error for an unknown name suggests the nearest ones.

    Args:
        options: of the game's class: `get_game("bus-engine", discount=0.0)`.

    Example:
        >>> import bayescal as bc
        >>> bc.get_game("cournot-3").players
        3
        >>> bc.get_game("bus-engine", discount=0.0).discount
        0.0
    """
    game = GAMES[name]
    if not options:
        return game.build()
    try:
        return game.build(**options)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a game makes of options of a wrong kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name} cannot be built with {', '.join(options)}: {reason.rstrip('.')}.") from None
