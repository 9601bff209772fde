"""The games that have a name: what `bayescal games` lists and `bayescal solve NAME` solves.

Importing this file imports no JAX: a game is built when it is asked for.
"""

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescal.errors import InputError

if TYPE_CHECKING:
    from bayescal.environments.base import Environment, OneShot
    from bayescal.environments.normal_form import NormalForm


@dataclass(frozen=True)
class NamedGame:
    """A game in the registry: what it is, where it comes from, and how to build it."""

    title: str
    source: str
    players: int
    actions: str
    build: Callable[..., "Environment"]  # games over time and Cournot's take options
    over_time: bool = False


def _two_by_two(name: str, payoffs: Any, rows: tuple[str, str], columns: tuple[str, str]) -> Callable[[], "OneShot"]:
    def build() -> "OneShot":
        from bayescal.environments.normal_form import NormalForm

        return NormalForm(payoffs, name=name, role_names=("row", "column"), action_labels=(rows, columns))

    return build


# Selten & Chmura (2008), American Economic Review 98:938-966, figure 3: row's payoffs, then column's, each with
# rows (Up, Down) by columns (Left, Right). Two replications in public have typos in games 1 and 3.
_SELTEN_CHMURA = {
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


def _cournot(firms: int) -> Callable[..., "OneShot"]:
    def build(**options: Any) -> "OneShot":
        from bayescal.environments.cournot import Cournot

        return Cournot(firms, **options)

    return build


def _beauty_contest() -> "OneShot":
    from bayescal.environments.beauty_contest import BeautyContest

    return BeautyContest(players=3)


def _volunteers_dilemma() -> "OneShot":
    from bayescal.environments.volunteers_dilemma import VolunteersDilemma

    return VolunteersDilemma()


def _public_goods() -> "OneShot":
    from bayescal.environments.public_goods import PublicGoods

    return PublicGoods()


def _travelers_dilemma() -> "OneShot":
    from bayescal.environments.symmetric import travelers_dilemma

    return travelers_dilemma()


def _request_game() -> "OneShot":
    from bayescal.environments.symmetric import request_game

    return request_game()


def _over_time(module: str, factory: str, **fixed: Any) -> Callable[..., "Environment"]:
    def build(**options: Any) -> "Environment":
        return getattr(import_module(f"bayescal.environments.{module}"), factory)(**(fixed | options))

    return build


_HEADS = (("heads", "tails"), ("heads", "tails"))
NAMED_GAMES: dict[str, NamedGame] = {
    **{
        f"selten-chmura-{number:02d}": NamedGame(
            f"Selten & Chmura 2x2 game {number}",
            "Selten & Chmura (2008), AER 98:938-966",
            2,
            "2 x 2",
            _two_by_two(f"selten-chmura-{number:02d}", payoffs, ("Up", "Down"), ("Left", "Right")),
        )
        for number, payoffs in _SELTEN_CHMURA.items()
    },
    "matching-pennies": NamedGame(
        "Matching pennies, symmetric (dollars)",
        "Goeree & Holt (2001), AER 91:1402-1422",
        2,
        "2 x 2",
        _two_by_two("matching-pennies", (((0.8, 0.4), (0.4, 0.8)), ((0.4, 0.8), (0.8, 0.4))), *_HEADS),
    ),
    "matching-pennies-asymmetric": NamedGame(
        "Matching pennies, one payoff raised to 3.20 (dollars)",
        "Goeree & Holt (2001), AER 91:1402-1422",
        2,
        "2 x 2",
        _two_by_two("matching-pennies-asymmetric", (((3.2, 0.4), (0.4, 0.8)), ((0.4, 0.8), (0.8, 0.4))), *_HEADS),
    ),
    "stag-hunt": NamedGame(
        "Stag hunt", "textbook: 4 together, 3 alone, 1 let down", 2, "2 x 2",
        _two_by_two("stag-hunt", (((4, 1), (3, 3)), ((4, 3), (1, 3))), ("stag", "hare"), ("stag", "hare")),
    ),
    "chicken": NamedGame(
        "Chicken", "Aumann (1974), Journal of Mathematical Economics 1:67-96", 2, "2 x 2",
        _two_by_two("chicken", (((0, 7), (2, 6)), ((0, 2), (7, 6))), ("dare", "yield"), ("dare", "yield")),
    ),
    "travelers-dilemma": NamedGame(
        "Traveller's dilemma, reward 5 cents", "Goeree & Holt (2001), AER 91:1402-1422", 2, "13 claims",
        _travelers_dilemma,
    ),
    "volunteers-dilemma": NamedGame(
        "Volunteer's dilemma, three players", "Goeree, Holt & Smith (2017), GEB 102:303-315", 3, "2",
        _volunteers_dilemma,
    ),
    "public-goods": NamedGame(
        "Public goods, four players, return 0.4", "Isaac & Walker (1988), QJE 103:179-199", 4, "21 contributions",
        _public_goods,
    ),
    "request-11-20": NamedGame(
        "11-20 money request game", "Arad & Rubinstein (2012), AER 102:3561-3573", 2, "10 requests", _request_game
    ),
    "cournot-2": NamedGame(
        "Cournot duopoly", "Huck, Normann & Oechssler (1999), Economic Journal 109:C80-C95", 2, "101 quantities",
        _cournot(2),
    ),
    "cournot-3": NamedGame(
        "Cournot triopoly", "Huck, Normann & Oechssler (2004), JEBO 53:435-446", 3, "101 quantities", _cournot(3)
    ),
    "beauty-contest": NamedGame(
        "p-beauty contest, p = 2/3, distance payoff", "Nagel (1995), AER 85:1313-1326", 3, "101 guesses",
        _beauty_contest,
    ),
    "newsvendor": NamedGame(
        "Newsvendor, 30 rounds", "Schweitzer & Cachon (2000), Management Science 46:404-420", 1, "101 orders",
        _over_time("newsvendor", "Newsvendor"), True,
    ),
    "beer-game": NamedGame(
        "Beer game, four echelons, 36 weeks", "Sterman (1989), Management Science 35:321-339", 4, "orders",
        _over_time("supply_chain", "beer_game"), True,
    ),
    "supply-chain": NamedGame(
        "Supply chain of any length (echelons=2)", "Sterman (1989), Management Science 35:321-339", 2, "orders",
        _over_time("supply_chain", "SupplyChain", echelons=2, name="supply-chain"), True,
    ),
    "capacity-allocation": NamedGame(
        "One supplier's capacity, proportionally allocated",
        "Cachon & Lariviere (1999), Management Science 45:1091-1108",
        2,
        "orders",
        _over_time("capacity_allocation", "CapacityAllocation", name="capacity-allocation"),
        True,
    ),
    **{
        f"cobweb-{treatment}": NamedGame(
            f"Cobweb market of six forecasters, {treatment.replace('-', ' ')} (kappa = {kappa:g})",
            "Hommes, Sonnemans, Tuinstra & van de Velden (2007), Macroeconomic Dynamics 11(S1):8-33", 6, "forecasts",
            _over_time("cobweb", "Cobweb", kappa=kappa, name=f"cobweb-{treatment}"), True,
        )
        for treatment, kappa in (("stable", 0.22), ("unstable", 0.5), ("strongly-unstable", 2.0))
    },
    "cournot-repeated": NamedGame(
        "Cournot duopoly, 25 rounds", "Huck, Normann & Oechssler (1999), Economic Journal 109:C80-C95", 2, "quantities",
        _over_time("cournot_repeated", "RepeatedCournot"), True,
    ),
    "bus-engine": NamedGame(
        "Replacing bus engines", "Rust (1987), Econometrica 55:999-1033", 1, "2", _over_time("bus_engine", "BusEngine"),
        True,
    ),
    "dynamic-cournot": NamedGame(
        "Cournot duopoly in a good or bad market", "made up: a Markov game to check solvers with", 2, "6 x 6",
        _over_time("markov", "dynamic_cournot"), True,
    ),
    "repeated-dilemma": NamedGame(
        "Prisoner's dilemma that goes on with probability 3/4", "Dal Bo & Frechette (2011), AER 101:411-429", 2,
        "2 x 2", _over_time("repeated_dilemma", "repeated_dilemma"), True,
    ),
    "kuhn-poker": NamedGame(
        "Kuhn's poker", "Kuhn (1950), Contributions to the Theory of Games I", 2, "2 x 2",
        _over_time("extensive", "kuhn_poker"), True,
    ),
    "centipede-4": NamedGame(
        "Centipede, four moves", "McKelvey & Palfrey (1992), Econometrica 60:803-836", 2, "2 x 2",
        _over_time("extensive", "centipede"), True,
    ),
}  # fmt: skip


def game_names() -> tuple[str, ...]:
    """The games that have a name.

    Example:
        >>> import bayescal as bc
        >>> [name for name in bc.game_names() if "cobweb" in name]
        ['cobweb-stable', 'cobweb-unstable', 'cobweb-strongly-unstable']
    """
    return tuple(NAMED_GAMES)


def get_game(name: str, **options: Any) -> Any:
    """The game of this name; an unknown name is answered with the nearest ones.

    Args:
        options: of a game over time, as its class takes them: `get_game("bus-engine", discount=0.0)`.

    Example:
        >>> import bayescal as bc
        >>> bc.get_game("cournot-3").players
        3
        >>> bc.get_game("bus-engine", discount=0.0).discount
        0.0
    """
    if name not in NAMED_GAMES:
        close = difflib.get_close_matches(name, NAMED_GAMES, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "`bayescal games` lists them."
        raise InputError(f"There is no game called {name!r}: {hint}")
    build = NAMED_GAMES[name].build
    try:
        return build(**options)
    except TypeError as error:
        if not options or "argument" not in str(error):
            raise
        raise InputError(f"{name} cannot be built with {', '.join(options)}: {error}.") from None


def load_game_file(path: str | Path) -> "NormalForm":
    """A game from a JSON file: `{"payoffs": payoffs[player][a1][a2]…}`, and optionally "name", "roles", "actions".

    Example:
        >>> import bayescal as bc
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "chicken.json"
        ...     _ = path.write_text('{"payoffs": [[[0, 7], [2, 6]], [[0, 2], [7, 6]]], "roles": ["one", "other"]}')
        ...     game = bc.load_game_file(path)
        >>> game.name, game.role_names
        ('chicken', ('one', 'other'))
    """
    path = Path(path)
    shape = 'a game file is {"payoffs": payoffs[player][a1][a2]…}'
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; {shape}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {shape}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is not JSON ({error}); {shape}.") from None
    if not isinstance(content, dict) or "payoffs" not in content:
        found = f"the keys {sorted(content)}" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise InputError(f'{path}: found {found} but no "payoffs"; {shape}.')
    from bayescal.environments.normal_form import NormalForm, check_payoffs

    return NormalForm(
        check_payoffs(content["payoffs"], str(path)),
        name=str(content.get("name", path.stem)),
        role_names=content.get("roles"),
        action_labels=content.get("actions"),
    )
