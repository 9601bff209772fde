"""Whether the draws are those of the posterior: the sampler, the trained domain, and the policy's certificate."""

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from bayescal._types import Facts
from bayescal.diagnostics.base import Check, Outcome
from bayescal.plain import listed
from bayescal.policies.base import PolicyFacts
from bayescal.posterior.convergence import ESS, Convergence, convergence_of
from bayescal.posterior.fit import Fit
from bayescal.posterior.psis import K_HAT
from bayescal.posterior.status import AT_BOUNDS, GRID_EDGE, Problem, Status
from bayescal.posterior.summary import SHARE_AT_BOUNDS
from bayescal.posterior.tree import group
from bayescal.training.facts import Verdict

E_BFMI = 0.3
MAX_DISTANCE = 0.05  # median total variation from the exact policy, above which a network is not used as a likelihood


def is_learned(fit: Fit) -> bool:
    """Whether the likelihood is a learned policy."""
    if facts := fit.provenance.get("policy"):
        return PolicyFacts.from_dict(facts).learned
    # Files of earlier versions do not name the policy; only learned policies have a trained domain.
    return bool(fit.provenance.get(SHARE_AT_BOUNDS))


def computation(fit: Fit, certificate: Facts | None, decisions: int | None) -> list[Check]:
    """The checks of the computation.

    Args:
        certificate: of the learned policy, where it was found.
        decisions: how many were fitted, where that is known.
    """
    method = fit.provenance.get("method", "NUTS")
    sampled = {"SVI": _svi, "Grid": _grid}.get(method, _nuts)(fit)
    return [*sampled, _finite(fit), _at_bounds(fit), certificate_check(fit, certificate, decisions)]


def _nuts(fit: Fit) -> list[Check]:
    found = convergence_of(fit.tree)
    stats = group(fit.tree, "sample_stats")
    return [
        _r_hat(found),
        *(_effective(found.table, kind) for kind in ("bulk", "tail")),
        _divergences(stats),
        _energy(stats),
    ]


def _r_hat(found: Convergence) -> Check:
    name, table = "R-hat", found.table
    if not len(table):
        return Check(name, Outcome.NOT_APPLICABLE, "nothing was sampled")
    r_hat = table["r_hat"].dropna()
    if not len(r_hat):
        return Check(name, Outcome.WARNING, "one chain cannot be compared with another", "Sample at least two chains.")
    of = f" in {len(r_hat):,} quantities" if len(r_hat) > 1 else ""
    said = f"at most {r_hat.max():.3f} ({r_hat.idxmax()}), where chains that agree stay below {found.limit:.3g}{of}"
    if found.agree:
        return Check(name, Outcome.PASSED, said)
    said += f"; above it: {listed(list(map(str, found.apart.index)))}"
    return Check(name, Outcome.FAILED, said, "Take more warmup and more draws.")


def _effective(table: pd.DataFrame, kind: str) -> Check:
    name, ess = f"effective sample size ({kind})", table[f"ess_{kind}"].dropna()
    if not len(ess):
        return Check(name, Outcome.NOT_APPLICABLE, "nothing was sampled")
    too_small = ess[ess < ESS].sort_values()
    found = f"at least {ess.min():,.0f} ({ess.idxmin()}), where {ESS} are wanted"
    if too_small.empty:
        return Check(name, Outcome.PASSED, found)
    found += f"; fewer: {listed(list(map(str, too_small.index)))}"
    return Check(name, Outcome.FAILED, found, "Take more draws.")


def _divergences(stats: xr.Dataset) -> Check:
    name = "divergences"
    if "diverging" not in stats:
        return Check(name, Outcome.NOT_APPLICABLE, "this sampler does not report them")
    diverging = stats["diverging"]
    count, total = int(diverging.sum()), diverging.size
    if not count:
        return Check(name, Outcome.PASSED, f"none in {total:,} transitions")
    return Check(
        name, Outcome.FAILED, f"{count:,} of {total:,} transitions diverged: part of the posterior was not explored",
        "Raise target_accept; if that does not help, simplify the model or narrow its hyperpriors.",
    )  # fmt: skip


