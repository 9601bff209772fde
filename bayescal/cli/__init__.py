"""The command line. Nothing heavy is imported here: `--help` answers at once."""

import sys
from typing import Any

import click

from bayescal.cli.data import as_json, data
from bayescal.errors import InputError

# Options of several commands
_chains = click.option("--chains", type=int, default=4, show_default=True, help="Independent chains.")
_seed = click.option("--seed", type=int, default=0, show_default=True, help="Everything random follows from it.")
_data = click.option("--data", help="A table (.csv, .csv.gz or .parquet) in place of the study's own.")
_where = click.option("--where", help="Which of its rows: 'group in [1, 2]'.")
_set = click.option("--set", "options", multiple=True, metavar="NAME=VALUE", help="An option of the game: discount=0.")
_strict = click.option("--strict", is_flag=True, help="Exit status 1 where something fails.")
_policy = click.option("--policy", help="A learned policy (see `bayescal models`) as the likelihood, or 'exact'.")


class _Group(click.Group):
    """Bad input is one sentence on standard error and exit code 2, never a traceback."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(f"bayescal: {error}", err=True)
            sys.exit(2)
        except OSError as error:
            if error.filename is None:  # no file to name: a closed pipe, which click knows how to end
                raise
            click.echo(f"bayescal: {error.filename}: {error.strerror}; give another path.", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("bayescal: interrupted.", err=True)
            sys.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """What information costs people, inferred from their decisions in economic games.

    \b
    Start with:  bayescal calibrate selten-chmura
    """


main.add_command(data)


@main.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    click.echo(installed("bayescal"))


@main.command()
@as_json
def games(as_json: bool) -> None:
    """List the games that have a name."""
    from bayescal.cli.games import list_games

    list_games(as_json)


@main.command()
@click.argument("game")
@click.option("--cost", help="Cost of information in payoff units per nat: one number for all, or one per player.")
@click.option("--types", help="Private costs: [[cost, probability], …] as JSON.")
@click.option("--prior", help="JSON file of prior probabilities, by player and action (default: uniform).")
@click.option("--start", help="JSON file of strategies by player, to find another equilibrium near them.")
@click.option("--x64", is_flag=True, help="Solve in double precision.")
@click.option(
    "--concept", type=click.Choice(["trajectory", "agent"]), default="trajectory", show_default=True,
    help="Of a game over time: whether one's own future cost of information counts.",
)  # fmt: skip
@as_json
def solve(
    game: str,
    cost: str | None,
    types: str | None,
    prior: str | None,
    start: str | None,
    x64: bool,
    concept: str,
    as_json: bool,
) -> None:
    """Solve GAME, a name (see `bayescal games`) or a JSON file {"payoffs": payoffs[player][a1][a2]…}.

    \b
    bayescal solve stag-hunt --cost 0.5
    bayescal solve mygame.json --cost 0.5,2 --x64
    bayescal solve selten-chmura-01 --types '[[0.2, 0.3], [1, 0.7]]' --json
    bayescal solve kuhn-poker --cost 0.2
    """
    from bayescal.cli.solve import solve_game

    sys.exit(solve_game(game, cost, types, prior, start, x64, concept, as_json))


@main.command()
@click.argument("study")
@click.option("--draws", type=int, default=1000, show_default=True, help="Kept draws of each chain.")
@click.option("--warmup", type=int, default=600, show_default=True, help="Adaptation draws of each chain.")
@_chains
@_seed
@click.option(
    "--policy",
    help="A learned policy (see `bayescal models`) as the likelihood, or 'exact' [default: the study's own, or exact].",
)
@click.option(
    "--method", type=click.Choice(["nuts", "svi", "grid", "mle"]), default="nuts", show_default=True,
    help="Sample, approximate, lay a grid over at most three parameters, or maximise the likelihood.",
)  # fmt: skip
@click.option(
    "--guide", type=click.Choice(["mean-field", "full-rank", "flow"]),
    help="What --method svi approximates by [default: full-rank].",
)  # fmt: skip
@click.option("--steps", type=int, help="Of the optimiser of --method svi [default: 5000].")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of an interrupted run with these settings.")
@click.option("--checkpoint-every", type=int, default=100, show_default=True, help="Draws between two checkpoints.")
@click.option("--population", help="Of private costs: log-normal, truncated-normal, gamma, two-classes or homogeneous.")
@click.option("--covariates", help="Of log cost, as a formula: '~ treatment + age'.")
@click.option("--by-group", "groups", help="A column: each of its groups has an effect on costs, and meets its own.")
@click.option("--lapse", is_flag=True, help="Now and then a decision is any action, all alike.")
@click.option("--learning", is_flag=True, help="Costs drift from the first round to the last.")
@click.option("--beliefs", type=click.Choice(["consistent", "free"]), help="Of others' costs [default: consistent].")
@click.option(
    "--habits", type=click.Choice(["shared", "group", "participant"]),
    help="Infer the parameters of the prior: for all, by group, or by participant.",
)  # fmt: skip
@click.option(
    "--costs", type=click.Choice(["joint", "marginal", "compressed"]),
    help="Sample everybody's cost, integrate costs out, or do so on a compressed likelihood [default: what suits].",
)  # fmt: skip
@_data
@_where
@_set
@click.option("--tolerance", type=float, help="By how much a recorded number may differ from what the game makes it.")
@click.option("--snap", is_flag=True, help="Move decisions between two values of the grid to the nearer one.")
@click.option(
    "--reweight", is_flag=True,
    help="With a learned policy: is it good enough? Weight its draws to the exact posterior.",
)  # fmt: skip
@click.option("--out", help="Folder for the report and the fits [default: bayescal-out/STUDY].")
@as_json
def calibrate(study: str, **asked: Any) -> None:
    """Infer the costs behind the decisions of STUDY, a name or a folder with a dataset.toml; write a report.

    \b
    bayescal calibrate selten-chmura
    bayescal calibrate my-experiment/ --draws 2000 --out results
    bayescal calibrate bus-engine --data buses.csv --where "group == 4" --method mle --json

    An interrupted run is gone on with by the same words and --resume, and gives the same draws.
    """
    from bayescal.cli.calibrate import calibrate_study

    calibrate_study(study, **asked)


@main.command()
@click.argument("what", nargs=-1, required=True, metavar="STUDY | FIT FIT ...")
@click.option("--only", multiple=True, metavar="NAME", help="One of the explanations, such as 'common cost' (repeat).")
@click.option(
    "--unit", type=click.Choice(["participant", "group", "game", "decision"]),
    help="What is left out [default: participants where they are named, or else groups, or games].",
)  # fmt: skip
@click.option("--folds", type=int, help="Leave out as many parts, whole groups together, in place of one unit a time.")
@click.option("--ablation", is_flag=True, help="In place of the rivals: populations of costs, crossed with priors.")
@click.option("--draws", type=int, default=500, show_default=True, help="Kept draws of each chain.")
@click.option("--warmup", type=int, default=300, show_default=True, help="Adaptation draws of each chain.")
@_chains
@_seed
@_policy
@_data
@_where
@_set
@click.option("--resume", is_flag=True, help="Go on from the checkpoints of an interrupted run with these settings.")
@click.option("--out", help="Folder for the report and the fits [default: bayescal-out/STUDY-compared].")
@as_json
def compare(what: tuple[str, ...], **asked: Any) -> None:
    """Which explanation predicts people best who were not seen? Fits the rivals of STUDY, or takes FITs.

    \b
    bayescal compare selten-chmura
    bayescal compare newsvendor-expedited --only "common cost" --only "different costs" --folds 10
    bayescal compare volunteers-dilemma --ablation
    bayescal compare out/common-cost.nc out/different-costs.nc

    An interrupted run is gone on with by the same words and --resume, and gives the same numbers.
    """
    from bayescal.cli.compare import compare_what

    compare_what(what, **asked)


@main.command()
@click.argument("fits", nargs=-1, required=True, metavar="FIT…")
@click.option("--out", help="Folder for the report [default: that of the first fit].")
@as_json
def report(fits: tuple[str, ...], out: str | None, as_json: bool) -> None:
    """Write the report of fits that were saved (.nc or .zarr); several of the same decisions are compared.

    \b
    bayescal report bayescal-out/selten-chmura/*.nc
    """
    from bayescal.cli.report import report_fits

    report_fits(fits, out=out, as_json=as_json)


def _which(command: Any) -> Any:
    """The options that say which decisions, and which likelihood."""
    for option in (_set, _where, _data, _policy, _strict, as_json):
        command = option(command)
    return command


@main.command()
@click.argument("what", nargs=-1, required=True, metavar="STUDY | FIT...")
@click.option("--draws", type=int, default=1000, show_default=True, help="Of a study: kept draws of each chain.")
@click.option("--warmup", type=int, default=600, show_default=True, help="Adaptation draws of each chain.")
@_chains
@_seed
@click.option("--out", help="Of a study: a folder to keep the fits in.")
@_which
def check(what: tuple[str, ...], **asked: Any) -> None:
    """Can it be believed? Checks FITs that were saved (.nc or .zarr), or fits STUDY and checks that.

    Whether the chains agree, what the data say of each parameter, and whether people do what is predicted of them.

    \b
    bayescal check bayescal-out/selten-chmura/pooled.nc
    bayescal check newsvendor-expedited --strict
    """
    from bayescal.cli.checks import check_what

    check_what(what, **asked)


def _simulated(command: Any) -> Any:
    for option in (
        click.option(
            "--self-test", is_flag=True, help="Then plant an error, costs a tenth dearer, which must not pass."
        ),
        click.option("--cores", type=int, default=2, show_default=True, help="How many replicates at once."),
        click.option("--model", help="Which of the study's standard models [default: the last]."),
        _seed,
        click.option("--warmup", type=int, default=300, show_default=True, help="Adaptation draws of each replicate."),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("study")
@click.option("--replicates", type=int, default=200, show_default=True, help="How many data sets.")
@_simulated
@_which
def sbc(study: str, **asked: Any) -> None:
    """Simulation-based calibration: would STUDY's model be right about decisions that it has made itself?

    Parameters are drawn from the hyperpriors, decisions simulated at them, and fitted: the ranks of the truth among
    posterior draws are uniform if everything is right.

    \b
    bayescal sbc cournot-simulated
    bayescal sbc selten-chmura --model pooled --self-test
    """
    from bayescal.cli.checks import simulate_and_fit

    simulate_and_fit(study, "sbc", **asked)


@main.command()
@click.argument("study")
@click.option("--replicates", type=int, default=50, show_default=True, help="How many data sets.")
@_simulated
@_which
def recover(study: str, **asked: Any) -> None:
    """Parameter recovery: how near to the truth would an experiment like STUDY bring its model?

    \b
    bayescal recover cournot-simulated
    bayescal recover my-experiment/ --replicates 100
    """
    from bayescal.cli.checks import simulate_and_fit

    simulate_and_fit(study, "recover", **asked)


@main.command()
@click.argument("game", metavar="ENV")
@click.option("--cost", help="Cost of information in payoff units per nat: one number, or one per role.")
@click.option("--phi", help="Costs are private: the population's parameters, such as log_mean=3,log_sd=0.5.")
@click.option("--psi", multiple=True, help="A parameter of the prior, NAME=VALUE.")
@click.option("--set", "settings", multiple=True, help="A parameter of the game, NAME=VALUE.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="How the game is built: demand=step.")
@click.option("--prior", help="JSON file of prior probabilities, by player and action (default: uniform).")
@click.option("--policy", help="A learned policy, see `bayescal models` [default: as said above].")
@click.option("--groups", type=int, default=10, show_default=True, help="Games played side by side.")
@click.option("--rounds", type=int, help="Rounds of each, or repetitions of a one-shot game [default: the game's own].")
@_seed
@click.option("--out", help="CSV file to write [default: standard output].")
def simulate(
    game: str,
    cost: str | None,
    phi: str | None,
    psi: tuple[str, ...],
    settings: tuple[str, ...],
    options: tuple[str, ...],
    prior: str | None,
    policy: str | None,
    groups: int,
    rounds: int | None,
    seed: int,
    out: str | None,
) -> None:
    """Simulate decisions in ENV, a name (see `bayescal games` and `bayescal models`) or a JSON file of payoffs.

    The table has the columns that the loader reads, and each participant's true cost. One-shot games are solved; games
    over time are played by the trained model of their name, and solved where there is none.

    \b
    bayescal simulate stag-hunt --cost 0.5 --seed 1 --rounds 20 --out decisions.csv
    bayescal simulate mygame.json --cost 0.5,2
    bayescal simulate cournot --phi log_mean=4,log_sd=0.5 --psi pull=5 --set intercept=110
    bayescal simulate bus-engine --cost 1 --set RC=8 --groups 50 --rounds 100
    """
    from bayescal.cli.simulate import simulate_game

    simulate_game(game, cost, phi, psi, settings, options, prior, policy, groups, rounds, seed, out)


@main.command()
@click.argument("model")
@click.option("--out", help="Folder for weights, certificate and card [default: the model's own].")
@click.option("--every", type=float, default=30.0, show_default=True, help="Seconds between checkpoints.")
@click.option("--restart", is_flag=True, help="Begin anew, even where an interrupted training could go on.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON and nothing else.")
def train(model: str, out: str | None, every: float, restart: bool, as_json: bool) -> None:
    """Train MODEL, a name (see `bayescal models`) or a folder with an experiment.py, and certify it.

    Ctrl-C is safe: the same command goes on from there, to the same result.

    \b
    bayescal train cournot
    bayescal train my-game/ --out my-game/trained
    """
    from bayescal.cli.train import train_zoo_model

    train_zoo_model(model, out, every, restart, as_json)


@main.command()
@click.argument("model")
@click.option("--points", type=int, help="Points of the domain to measure at [default: the recipe's].")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON and nothing else.")
def certify(model: str, points: int | None, as_json: bool) -> None:
    """Measure the trained MODEL against the exact solution again, and write its certificate and card."""
    from bayescal.cli.train import certify_zoo_model

    certify_zoo_model(model, points, as_json)


@main.command()
@as_json
def models(as_json: bool) -> None:
    """List the learned policies, what they answer for, and how well."""
    from bayescal.cli.train import list_zoo

    list_zoo(as_json)
