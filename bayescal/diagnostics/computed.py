"""Whether the draws are those of the posterior: what the sampler says, the walls, and the policy's certificate."""

from collections.abc import Mapping
from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd

from bayescal.diagnostics.base import Check
from bayescal.plain import listed
from bayescal.posterior.fit import Fit
from bayescal.posterior.psis import K_HAT
from bayescal.posterior.status import AT_BOUNDS, ESS, R_HAT

E_BFMI = 0.3
ROUGH = 0.05  # the median total variation from the exact policy, above which a network is no likelihood


def is_learned(fit: Fit) -> bool:
    """Whether the likelihood is a learned policy."""
    return "AmortisedPolicy" in str(fit.provenance.get("model", ""))


def computation(fit: Fit, certificate: Mapping[str, Any] | None, decisions: int | None) -> list[Check]:
    method = fit.provenance.get("method", "NUTS")
    sampled = {"SVI": _svi, "Grid": _grid}.get(method, _nuts)(fit)
    return [*sampled, _solved(fit), _walls(fit), _certificate(fit, certificate, decisions)]


def _nuts(fit: Fit) -> list[Check]:
    table = fit.summary()
    moving = table[table["sd"] > 0]
    stats = fit.tree["sample_stats"].to_dataset()
    return [
        _r_hat(moving),
        *(_effective(moving, kind) for kind in ("bulk", "tail")),
        _divergences(stats),
        _energy(stats),
    ]


def _r_hat(table: pd.DataFrame) -> Check:
    name = "R-hat"
    if not len(table):
        return Check(name, None, "nothing was sampled")
    r_hat = table.get("r_hat", pd.Series(dtype=float)).dropna()
    if not len(r_hat):
        return Check(name, None, "one chain cannot be compared with another", "Sample at least two chains.")
    bad = r_hat[~(r_hat < R_HAT)].sort_values(ascending=False)
    found = f"at most {r_hat.max():.3f} ({r_hat.idxmax()}), where chains that agree stay below {R_HAT}"
    if bad.empty:
        return Check(name, True, found)
    return Check(
        name, False, f"{found}; above it: {listed(list(map(str, bad.index)))}", "Take more warmup and more draws."
    )


def _effective(table: pd.DataFrame, kind: str) -> Check:
    name, ess = f"effective sample size ({kind})", table[f"ess_{kind}"].dropna()
    if not len(ess):
        return Check(name, None, "nothing was sampled")
    bad = ess[ess < ESS].sort_values()
    found = f"at least {ess.min():,.0f} ({ess.idxmin()}), where {ESS} are wanted"
    if bad.empty:
        return Check(name, True, found)
    return Check(name, False, f"{found}; fewer: {listed(list(map(str, bad.index)))}", "Take more draws.")


def _divergences(stats: Any) -> Check:
    name = "divergences"
    if "diverging" not in stats:
        return Check(name, None, "this sampler does not tell of them")
    diverging = stats["diverging"]
    count, total = int(diverging.sum()), diverging.size
    if not count:
        return Check(name, True, f"none in {total:,} transitions")
    return Check(
        name, False, f"{count:,} of {total:,} transitions diverged: part of the posterior was not visited",
        "Raise target_accept; if that does not help, simplify the model or narrow its hyperpriors.",
    )  # fmt: skip


def _energy(stats: Any) -> Check:
    name = "E-BFMI"
    if "energy" not in stats or stats["energy"].sizes["draw"] < 4:
        return Check(name, None, "this sampler does not tell of its energy")
    each = np.atleast_1d(np.asarray(azs.bfmi(stats["energy"].transpose("chain", "draw").to_numpy())))
    found = f"at least {each.min():.2f} over {len(each)} chains, where {E_BFMI} is enough"
    if each.min() >= E_BFMI:
        return Check(name, True, found)
    return Check(
        name, False, f"{found}: the sampler does not reach the tails of the posterior",
        "Take more warmup, or write the model with its hierarchy the other way (centred=…).",
    )  # fmt: skip


