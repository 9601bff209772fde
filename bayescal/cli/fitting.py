"""The commands that fit models to decisions, and that look at fits. What they do is imported when they run."""

from typing import Any

import click

from bayescal.cli import options as opt


@click.command()
@click.argument("study")
@opt.draws(1000)
@opt.warmup(600)
@opt.chains
@opt.seed
@opt.policy
@opt.method_options
@opt.model_options
@opt.which
@click.option("--tolerance", type=float, help="How far a recorded number may differ from the one that the game gives.")
@click.option("--snap", is_flag=True, help="Move decisions between two values of the grid to the nearer one.")
@click.option(
    "--reweight", is_flag=True, help="Check a learned policy: reweight its draws to the exact posterior, and report."
)
@click.option(
    "--sharpen",
    is_flag=True,
    help="Fit again with a policy that is better where the posterior is, and report shifts. One-shot games: the exact "
    "equilibrium, by Newton steps. Cobweb, supply chains: trained on there, which takes minutes.",
)
@click.option("--out", help="Folder for the report and the fits, replaced as a whole [default: bayescal-out/STUDY].")
@opt.as_json
def calibrate(**asked: Any) -> None:
    """Infer the costs of information behind the decisions of STUDY, and write a report.

    STUDY is a name (see `bayescal data list`) or a folder with a dataset.toml.

    \b
    bayescal calibrate selten-chmura
    bayescal calibrate my-experiment/ --draws 2000 --out results
    bayescal calibrate bus-engine --data buses.csv --where "group == 4" --method mle --json
    bayescal calibrate cobweb-simulated --parameters kappa

    After an interruption, rerun the same command with --resume: it continues from the last checkpoint and gives the
    same draws.
    """
    from bayescal.cli.calibrate import Calibration, calibrate_study

    calibrate_study(Calibration(**asked))


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="STUDY | FIT FIT ...")
@click.option("--only", multiple=True, metavar="NAME", help="A rival model, such as 'common cost' (may be repeated).")
@click.option(
    "--unit",
    type=click.Choice(["participant", "group", "game", "decision"]),
    help="What is left out at a time [default: participants if they are known, else groups, else games].",
)
@click.option("--folds", type=int, help="Number of folds instead of one unit at a time; a group is in one fold.")
@click.option("--full", is_flag=True, help="The whole cross of behaviours, priors, heterogeneity and pooling.")
@click.option("--plan", is_flag=True, help="Print which models would be fitted and about how long it takes, and stop.")
@click.option("--ablation", is_flag=True, help="Instead of the rivals: populations of costs, crossed with habits.")
@opt.draws(500)
@opt.warmup(300)
@opt.chains
@opt.seed
@opt.policy
@opt.which
@opt.resume
@click.option(
    "--out", help="Folder for the report and the fits, replaced as a whole [default: bayescal-out/STUDY-compared]."
)
@opt.as_json
def compare(what: tuple[str, ...], **asked: Any) -> None:
    """Which model predicts best out of sample? Fits the rival models of STUDY, or compares saved FITs.

    \b
    bayescal compare selten-chmura
    bayescal compare newsvendor-expedited --only "common cost" --only "different costs" --folds 10
    bayescal compare volunteers-dilemma --full --plan
    bayescal compare volunteers-dilemma --ablation
    bayescal compare out/common-cost.nc out/different-costs.nc

    After an interruption, rerun the same command with --resume: it continues and gives the same numbers.
    """
    from bayescal.cli.compare import Contest, compare_what

    compare_what(what, Contest(**asked))


@click.command()
@click.argument("fits", nargs=-1, required=True, metavar="FIT…")
@click.option("--out", help="Folder for the report [default: that of the first fit].")
@opt.trust
@opt.as_json
def report(fits: tuple[str, ...], **asked: Any) -> None:
    """Write the report of saved fits (.nc or .zarr). Several fits of the same decisions are compared.

    \b
    bayescal report bayescal-out/selten-chmura/*.nc
    """
    from bayescal.cli.report import report_fits

    report_fits(fits, **asked)


