"""Is the network good enough for these data? Draws made with a learned policy, weighted to the exact posterior.

A draw theta of the learned posterior gets the weight

    w ∝ p_exact(theta, y) / p_learned(theta, y),

so that weighted averages are those of the exact posterior, where the two overlap. Whether they do is measured by k-hat,
the shape of the weights' upper tail (Pareto-smoothed importance sampling: Vehtari, Simpson, Gelman, Yao & Gabry 2024,
JMLR 25). Weights that are all within a few per cent of each other have no tail, and k-hat is then ignored.

The cost is one equilibrium per draw; exact sampling needs a dozen of its gradients per draw. In games over time an
equilibrium takes seconds, so fewer draws are weighted, and an interruption weighs those that were reached.
"""

from collections.abc import Mapping

import jax
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from numpyro.infer.util import log_density

from bayescal._types import NumPyroModel
from bayescal.diagnostics.oracle import exact_twin, model_on, spec_of
from bayescal.diagnostics.reweighted import EVEN, Reweighted, table_of
from bayescal.errors import InputError
from bayescal.evaluation.batches import BATCH, Batched, in_batches, numbers_of
from bayescal.evaluation.sites import Site, Sites, latent_sites
from bayescal.policies.base import Policy
from bayescal.posterior.fit import Fit
from bayescal.posterior.many import Progress
from bayescal.posterior.psis import k_hat_limit, smoothed_weights
from bayescal.precision import double_precision

DRAWS = 2000
DRAWS_OVER_TIME = 400
_FEWEST = 100  # draws, below which k-hat cannot be estimated
_A_FEW = 4  # draws between two reports of progress where each takes seconds


def reweight(
    fit: Fit,
    model: NumPyroModel,
    exact: NumPyroModel | Policy | None = None,
    *,
    draws: int | None = None,
    progress: Progress | None = None,
) -> Reweighted:
    """Is the network good enough for these data? Weight a learned fit's draws to the exact posterior.

    Ctrl-C weighs the draws that were evaluated so far, if they are enough.

    Args:
        fit: drawn from `model`.
        model: built on a learned policy.
        exact: what is believed to be nearer the truth: a policy (exact, sharpened, of another seed), on which the same
            model is built; or that model. When None the policy's `exact_twin`.
        draws: how many of the fit's draws, evenly spaced, are weighted; None for 2,000, or 400 in games over time, in
            which a solution takes seconds.
        progress: called with (draws done, draws in all).

    Raises:
        InputError: the game has no exact solution, the two models differ in more than their policy, or the fit is of
            another model.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.load_model("normal-form-2x2")
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> fit = bc.infer(model, bc.Grid(draws=200))
        >>> found = bc.reweight(fit, model)
        >>> found.finding.value  # nine thousand choices show the difference
        'the exact posterior differs'
    """
    if exact is None:
        exact = exact_twin(spec_of(model).policy)
    if isinstance(exact, Policy):
        exact = model_on(model, exact)
    spec = getattr(model, "spec", None)
    slow = spec is not None and spec.decisions.play is not None
    with double_precision():
        latent = latent_sites(model)
        _check_sites(fit, model, latent, exact)
        posterior = _thinned(fit.tree["posterior"].to_dataset(), draws or (DRAWS_OVER_TIME if slow else DRAWS))
        sampled = {n: posterior[n].to_numpy() for n in latent}
        log_exact = _log_density(exact, sampled, _A_FEW if slow else BATCH, progress)
        posterior = posterior.isel(draw=slice(log_exact[0].shape[1]))
        sampled = {n: posterior[n].to_numpy() for n in latent}
        log_learned = _log_density(model, sampled, BATCH, None)
        (learned, before), (solved, after) = _stated(model, sampled, log_learned), _stated(exact, sampled, log_exact)
    if not np.all(np.isfinite(learned)):
        raise InputError("The model has no finite density at some of the fit's draws: give the model that was fitted.")
    unsolved = int(np.isnan(solved).sum())
    log_w, k_hat = _smooth(np.where(np.isnan(solved), -np.inf, solved - learned))
    named = [n for n in map(str, posterior.data_vars) if n in before and n in after]
    named = [n for n in named if before[n].shape == after[n].shape == posterior[n].shape]
    put = lambda values: xr.Dataset({n: posterior[n].copy(data=values[n]) for n in named})
    n = posterior.sizes["chain"] * posterior.sizes["draw"]
    log_w = log_w.reshape(posterior.sizes["chain"], -1)
    table = table_of(put(before), put(after), np.exp(log_w))
    limit = k_hat_limit(n)
    stats = xr.Dataset({"log_weight": (("chain", "draw"), log_w)}, coords=posterior[["chain", "draw"]].coords)
    tree = xr.DataTree.from_dict({"posterior": put(after), "sample_stats": stats})
    effective = float(1 / np.sum(np.exp(2 * log_w))) if k_hat < np.inf else 0.0
    return Reweighted(k_hat, float(limit), _heaviest(log_w), effective, unsolved, tree, table)


