"""Maximum likelihood, for comparison with estimates that were published so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to

from bayescal.errors import InputError
from bayescal.evaluation.sites import compile_prior, latent_sites, log_likelihood
from bayescal.posterior.status import Status, status_of_estimate
from bayescal.precision import double_precision


@dataclass(frozen=True)
class Estimate:
    """Where the likelihood is highest.

    Attributes:
        values: of every parameter (the hyperpriors play no part).
        standard_errors: from the curvature of the log-likelihood there.
        correlation: of the estimates, in the order of `values`.
        log_likelihood: of the decisions.
        status: whether it converged, or what is wrong; as text, one sentence.
        seconds: of the search; compilation, the first time that a model is asked, is apart.
    """

    values: Mapping[str, float]
    standard_errors: Mapping[str, float]
    correlation: np.ndarray
    log_likelihood: float
    status: Status
    seconds: float
    seconds_compiling: float

    @property
    def converged(self) -> bool:
        return self.status.converged


_COMPILED: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def maximum_likelihood(model: Callable[[], Any], *, start: Mapping[str, float] | None = None) -> Estimate:
    """Maximise the likelihood of a model without levels (every latent site is one number).

    Args:
        start: where the search begins; the medians of the hyperpriors when None.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> found = bc.maximum_likelihood(model)
        >>> round(found.values["log_cost"], 2), round(found.standard_errors["log_cost"], 3)
        (-0.41, 0.039)
    """
    with double_precision():
        started = perf_counter()
        if model not in _COMPILED:
            _COMPILED[model] = _compile(model)
        names, objective, curvature, to_real, from_real, middle, width = _COMPILED[model]
        unknown = sorted(set(start or {}) - set(names))
        if unknown:
            raise InputError(f"start names {', '.join(unknown)}; the model has {', '.join(names)}.")
        begin = np.asarray(to_real(middle | {n: np.asarray(float(x)) for n, x in (start or {}).items()}))
        compiling, started = perf_counter() - started, perf_counter()
        found = scipy.optimize.minimize(
            lambda z: tuple(map(np.asarray, objective(z))), begin, jac=True, method="BFGS", options={"gtol": 1e-7}
        )
        z, hessian = found.x, np.asarray(curvature(found.x))
        for _ in range(3):  # BFGS ends where its line search can tell no more: Newton's method goes on
            step = np.linalg.lstsq(hessian, np.asarray(objective(z)[1]), rcond=None)[0]
            if not objective(z - step)[0] <= objective(z)[0]:
                break
            z = z - step
            hessian = np.asarray(curvature(z))
        value, slope = map(np.asarray, objective(z))
        flat, spread = from_real(z)
        seconds = perf_counter() - started
    # Flat is what leaves a standard error of more than ten hyperprior sds in some direction.
    scaled = hessian * np.outer(width, width)
    curved = np.all(np.isfinite(hessian)) and np.linalg.eigvalsh(scaled).min() > 1e-2
    cov = spread @ np.linalg.inv(hessian) @ spread.T if curved else np.full(hessian.shape, np.nan)
    se = np.sqrt(np.diagonal(cov))
    return Estimate(
        values=dict(zip(names, map(float, flat), strict=True)),
        standard_errors=dict(zip(names, map(float, se), strict=True)),
        correlation=cov / np.outer(se, se),
        log_likelihood=-float(value),
        status=status_of_estimate(bool(np.isfinite(value)), bool(curved), float(np.max(np.abs(slope)))),
        seconds=seconds,
        seconds_compiling=compiling,
    )


def _compile(model: Callable[[], Any]) -> Any:
    sites = latent_sites(model)
    if not sites:
        raise InputError("The model has no parameters to be estimated.")
    levels = [n for n, s in sites.items() if s.shape]
    if levels:
        raise InputError(
            f"Maximum likelihood is for models without levels, but {', '.join(levels)} has an entry for each of many: "
            "leave out `by`, or use NUTS."
        )
    names = list(sites)
    transforms = {n: biject_to(s.support) for n, s in sites.items()}
    drawn = compile_prior(model, 200)(np.random.default_rng(0))
    middle = {n: np.median(x) for n, x in drawn.items()}
    width = np.array([np.std(np.asarray(transforms[n].inv(jnp.asarray(drawn[n])))) for n in names])
    _, unravel = ravel_pytree([jnp.zeros(()) for _ in names])
    values = lambda z: {n: transforms[n](x) for n, x in zip(names, unravel(z), strict=True)}

    negative = lambda z: -log_likelihood(model, values(z))
    at = jnp.zeros(len(names))
    both = jax.jit(jax.value_and_grad(negative)).lower(at).compile()
    curvature = jax.jit(jax.hessian(negative)).lower(at).compile()
    natural = lambda z: jnp.stack([values(z)[n] for n in names])
    slopes = jax.jit(lambda z: (natural(z), jax.jacfwd(natural)(z))).lower(at).compile()
    to_real = lambda point: jnp.stack([transforms[n].inv(jnp.asarray(point[n], float)) for n in names])
    return names, both, curvature, to_real, lambda z: tuple(map(np.asarray, slopes(z))), middle, width
