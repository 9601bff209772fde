"""`bayescal simulate`: people who decide as a policy says, as a table."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayescal.cli.calibrate import read_options
from bayescal.cli.solve import find_game, read_costs, read_json
from bayescal.environments.named import GAMES, get_game
from bayescal.errors import InputError
from bayescal.files import write_atomically

if TYPE_CHECKING:
    from bayescal.policies.base import Policy


def simulate_game(
    game: str,
    cost: str | None,
    phi: str | None,
    psi: Iterable[str],
    settings: Iterable[str],
    options: Sequence[str],
    prior: str | None,
    policy: str | None,
    groups: int,
    rounds: int | None,
    seed: int,
    out: str | None,
) -> None:
    """Simulate and write a CSV table to `out`, or to standard output."""
    costs = None if cost is None else read_costs(cost)
    if groups < 1 or (rounds is not None and rounds < 1):
        raise InputError(f"--groups is {groups}, --rounds is {rounds}: both must be whole numbers of at least 1.")
    if seed < 0:
        raise InputError(f"--seed is {seed}: give a whole number from 0.")
    given = {
        "phi": read_settings("--phi", [phi] if phi else []),
        "psi": read_settings("--psi", psi),
        "params": read_settings("--set", settings),
    }
    from bayescal.simulation import simulate

    playing, words = find_policy(game, policy, prior, read_options(options, "--option"))
    own = costs[0] if costs is not None and len(costs) == 1 else costs
    table = simulate(playing, cost=own, groups=groups, rounds=rounds, seed=seed, **given)
    text = table.to_csv(index=False)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomically(Path(out), text.encode())
    click.echo(
        f"{len(table)} decisions of {table['participant'].nunique()} people in {groups} group{'s'[: groups > 1]} of "
        f"{playing.environment.name}, {words}, seed {seed}" + (f": {out}" if out else ""),
        err=True,
    )


def find_policy(
    game: str, policy: str | None, prior: str | None, options: Mapping[str, Any] | None = None
) -> "tuple[Policy, str]":
    """(the policy in the game, which one it is in words).

    One-shot games are solved. A game over time is played by the trained model of its name, and solved where there is
    none; `policy` is a model that takes the place of either. `options` are of a named game.
    """
    from bayescal.environments.base import OneShot
    from bayescal.policies.exact import ExactPolicy
    from bayescal.priors.empirical import prior_from_rows
    from bayescal.priors.uniform import Uniform
    from bayescal.training.recipe import find_model, load_model, model_names, read_recipe

    environment, named = None, game in GAMES or Path(game).suffix == ".json"
    if options and game not in GAMES:
        raise InputError(f"--option was given, but {game} is no game of `bayescal games`: only those have options.")
    if options:
        environment = get_game(game, **options)
    elif named:
        environment = find_game(game)
    elif game not in model_names() and not Path(game).is_dir():
        raise InputError(_unknown(game, model_names()))
    elif policy is not None:
        environment = read_recipe(find_model(game)).skeleton.environment
    if policy is None and environment is not None and (isinstance(environment, OneShot) or not _is_trained(game)):
        belief = Uniform() if prior is None else prior_from_rows(read_json(prior), environment, prior)
        return ExactPolicy(environment, belief), "solved exactly"
    if prior is not None:
        raise InputError("--prior was given, but a learned policy has a prior of its own: change its --psi instead.")
    learned = load_model(policy or game)
    if policy is not None and environment is not None:
        learned = learned.play(environment, learned.population)
    return learned, f"played by the learned policy {policy or game}"


def _is_trained(game: str) -> bool:
    from bayescal.training.recipe import list_models

    return any(model["name"] == game and model["trained"] for model in list_models())


def _unknown(game: str, models: Iterable[str]) -> str:
    import difflib

    names = [*GAMES, *models]
    close = difflib.get_close_matches(game, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "`bayescal games` and `bayescal models` list them."
    return f"There is no game or model called {game!r}: {hint}"


def read_settings(option: str, texts: Iterable[str]) -> dict[str, Any]:
    """name=value, several separated by commas or by repeating the option."""
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