def _energy(stats: xr.Dataset) -> Check:
    name = "E-BFMI"
    if "energy" not in stats or stats["energy"].sizes["draw"] < 4:
        return Check(name, Outcome.NOT_APPLICABLE, "this sampler does not report its energy")
    each = np.atleast_1d(np.asarray(azs.bfmi(stats["energy"].transpose("chain", "draw").to_numpy())))
    found = f"at least {each.min():.2f} over {len(each)} chains, where {E_BFMI} is enough"
    if each.min() >= E_BFMI:
        return Check(name, Outcome.PASSED, found)
    return Check(
        name, Outcome.FAILED, f"{found}: the sampler does not reach the tails of the posterior",
        "Take more warmup, or write the model with its hierarchy the other way (centred=…).",
    )  # fmt: skip


def _svi(fit: Fit) -> list[Check]:
    limit = fit.status.numbers.get("k_hat_limit", K_HAT)
    k_hat, ess = float(fit.provenance["pareto_k_hat"]), float(fit.provenance["weights_ess"])
    return [
        _passes(
            "guide", k_hat <= limit,
            f"PSIS k-hat {k_hat:.2f}; up to {limit:.2g} the draws of a guide can be reweighted",
            "Use a richer guide (full-rank, flow), or NUTS.",
        ),
        _passes(
            "effective sample size (weights)", ess >= ESS, f"{ess:,.0f}, where {ESS} are wanted", "Take more draws."
        ),
        _optimised(fit.status),
    ]  # fmt: skip


def _optimised(status: Status) -> Check:
    problems = [p for p in (Problem.NO_GRADIENT, Problem.STILL_RISING) if p in status.problems]
    found = "; ".join(p.value for p in problems) or "the evidence lower bound has stopped rising"
    return _passes("optimisation", not problems, found, " ".join(p.remedy for p in problems))


def _grid(fit: Fit) -> list[Check]:
    edge, beyond = fit.status.numbers.get("edge"), Problem.BEYOND_GRID in fit.status.problems
    share = "" if edge is None else f"{edge:.1g} of the posterior lies there, where "
    found = f"{share}{GRID_EDGE:.1%} is too much"
    return [_passes("edge of the grid", not beyond, found, Problem.BEYOND_GRID.remedy)]


def _passes(name: str, passed: bool, found: str, advice: str) -> Check:
    return Check(name, Outcome.PASSED, found) if passed else Check(name, Outcome.FAILED, found, advice)


def _finite(fit: Fit) -> Check:
    log_likelihood = group(fit.tree, "log_likelihood").values()
    if not log_likelihood:
        return Check("likelihood", Outcome.NOT_APPLICABLE, "the fit was saved without its log-likelihoods")
    unsolved, total = sum(int((~np.isfinite(v)).sum()) for v in log_likelihood), sum(v.size for v in log_likelihood)
    return _passes(
        "likelihood", not unsolved,
        f"{unsolved:,} of {total:,} values could not be computed" if unsolved else f"all {total:,} values are finite",
        "Narrow the hyperpriors to costs at which the game can be solved.",
    )  # fmt: skip


def _at_bounds(fit: Fit) -> Check:
    name, shares = "bounds of the trained domain", fit.provenance.get(SHARE_AT_BOUNDS)
    if not shares:
        return Check(name, Outcome.NOT_APPLICABLE, "the likelihood holds for all values")
    crowded = [f"{n} ({share:.0%})" for n, share in shares.items() if share > AT_BOUNDS]
    if crowded:
        return Check(
            name, Outcome.FAILED, f"the posterior of {listed(crowded)} lies at the bounds of the trained domain",
            "Use a policy with a larger trained domain, or ExactPolicy.",
        )  # fmt: skip
    most = max(shares, key=shares.__getitem__)
    return Check(name, Outcome.PASSED, f"at most {shares[most]:.1%} of the posterior lies there ({most})")


