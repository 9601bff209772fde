"""`bayescal data template`: a dataset.toml to start with, and simulated decisions for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayescal.cli.games import game_file, registered_name
from bayescal.environments.game_files import load_game_file
from bayescal.environments.named import GAMES
from bayescal.errors import InputError
from bayescal.results.commit import put_files, repair

if TYPE_CHECKING:
    from bayescal.environments.base import Environment
    from bayescal.policies.base import Policy
    from bayescal.study.template import Layout

SHOWN = 6  # lines of the table that are printed
GROUPS, PEOPLE, ROUNDS = 4, 8, 20  # of the simulated table; PEOPLE in games with one player
PLAYS, TREMBLING = 20, 0.5  # of a tree: how many, and a cost as a share of payoffs at which people reach most of it


def write_template(game: str, wide: "Layout | None", out: str | None, trust: bool) -> None:
    """Print a template, or write its two files into a folder."""
    from bayescal.study.template import FILE, TABLE, make_template

    file = game_file(game)
    if out is not None:
        _check_free(Path(out), [FILE, TABLE, *([] if file is None else [file.name])])
    learned, options = None, {}
    if file is not None:
        environment = load_game_file(file)
        name = title = environment.name
    else:
        name = registered_name(game, trust)
        named = GAMES[name]
        environment, title, options = named.build(**named.template), named.title, named.template
        learned = _learned(name, environment)
    from bayescal.policies.exact import ExactPolicy

    policy, solvable = learned, True
    if policy is None:
        try:
            policy = ExactPolicy(environment)
        except InputError:
            policy, solvable = _by_chance(environment), False
    template = make_template(
        name,
        environment,
        _play(policy),
        title=title,
        options=options,
        policy=_model_name(name) if learned is not None else None,
        private=getattr(learned, "population", None) is not None,
        solvable=solvable,
        wide=wide,
        file=None if file is None else file.name,
    )
    if out is None:
        lines = template.csv.splitlines()
        click.echo(template.toml)
        click.echo(f"# {TABLE} ({len(lines) - 1} lines below the header; --out FOLDER writes both files):")
        for line in lines[:SHOWN]:
            click.echo(f"# {line}")
        return
    folder = Path(out)
    files = {TABLE: template.csv.encode(), FILE: template.toml.encode()}
    if file is not None:
        files[file.name] = file.read_bytes()
    put_files(folder, files, "data template")
    click.echo(f"{folder / FILE} and {folder / TABLE}: try `bayescal data validate {out}`, then put in your own table.")


def _check_free(folder: Path, names: Sequence[str]) -> None:
    repair(folder)
    taken = [str(folder / name) for name in names if (folder / name).exists()]
    if taken:
        raise InputError(f"--out: {' and '.join(taken)} would be overwritten; give another folder.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file: give a folder.")


def _model_name(game: str) -> str | None:
    """The model of the game's name, or of its family's (cobweb for cobweb-stable)."""
    from bayescal.training.recipe import list_models

    trained = [model["name"] for model in list_models() if model["trained"]]
    return next((name for name in (game, game.split("-")[0]) if name in trained), None)


def _learned(game: str, environment: "Environment") -> "Policy | None":
    """The learned policy that answers for the game as it is built."""
    name = _model_name(game)
    if name is None:
        return None
    from bayescal.training.recipe import load_model

    policy = load_model(name)
    try:
        return policy.play(environment, policy.population)
    except InputError:
        return None


def _by_chance(environment: "Environment") -> "Policy":
    """Everybody chooses every action alike: for games that nothing here plays."""
    from bayescal._types import Actions, Costs, Parameters
    from bayescal.environments.base import Observation, Params
    from bayescal.policies.base import Policy, padded_log_prior
    from bayescal.priors.uniform import Uniform

    class ByChance(Policy):
        environment: Any

        def log_prob(
            self,
            observation: Observation,
            cost: Costs | None,
            phi: Parameters | None,
            psi: Parameters | None,
            params: Params,
        ) -> Actions:
            role, seen = observation
            return padded_log_prior(self.environment, Uniform(), role, None, seen)

    return ByChance(environment)


def _play(policy: Any) -> Any:
    """A small table of play, at costs in the middle of what the policy answers for."""
    import numpy as np

    from bayescal.simulation import simulate

    environment = policy.environment
    given: dict[str, Any] = {}
    tree = any(environment.named_situations(r) for r in range(environment.roles))
    box = dict(policy.domain.intervals) if hasattr(policy, "domain") else {}
    if getattr(policy, "population", None) is not None:
        given["phi"] = {n: (box[f"phi.{n}"].low + box[f"phi.{n}"].high) / 2 for n in policy.population.parameters}
    elif "cost" in box:
        given["cost"] = float(np.sqrt(box["cost"].low * box["cost"].high))
    else:
        small = TREMBLING if tree else 0.05
        given["cost"] = small * float(environment.payoff_scale(environment.params))
    rounds = min(environment.horizon, ROUNDS) if environment.over_time else ROUNDS
    groups = PEOPLE if environment.players == 1 else GROUPS
    if tree:
        groups = PLAYS
    return simulate(policy, groups=groups, rounds=rounds, seed=1, **given)