def _check_sites(fit: Fit, model: NumPyroModel, latent: Mapping[str, Site], exact: NumPyroModel) -> None:
    fitted, given = fit.provenance.get("model"), getattr(model, "description", "")
    if fitted and given and fitted != given:
        raise InputError(f"The fit was drawn from another model ({fitted}) than the one given ({given}).")
    exact_shapes = {n: s.shape for n, s in latent_sites(exact).items()}
    shapes = {n: s.shape for n, s in latent.items()}
    if exact_shapes != shapes:
        raise InputError(
            f"The two models differ in more than their policy: one infers {_listed(shapes)}, the exact one "
            f"{_listed(exact_shapes)}. Build both with the same arguments."
        )
    drawn = {n: x.shape[2:] for n, x in fit.tree["posterior"].data_vars.items()}
    absent = {n: shape for n, shape in shapes.items() if drawn.get(n) != shape}
    if absent:
        raise InputError(f"The fit has no draws of {_listed(absent)}: give the model that it was drawn from.")


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{n} ({' x '.join(map(str, s))})" if s else n for n, s in shapes.items()) or "nothing"


def _thinned(posterior: xr.Dataset, most: int) -> xr.Dataset:
    chains, per_chain = posterior.sizes["chain"], posterior.sizes["draw"]
    keep = min(max(most // chains, 1), per_chain)
    if chains * keep < _FEWEST:
        raise InputError(
            f"{chains * keep} draws are too few to estimate the tail of the weights: at least {_FEWEST} are needed."
        )
    return posterior.isel(draw=(np.arange(keep) * per_chain) // keep)


def _log_density(
    model: NumPyroModel, draws: Mapping[str, np.ndarray], most: int, progress: Progress | None
) -> tuple[Float[np.ndarray, "chain draw"], dict[str, np.ndarray]]:
    """(log joint density of each draw; deterministic sites), (chain, draw, …).

    Draws are evaluated `most` at a time, from the first of each chain on; after an interruption those that were reached
    are returned, if they are enough.
    """

    def one(values: Sites) -> tuple[Float[Array, ""], dict[str, Array]]:
        total, trace = log_density(model, (), {}, dict(values))
        return total, {n: s["value"] for n, s in trace.items() if s["type"] == "deterministic"}

    chains, per_chain = next(iter(draws.values())).shape[:2]
    numbers, rng = numbers_of(model), np.random.default_rng(0)
    batched = Batched(one, numbers, min(max(most // chains, 1), per_chain) * chains)
    run, step = jax.jit(batched), max(batched.size // chains, 1)
    parts = []
    try:
        for done in range(0, per_chain, step):
            some = {n: x[:, done : done + step] for n, x in draws.items()}
            parts.append(in_batches(lambda values, _: jax.tree.map(np.asarray, run(values)), some, batched.size, rng))
            if progress is not None:
                progress(min(done + step, per_chain) * chains, per_chain * chains)
    except KeyboardInterrupt:
        if len(parts) * step * chains < _FEWEST:
            raise
    return jax.tree.map(lambda *x: np.concatenate(x, axis=1), *parts)


def _stated(
    model: NumPyroModel,
    draws: Mapping[str, np.ndarray],
    found: tuple[Float[np.ndarray, "chain draw"], dict[str, np.ndarray]],
) -> tuple[Float[np.ndarray, " draws"], dict[str, np.ndarray]]:
    """(log joint density of each draw, flattened; every site (chain, draw, …): the draws, what the model computes from
    them, and draws of what it integrates out)."""
    total, stated = found
    complete = getattr(model, "complete", None)
    # The same random numbers for both models, so that they differ by no noise.
    added = {} if complete is None else complete(dict(draws), np.random.default_rng(0))[0]
    return total.reshape(-1), {**draws, **added, **stated}


def _smooth(log_ratio: Float[np.ndarray, " draws"]) -> tuple[Float[np.ndarray, " draws"], float]:
    """(normalised log weights, k-hat). Draws without density weigh nothing and are not part of the tail."""
    some = np.isfinite(log_ratio)
    log_w = np.full(len(log_ratio), -np.inf)
    if some.sum() < _FEWEST / 2:
        return np.full(len(log_ratio), -np.log(len(log_ratio))), np.inf
    top = log_ratio[some] - log_ratio[some].max()
    raw = top - np.log(np.exp(top).sum())
    smoothed, k_hat = smoothed_weights(-top[:, None])
    log_w[some] = raw if _heaviest(raw) <= EVEN else smoothed[:, 0]
    return log_w, float(k_hat[0]) if np.isfinite(k_hat[0]) else np.inf


def _heaviest(log_w: Float[np.ndarray, "..."]) -> float:
    return float(log_w.size * np.exp(log_w.max()))
