"""`bayescal data template`: a dataset.toml to start with, and simulated decisions for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayescal.cli.games import registered_name
from bayescal.environments.named import GAMES
from bayescal.errors import InputError
from bayescal.results.commit import put_files, repair

if TYPE_CHECKING:
    from bayescal.environments.base import Environment
    from bayescal.policies.base import Policy
    from bayescal.study.template import Layout

SHOWN = 6  # lines of the table that are printed
GROUPS, PEOPLE, ROUNDS = 4, 8, 20  # of the simulated table; PEOPLE in games with one player


def write_template(game: str, wide: "Layout | None", out: str | None, trust: bool) -> None:
    """Print a template, or write its two files into a folder."""
    if out is not None:
        _check_free(Path(out))
    from bayescal.study.template import FILE, TABLE, make_template

    game = registered_name(game, trust)
    named = GAMES[game]
    environment = named.build(**named.template)
    from bayescal.policies.exact import ExactPolicy

    learned = _learned(game, environment)
    policy, solvable = learned, True
    if policy is None:
        try:
            policy = ExactPolicy(environment)
        except InputError:
            policy, solvable = _by_chance(environment), False
    template = make_template(
        game,
        environment,
        _play(policy),
        title=named.title,
        options=named.template,
        policy=_model_name(game) if learned is not None else None,
        private=getattr(learned, "population", None) is not None,
        solvable=solvable,
        wide=wide,
    )
    if out is None:
        lines = template.csv.splitlines()
        click.echo(template.toml)
        click.echo(f"# {TABLE} ({len(lines) - 1} lines below the header; --out FOLDER writes both files):")
        for line in lines[:SHOWN]:
            click.echo(f"# {line}")
        return
    folder = Path(out)
    put_files(folder, {TABLE: template.csv.encode(), FILE: template.toml.encode()}, "data template")
    click.echo(f"{folder / FILE} and {folder / TABLE}: try `bayescal data validate {out}`, then put in your own table.")


def _check_free(folder: Path) -> None:
    from bayescal.study.template import FILE, TABLE

    repair(folder)
    taken = [str(folder / name) for name in (FILE, TABLE) if (folder / name).exists()]
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
    box = dict(policy.domain.intervals) if hasattr(policy, "domain") else {}
    if getattr(policy, "population", None) is not None:
        given["phi"] = {n: (box[f"phi.{n}"].low + box[f"phi.{n}"].high) / 2 for n in policy.population.parameters}
    elif "cost" in box:
        given["cost"] = float(np.sqrt(box["cost"].low * box["cost"].high))
    else:
        given["cost"] = 0.05 * float(environment.payoff_scale(environment.params))
    rounds = min(environment.horizon, ROUNDS) if environment.over_time else ROUNDS
    groups = PEOPLE if environment.players == 1 else GROUPS
    return simulate(policy, groups=groups, rounds=rounds, seed=1, **given)
