"""The commands that list, solve and simulate games, and that train policies. What they do is imported when they run."""

import sys
from typing import Any

import click

from bayescal.cli import options as opt


@click.command()
@click.argument("game", required=False)
@click.option("--out", metavar="FILE", help="Write GAME for Gambit: .nfg if it is played once, .efg if it is a tree.")
@opt.trust
@opt.as_json
def games(game: str | None, out: str | None, trust: bool, as_json: bool) -> None:
    """List the games that have a name, or say who can do what in GAME: a name, a game file or a folder with game.py.

    \b
    bayescal games trust.json
    bayescal games kuhn-poker --out kuhn.efg
    """
    from bayescal.cli.games import list_games, show_game

    if game is not None:
        show_game(game, out, trust, as_json)
    elif out is not None:
        raise click.UsageError("--out writes one game: give its name or file.")
    else:
        list_games(as_json)


@click.command()
@click.argument("game")
@click.option("--cost", help="Cost of information in payoff units per nat: one number for all, or one per player.")
@click.option("--types", help="Private costs: [[cost, probability], …] as JSON.")
@click.option("--prior", help="Habit: a JSON file of probabilities by player and action [default: uniform].")
@click.option("--start", help="JSON file of strategies by player, near which to look for another equilibrium.")
@click.option("--x64", is_flag=True, help="Accepted for older scripts: games are always solved in float64.")
@click.option(
    "--concept",
    type=click.Choice(["trajectory", "agent"]),
    default="trajectory",
    show_default=True,
    help="For a game over time: do players count their own future cost of information (trajectory), or not (agent)?",
)
@click.option(
    "--arm",
    type=click.Choice(["first", "other"]),
    default="first",
    show_default=True,
    help="Where the principal branch forks (games with symmetries): the arm on which the first role leaves its first "
    "action, or the other.",
)
@click.option("--all", "every", is_flag=True, help="All equilibria that are found, of a small game played once.")
@opt.trust
@opt.as_json
def solve(**asked: Any) -> None:
    """Solve GAME: a name (see `bayescal games`) or a file.

    A file is JSON, {"payoffs": payoffs[player][a1][a2]…} or {"roles": [...], "tree": {...}}, or one of Gambit's: .nfg,
    .efg or .agg.

    \b
    bayescal solve stag-hunt --cost 0.5
    bayescal solve trust.efg --cost 0.4 --concept agent
    bayescal solve mygame.json --cost 0.5,2
    bayescal solve selten-chmura-01 --types '[[0.2, 0.3], [1, 0.7]]' --json
    bayescal solve kuhn-poker --cost 0.2
    bayescal solve stag-hunt --cost 0.2 --all

    GAME may also be a folder with a game.py, if --trust allows it to run (FOLDER/NAME if it registers several games).
    """
    from bayescal.cli.solve import Question, solve_game

    asked.pop("x64")
    sys.exit(solve_game(Question(**asked)))


@click.command()
@click.argument("game", metavar="ENV")
@click.option("--cost", help="Cost of information in payoff units per nat: one number, or one per role.")
@click.option("--phi", help="Private costs: the population's parameters, such as log_mean=3,log_sd=0.5.")
@click.option("--psi", multiple=True, metavar="NAME=VALUE", help="A parameter of the habit.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter of the game.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="How the game is built: demand=step.")
@click.option("--prior", help="Habit: a JSON file of probabilities by player and action [default: uniform].")
@click.option("--policy", help="A learned policy (see `bayescal models`) [default: chosen as described above].")
@click.option("--groups", type=int, default=10, show_default=True, help="Groups that play, independently.")
@click.option("--rounds", type=int, help="Rounds, or repetitions of a one-shot game [default: the game's own].")
@opt.seed
@click.option("--out", help="CSV file to write [default: standard output].")
@opt.trust
def simulate(**asked: Any) -> None:
    """Simulate decisions in ENV, a name (see `bayescal games` and `bayescal models`) or the file of a game.

    The table has the columns that `bayescal calibrate` reads, and each participant's true cost. One-shot games are
    solved. Games over time are played by the trained model of their name, or solved if there is none.

    \b
    bayescal simulate stag-hunt --cost 0.5 --seed 1 --rounds 20 --out decisions.csv
    bayescal simulate mygame.json --cost 0.5,2
    bayescal simulate cournot --phi log_mean=4,log_sd=0.5 --psi pull=5 --set intercept=110
    bayescal simulate bus-engine --cost 1 --set RC=8 --groups 50 --rounds 100

    ENV may also be a folder with a game.py, if --trust allows it to run (FOLDER/NAME if it registers several games).
    """
    from bayescal.cli.simulate import Simulation, simulate_game

    simulate_game(Simulation(**asked))


@click.command()
@click.argument("model")
@click.option("--out", help="Folder for weights, certificate and card [default: the model's own].")
@click.option("--every", type=float, default=30.0, show_default=True, help="Seconds between checkpoints.")
@click.option("--restart", is_flag=True, help="Start again, even if an interrupted training could continue.")
@opt.certificate
def train(model: str, out: str | None, every: float, restart: bool, as_json: bool) -> None:
    """Train MODEL, a name (see `bayescal models`) or a folder with an experiment.py, and certify it.

    The folder's experiment.py runs, with your rights. Ctrl-C is safe: the same command continues, to the same result.

    \b
    bayescal train cournot
    bayescal train my-game/ --out my-game/trained
    """
    from bayescal.cli.train import train_zoo_model

    train_zoo_model(model, out, every, restart, as_json)


@click.command()
@click.argument("model")
@click.option("--points", type=int, help="Points of the trained domain to measure at [default: the recipe's].")
@click.option("--effort", type=int, default=1, help="So many times as many games, where there is no exact solution.")
@click.option("--costs", type=int, help="At so many costs of each role there (ten): fewer take less time.")
@opt.trust
@opt.certificate
def certify(model: str, points: int | None, effort: int, costs: int | None, trust: bool, as_json: bool) -> None:
    """Measure the trained MODEL again, and write its certificate and card.

    It is compared with the exact solution. Where there is none, replies are played against it, and it passes, fails, or
    stays undecided. Interrupted, the same command goes on from where it was.

    MODEL is a name (see `bayescal models`), or a folder whose experiment.py --trust allows to run.
    """
    from bayescal.cli.train import certify_zoo_model

    certify_zoo_model(model, points, effort, costs, trust, as_json)


@click.command()
@opt.as_json
def models(as_json: bool) -> None:
    """List the learned policies, their trained domains and their accuracy."""
    from bayescal.cli.train import list_zoo

    list_zoo(as_json)


@click.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    click.echo(installed("bayescal"))