def certificate_check(fit: Fit, certificate: Facts | None, decisions: int | None) -> Check:
    """From the network's error budget, where it was compared with the exact policy; otherwise from the verdict of its
    certificate."""
    name = "certificate of the policy"
    if not is_learned(fit):
        return Check(name, Outcome.NOT_APPLICABLE, "the likelihood is not a learned policy")
    if not certificate:
        return Check(
            name, Outcome.WARNING, "the likelihood is a learned policy whose certificate was not found",
            "Give the study that names the policy (study=…), or measure it with `bayescal certify`.",
        )  # fmt: skip
    if "cells" in certificate:
        return _in_play(name, certificate)
    if "total_variation" not in certificate:
        return Check(
            name, Outcome.WARNING, "its certificate is of an earlier version, whose test could hardly fail",
            "Measure the policy again with `bayescal certify`.",
        )  # fmt: skip
    distance = certificate["total_variation"]["median"]
    found = f"at the median point of its domain its choice probabilities are {distance:.2%} from the exact ones"
    if distance > MAX_DISTANCE:
        return Check(name, Outcome.FAILED, found, "Train it longer (`bayescal train`), or use ExactPolicy.")
    if certificate.get("verdict") == Verdict.FAIL:
        return _beyond_limits(name, found, certificate)
    budgets = certificate.get("decisions_below_a_tenth_of_sd", {})
    if not budgets or decisions is None:
        return Check(name, Outcome.PASSED, found)
    parameter = min(budgets, key=lambda n: budgets[n]["median"])
    budget = budgets[parameter]["median"]
    found += f"; its error stays below a tenth of a posterior sd up to {budget:,.0f} decisions ({parameter})"
    if decisions <= budget:
        return Check(name, Outcome.PASSED, f"{found}, and there are {decisions:,}")
    return Check(
        name, Outcome.WARNING, f"{found}, but there are {decisions:,}",
        "Weight the draws to the exact posterior: `bayescal calibrate … --reweight`, or bayescal.reweight.",
    )  # fmt: skip


def _beyond_limits(name: str, found: str, certificate: Facts) -> Check:
    """Of a policy to which a best reply, or whose bias, is larger than it may be."""
    gain = max(g["max"] for where in certificate["best_reply_nats"].values() for g in where.values() if g)
    if gain > certificate["limit"]:
        return Check(
            name, Outcome.FAILED, f"{found}, and an exact best reply gains up to {gain:.2g} nats a decision",
            "Train it longer (`bayescal train`), or narrow its domain.",
        )  # fmt: skip
    bias = {n: b["q95"] for n, b in certificate["bias_in_sds_at_1000_decisions"].items()}
    worst = max(bias, key=bias.__getitem__)
    return Check(
        name, Outcome.WARNING,
        f"{found}; an exact best reply gains {gain:.2g} nats a decision at most, but after 1,000 decisions {worst} may "
        f"be off by {bias[worst]:.2g} posterior sds (95 % of the domain; most where information is cheap)",
        "Weight the draws to the exact posterior: `bayescal calibrate … --reweight`, or bayescal.reweight.",
    )  # fmt: skip


def _in_play(name: str, certificate: Facts) -> Check:
    """From the verdict on a policy that cannot be compared with an exact one."""
    cells, limit = certificate["cells"], certificate["limit"]
    passed, failed, open_ = (sum(c["verdict"] == verdict for c in cells) for verdict in Verdict)
    worst = max(cells, key=lambda c: max(c["gain"]["mean"], c["played"]["mean"]))
    by_play = worst["played"]["mean"] > worst["gain"]["mean"]
    gain, how = (worst["played"], f"a reply ({worst['reply']})") if by_play else (worst["gain"], "one deviation")
    found = (
        f"no exact solution is known; of {len(cells)} roles and costs {passed} pass, {failed} fail and "
        f"{open_} are undecided (limit {limit:g} nats a decision); at worst {how} gains "
        f"{gain['mean']:.2g} ± {gain['standard error']:.1g} nats a decision ({worst['role']}, "
        f"cost {worst['cost']:.3g}, {worst['at']})"
    )
    match certificate["verdict"]:
        case Verdict.PASS:
            return Check(name, Outcome.PASSED, found)
        case Verdict.UNDECIDED:
            return Check(name, Outcome.WARNING, found, "Measure it with more games (`bayescal certify --effort`).")
    return Check(
        name, Outcome.FAILED, found,
        "The policy is not an equilibrium there: train it longer (`bayescal train`), or do not use it at such costs.",
    )  # fmt: skip
