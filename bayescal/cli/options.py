"""Options of the commands, each defined once. Nothing heavy is imported here: `--help` answers at once."""

from collections.abc import Callable

import click

type Command = Callable[..., None]
type Option = Callable[[Command], Command]

POPULATION_NAMES = "log-normal, truncated-normal, gamma, two-classes, homogeneous or one of the study's own"


def together(*options: Option) -> Option:
    """Several options as one decorator; `--help` lists them in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _sentence(note: str, text: str) -> str:
    return note + text if note else text[0].upper() + text[1:]


def draws(kept: int, note: str = "") -> Option:
    return click.option(
        "--draws", type=int, default=kept, show_default=True, help=_sentence(note, "kept draws per chain.")
    )


def warmup(discarded: int, note: str = "") -> Option:
    return click.option("--warmup", type=int, default=discarded, show_default=True, help=f"{note}Warm-up draws.")


chains = click.option("--chains", type=int, default=4, show_default=True, help="Independent chains.")
seed = click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random numbers.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")
data = click.option("--data", help="A table (.csv, .csv.gz or .parquet) in place of the study's own.")
where = click.option("--where", help="Which rows of the table: 'group in [1, 2]'.")
settings = click.option(
    "--set", "options", multiple=True, metavar="NAME=VALUE", help="An option of the game: discount=0."
)
strict = click.option("--strict", is_flag=True, help="Exit status 1 if something fails.")
policy = click.option(
    "--policy",
    help="The likelihood: a learned policy (see `bayescal models`), or 'exact' [default: the study's own, or exact].",
)
trust = click.option(
    "--trust",
    is_flag=True,
    help="Run programs with your rights: the study's game.py, and the experiment.py of a model that is none of "
    "bayescal's. Let the study name files outside its folder. Nothing runs otherwise.",
)
resume = click.option(
    "--resume", is_flag=True, help="Continue from the checkpoints of an interrupted run with the same settings."
)
certificate = click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON and nothing else.")

which = together(data, where, settings, trust)
model_options = together(
    click.option("--population", help=f"Distribution of private costs: {POPULATION_NAMES}."),
    click.option("--covariates", help="Covariates of log cost, as a formula: '~ treatment + age'."),
    click.option("--by-group", "groups", help="A column of groups. Each has an effect on its members' costs."),
    click.option("--lapse", is_flag=True, help="Some decisions are drawn uniformly at random."),
    click.option("--learning", is_flag=True, help="Costs drift from the first round to the last."),
    click.option(
        "--beliefs",
        type=click.Choice(["consistent", "free"]),
        help="Beliefs about others' costs: the population that is inferred, or a separate one [default: consistent].",
    ),
    click.option(
        "--habits",
        type=click.Choice(["shared", "group", "participant"]),
        help="Infer the habit's parameters: one for all, by group, or by participant.",
    ),
    click.option(
        "--costs",
        type=click.Choice(["joint", "marginal", "compressed"]),
        help="Sample each person's cost, integrate costs out, or integrate them out on a compressed likelihood "
        "[default: chosen by size].",
    ),
    click.option(
        "--parameters",
        metavar="NAMES",
        help="Infer these parameters of the game too: 'kappa', 'intercept,cost'. A learned policy needs them in its "
        "trained domain.",
    ),
)
method_options = together(
    click.option(
        "--method",
        type=click.Choice(["nuts", "svi", "grid", "mle"]),
        default="nuts",
        show_default=True,
        help="NUTS, variational inference, a grid over at most three parameters, or maximum likelihood.",
    ),
    click.option(
        "--guide",
        type=click.Choice(["mean-field", "full-rank", "flow"]),
        help="Variational family for --method svi [default: full-rank].",
    ),
    click.option("--steps", type=int, help="Optimiser steps for --method svi [default: 5000]."),
    resume,
    click.option("--checkpoint-every", type=int, default=100, show_default=True, help="Draws between checkpoints."),
)
simulated = together(
    warmup(300, "(per replicate) "),
    seed,
    click.option("--model", help="Which of the study's standard models [default: the last]."),
    click.option("--cores", type=int, default=2, show_default=True, help="Replicates that run at the same time."),
    click.option("--self-test", is_flag=True, help="Also plant an error, costs 10 % higher, which must be detected."),
)