def _svi(fit: Fit) -> list[Check]:
    k_hat, ess = float(fit.provenance["pareto_k_hat"]), float(fit.provenance["weights_ess"])
    fine = k_hat <= K_HAT
    return [
        Check(
            "guide", fine, f"PSIS k-hat {k_hat:.2f}, where up to {K_HAT} a guide is near enough to be reweighted",
            "" if fine else "Take a richer guide (full-rank, flow), or NUTS.",
        ),
        Check(
            "effective sample size (weights)", ess >= ESS, f"{ess:,.0f}, where {ESS} are wanted",
            "" if ess >= ESS else "Take more draws.",
        ),
        Check("status", fit.converged, str(fit.status), "" if fit.converged else "Do what the status says."),
    ]  # fmt: skip


def _grid(fit: Fit) -> list[Check]:
    return [Check("edge of the grid", fit.converged, str(fit.status), "" if fit.converged else "Give it wider ranges.")]


def _solved(fit: Fit) -> Check:
    name, log_lik = "likelihood", fit.tree["log_likelihood"].to_dataset()
    unsolved, total = sum(int((~np.isfinite(v)).sum()) for v in log_lik.values()), sum(v.size for v in log_lik.values())
    if not unsolved:
        return Check(name, True, f"all {total:,} values are finite")
    return Check(
        name, False, f"{unsolved:,} of {total:,} values could not be worked out",
        "Narrow the hyperpriors to costs at which the game can be solved.",
    )  # fmt: skip


def _walls(fit: Fit) -> Check:
    name, walls = "walls of the policy's box", fit.provenance.get("posterior_share_at_the_walls")
    if not walls:
        return Check(name, None, "the likelihood answers for all values: there are no walls")
    worst = max(walls, key=walls.get)
    crowded = [f"{n} ({share:.0%})" for n, share in walls.items() if share > AT_BOUNDS]
    if not crowded:
        return Check(name, True, f"at most {walls[worst]:.1%} of the posterior lies against them ({worst})")
    return Check(
        name, False, f"the posterior of {listed(crowded)} lies against the walls of the policy's box",
        "Use a policy with a larger box, or ExactPolicy.",
    )  # fmt: skip


def _certificate(fit: Fit, certificate: Mapping[str, Any] | None, decisions: int | None) -> Check:
    """By what was measured of the network: its error budget where it was compared with the exact policy, or else what a
    best reply gains against it."""
    name = "certificate of the policy"
    if not is_learned(fit):
        return Check(name, None, "the likelihood is not a learned policy")
    if not certificate:
        return Check(
            name, None, "the likelihood is a learned policy whose certificate was not found",
            "Give the study that names the policy (study=…), or measure it with `bayescal certify`.",
        )  # fmt: skip
    if gain := certificate.get("best_reply_gain"):
        mean, error = gain["mean"], gain["standard error"]
        told = f"a best reply trained against it gains {mean:.1%} ± {error:.1%} of the stakes a game"
        if mean <= 2 * error:
            return Check(name, True, f"no exact solution is known; {told}")
        return Check(name, None, told, "Train it longer (`bayescal train`).")
    apart = certificate["total_variation"]["median"]
    told = f"at the median point of its box its choice probabilities are {apart:.2%} from the exact ones"
    if apart > ROUGH:
        return Check(name, False, told, "Train it longer (`bayescal train`), or use ExactPolicy.")
    budgets = certificate.get("decisions_below_a_tenth_of_sd", {})
    if not budgets or decisions is None:
        return Check(name, True, told)
    least = min(budgets, key=lambda n: budgets[n]["median"])
    most = budgets[least]["median"]
    told += f"; its error stays below a tenth of a posterior sd up to {most:,.0f} decisions ({least})"
    if decisions <= most:
        return Check(name, True, f"{told}, and there are {decisions:,}")
    return Check(
        name, None, f"{told}, but there are {decisions:,}",
        "Weight the draws to the exact posterior: `bayescal calibrate … --reweight`, or bayescal.reweight.",
    )  # fmt: skip
