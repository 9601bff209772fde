"""`bayescal simulate`: decisions of people who play a policy, as a table."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bayescal.cli.asked import read_options
from bayescal.cli.games import find_game, registered_name
from bayescal.cli.solve import read_costs, read_json
from bayescal.environments.game_files import SUFFIXES
from bayescal.environments.named import GAMES
from bayescal.errors import InputError
from bayescal.files import write_atomically
from bayescal.plain import Options

if TYPE_CHECKING:
    from bayescal.environments.base import Environment
    from bayescal.policies.base import Policy


@dataclass(frozen=True)
class Simulation:
    """What `bayescal simulate` is asked for: a field for each of its options."""

    game: str
    cost: str | None
    phi: str | None
    psi: tuple[str, ...]
    settings: tuple[str, ...]
    options: tuple[str, ...]
    prior: str | None
    policy: str | None
    groups: int
    rounds: int | None
    seed: int
    out: str | None
    trust: bool


class Player(NamedTuple):
    """The policy that plays, and which one it is, in words."""

    policy: "Policy"
    words: str


def simulate_game(asked: Simulation) -> None:
    """Simulate and write a CSV table to a file, or to standard output."""
    costs = None if asked.cost is None else read_costs(asked.cost)
    if asked.groups < 1 or (asked.rounds is not None and asked.rounds < 1):
        raise InputError(
            f"--groups is {asked.groups}, --rounds is {asked.rounds}: both must be whole numbers of at least 1."
        )
    if asked.seed < 0:
        raise InputError(f"--seed is {asked.seed}: give a whole number from 0.")
    given = {
        "phi": read_settings("--phi", [asked.phi] if asked.phi else []),
        "psi": read_settings("--psi", asked.psi),
        "params": read_settings("--set", asked.settings),
    }
    from bayescal.simulation import simulate

    game = registered_name(asked.game, asked.trust)
    player = find_player(game, asked.policy, asked.prior, read_options(asked.options, "--option"), trust=asked.trust)
    cost = costs[0] if costs is not None and len(costs) == 1 else costs
    table = simulate(player.policy, cost=cost, groups=asked.groups, rounds=asked.rounds, seed=asked.seed, **given)
    text = table.to_csv(index=False)
    if asked.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(Path(asked.out), text.encode())
    click.echo(
        f"{len(table)} decisions of {table['participant'].nunique()} people in {asked.groups} "
        f"group{'s'[: asked.groups > 1]} of {player.policy.environment.name}, {player.words}, seed {asked.seed}"
        + (f": {asked.out}" if asked.out else ""),
        err=True,
    )


def find_player(
    game: str, policy: str | None, prior: str | None, options: Options | None = None, *, trust: bool = False
) -> Player:
    """The policy that plays a game.

    One-shot games are solved. A game over time is played by the trained model of its name, and solved if there is
    none. `policy` is a model that takes the place of either. `options` are those of a named game.
    """
    from bayescal.environments.base import OneShot
    from bayescal.policies.exact import ExactPolicy
    from bayescal.priors.empirical import prior_from_rows
    from bayescal.priors.uniform import Uniform
    from bayescal.training.recipe import load_model

    environment = _environment(game, options or {}, needed=policy is not None, trust=trust)
    if policy is None and environment is not None and (isinstance(environment, OneShot) or not _is_trained(game)):
        habit = Uniform() if prior is None else prior_from_rows(read_json(prior), environment, prior)
        return Player(ExactPolicy(environment, habit), "solved exactly")
    if prior is not None:
        raise InputError("--prior was given, but a learned policy has a prior of its own: change its --psi instead.")
    learned = load_model(policy or game, trust=trust)
    if policy is not None and environment is not None:
        learned = learned.play(environment, learned.population)
    return Player(learned, f"played by the learned policy {policy or game}")


def _environment(game: str, options: Options, *, needed: bool, trust: bool) -> "Environment | None":
    """A named game or the game of a file; of a model, its game if it is needed, else None."""
    from bayescal.training.recipe import find_model, model_names, read_recipe, refuse_program

    if game in GAMES or Path(game).suffix in SUFFIXES:
        return find_game(game, **options)
    if options:
        raise InputError(f"--option was given, but {game} is no game of `bayescal games`: only those have options.")
    if game not in model_names() and not Path(game).is_dir():
        raise InputError(_unknown(game, model_names()))
    refuse_program(game, find_model(game), trust)
    return read_recipe(find_model(game)).skeleton.environment if needed else None


def _is_trained(game: str) -> bool:
    from bayescal.training.recipe import list_models

    return any(model["name"] == game and model["trained"] for model in list_models())


def _unknown(game: str, models: Iterable[str]) -> str:
    import difflib

    names = [*GAMES, *models]
    close = difflib.get_close_matches(game, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "`bayescal games` and `bayescal models` list them."
    return f"There is no game or model called {game!r}: {hint}"


def read_settings(option: str, texts: Iterable[str]) -> dict[str, float]:
    """name=value; several are separated by commas, or the option is repeated."""
    out = {}
    for part in (p for text in texts for p in text.split(",")):
        name, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not name.strip() or not math.isfinite(number):
            raise InputError(f"{option} has {part!r}, which is not a name and a number: give {option} name=1.5.")
        if name.strip() in out:
            raise InputError(f"{option} gives {name.strip()} twice: give it once.")
        out[name.strip()] = number
    return out