@click.command()
@click.argument("folder")
@opt.as_json
def doctor(folder: str, as_json: bool) -> None:
    """Is the results FOLDER whole? Verifies its manifest, and says which versions wrote what.

    Also finds what killed runs have left there, and checkpoints that no run can continue from. Exit status 1 if
    anything is wrong.

    \b
    bayescal doctor bayescal-out/selten-chmura
    """
    from bayescal.cli.doctor import examine_folder

    examine_folder(folder, as_json)


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="STUDY | FIT...")
@opt.draws(1000, "(STUDY) ")
@opt.warmup(600, "(STUDY) ")
@opt.chains
@opt.seed
@click.option("--out", help="(STUDY) Folder to save the fits in.")
@opt.policy
@opt.which
@opt.strict
@opt.as_json
def check(what: tuple[str, ...], **asked: Any) -> None:
    """Can a fit be trusted? Checks saved FITs (.nc or .zarr), or fits STUDY and checks the result.

    The checks: convergence, how much the data say about each parameter, and posterior predictive checks.

    \b
    bayescal check bayescal-out/selten-chmura/pooled.nc
    bayescal check newsvendor-expedited --strict
    """
    from bayescal.cli.checks import Checking, check_what

    check_what(what, Checking(**asked))


@click.command()
@click.argument("fits", nargs=-1, required=True, metavar="FIT…")
@click.option("--policy", help="The learned policy that the fits were made with [default: the study's own].")
@click.option(
    "--oracle", default="exact", show_default=True, help="What is nearer the truth: 'exact', or another learned policy."
)
@click.option("--draws", type=int, help="How many draws are weighted [default: 2000; in games over time 400].")
@opt.trust
@opt.strict
@opt.as_json
def reweight(fits: tuple[str, ...], **asked: Any) -> None:
    """Was the learned policy accurate enough? Weights the draws of saved FITs to the exact posterior.

    The game is solved at each draw. In games over time that takes minutes: the command says how many, and after Ctrl-C
    weighs the draws that were reached.

    \b
    bayescal reweight bayescal-out/my-market/people.nc
    bayescal reweight people.nc --oracle my-other-network/ --draws 1000
    """
    from bayescal.cli.reweight import Reweighting, reweight_fits

    reweight_fits(fits, Reweighting(**asked))


@click.command()
@click.argument("study")
@click.option("--replicates", type=int, default=200, show_default=True, help="Number of simulated data sets.")
@click.option(
    "--truth", help="The policy that decisions are simulated from: 'exact', or a learned one [default: --policy]."
)
@opt.simulated
@opt.policy
@opt.which
@opt.strict
@opt.as_json
def sbc(**asked: Any) -> None:
    """Simulation-based calibration of STUDY's model: is inference right on data that the model has generated?

    Parameters are drawn from the hyperpriors, decisions are simulated and fitted. The ranks of the true values among
    the posterior draws are uniform if model and sampler are right. With --truth exact they are not uniform either where
    a learned policy is wrong, which no simulation from that policy itself can show.

    \b
    bayescal sbc cournot-simulated
    bayescal sbc cournot-simulated --truth exact
    bayescal sbc selten-chmura --model pooled --self-test
    """
    from bayescal.cli.checks import Replication, simulate_and_fit

    simulate_and_fit(Replication(kind="sbc", **asked))


@click.command()
@click.argument("study")
@click.option("--replicates", type=int, default=50, show_default=True, help="Number of simulated data sets.")
@opt.simulated
@opt.policy
@opt.which
@opt.strict
@opt.as_json
def recover(**asked: Any) -> None:
    """Parameter recovery: how precisely would an experiment like STUDY estimate the model's parameters?

    \b
    bayescal recover cournot-simulated
    bayescal recover my-experiment/ --replicates 100
    """
    from bayescal.cli.checks import Replication, simulate_and_fit

    simulate_and_fit(Replication(kind="recover", truth=None, **asked))
