"""Maximum likelihood, for comparison with published estimates."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from bayescal._types import NumPyroModel
from bayescal.errors import InputError
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import compile_prior, log_likelihood
from bayescal.model.build import from_spec
from bayescal.model.model import Model
from bayescal.model.spec import ModelSpec
from bayescal.posterior.status import Status, status_of_estimate
from bayescal.precision import double_precision

_FLAT = 1e-2  # curvature in units of hyperprior sds, below which a standard error exceeds ten of them
_NEWTON = 3  # most steps after BFGS


@dataclass(frozen=True)
class Estimate:
    """A maximum of the likelihood.

    Attributes:
        values: of every parameter (the hyperpriors play no part).
        standard_errors: from the curvature of the log-likelihood there.
        correlation: of the estimates, in the order of `values`.
        log_likelihood: of the decisions.
        status: whether it converged, or what is wrong; as text, one sentence.
        seconds: of the search.
        seconds_compiling: of compilation, the first time that a model is estimated.
    """

    values: Mapping[str, float]
    standard_errors: Mapping[str, float]
    correlation: Float[np.ndarray, "parameters parameters"]
    log_likelihood: float
    status: Status
    seconds: float
    seconds_compiling: float

    @property
    def converged(self) -> bool:
        return self.status.converged


def maximum_likelihood(model: NumPyroModel, *, start: Mapping[str, float] | None = None) -> Estimate:
    """Maximise the likelihood of a model without levels (every latent site is a scalar).

    Private costs are integrated out first, if `build_model` has not done so: people's costs are not parameters.

    Args:
        start: where the search starts; the medians of the hyperpriors when None.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> estimate = bc.maximum_likelihood(model)
        >>> round(estimate.values["log_cost"], 2), round(estimate.standard_errors["log_cost"], 3)
        (-0.41, 0.039)
    """
    with double_precision():
        started = perf_counter()
        problem = _compiled(model)
        unknown = sorted(set(start or {}) - set(problem.names))
        if unknown:
            raise InputError(f"start names {', '.join(unknown)}; the model has {', '.join(problem.names)}.")
        begin = problem.vector(problem.medians | {n: np.asarray(float(x)) for n, x in (start or {}).items()})
        compiling, started = perf_counter() - started, perf_counter()
        z, hessian = _search(problem, begin)
        value, slope = problem.objective(z)
        values, jacobian = problem.natural(z)
        seconds = perf_counter() - started
    scaled = hessian * np.outer(problem.widths, problem.widths)
    curved = bool(np.all(np.isfinite(hessian)) and np.linalg.eigvalsh(scaled).min() > _FLAT)
    covariance = jacobian @ np.linalg.inv(hessian) @ jacobian.T if curved else np.full(hessian.shape, np.nan)
    errors = np.sqrt(np.diagonal(covariance))
    return Estimate(
        values=dict(zip(problem.names, map(float, values), strict=True)),
        standard_errors=dict(zip(problem.names, map(float, errors), strict=True)),
        correlation=covariance / np.outer(errors, errors),
        log_likelihood=-float(value),
        status=status_of_estimate(bool(np.isfinite(value)), curved, float(np.max(np.abs(slope)))),
        seconds=seconds,
        seconds_compiling=compiling,
    )


@dataclass(frozen=True, eq=False)
class _Problem:
    """Minus the log-likelihood as a function of a vector: the unconstrained parameters in the order of `names`."""

    density: Density

    @property
    def names(self) -> tuple[str, ...]:
        return self.density.names

    def compile(self) -> "_Problem":
        """Refuse a model with levels; compile everything now.

        Raises:
            InputError: the model has no parameter, or one that is an array.
        """
        if not self.names:
            raise InputError("The model has no parameters to estimate.")
        levels = [n for n, s in self.density.sites.items() if s.shape]
        if levels:
            raise InputError(
                f"Maximum likelihood is for models without levels, but {', '.join(levels)} has an entry for each of "
                "many: leave out `by`, groups, covariates and habits that differ between people, or use NUTS."
            )
        at = jnp.zeros(len(self.names))
        for part in (self._value_and_slope, self._hessian, self._natural):
            part(at)
        self._prior  # noqa: B018
        return self

    def _values(self, z: Float[Array, " parameters"]) -> dict[str, Array]:
        return self.density.constrain(dict(zip(self.names, z, strict=True)))

    def _negative(self, z: Float[Array, " parameters"]) -> Float[Array, ""]:
        return -log_likelihood(self.density.model, self._values(z))

    def _stacked(self, z: Float[Array, " parameters"]) -> Float[Array, " parameters"]:
        values = self._values(z)
        return jnp.stack([values[n] for n in self.names])

    @cached_property
    def _value_and_slope(self) -> Any:
        return jax.jit(jax.value_and_grad(self._negative))

    @cached_property
    def _hessian(self) -> Any:
        return jax.jit(jax.hessian(self._negative))

    @cached_property
    def _natural(self) -> Any:
        return jax.jit(lambda z: (self._stacked(z), jax.jacfwd(self._stacked)(z)))

    @cached_property
    def _prior(self) -> dict[str, np.ndarray]:
        return dict(compile_prior(self.density.model, 200)(np.random.default_rng(0)))

    @property
    def medians(self) -> dict[str, np.ndarray]:
        """Of the hyperpriors."""
        return {n: np.asarray(np.median(x)) for n, x in self._prior.items()}

    @cached_property
    def widths(self) -> Float[np.ndarray, " parameters"]:
        """Standard deviations of the hyperpriors on the unconstrained scale."""
        raw = self.density.unconstrain(self._prior)
        return np.array([np.std(np.asarray(raw[n])) for n in self.names])

    def vector(self, values: Mapping[str, np.ndarray]) -> Float[np.ndarray, " parameters"]:
        raw = self.density.unconstrain(values)
        return np.asarray(jnp.stack([raw[n] for n in self.names]))

    def objective(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(minus the log-likelihood, its gradient)."""
        value, slope = self._value_and_slope(z)
        return np.asarray(value), np.asarray(slope)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        return np.asarray(self._hessian(z))

    def natural(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(the parameters on their own scale, their Jacobian)."""
        values, jacobian = self._natural(z)
        return np.asarray(values), np.asarray(jacobian)


@lru_cache(maxsize=8)
def _compiled(model: NumPyroModel) -> _Problem:
    """Compiled once for each model, of which the last few are kept."""
    return _Problem(Density.of(_without_costs(model))).compile()


def _without_costs(model: NumPyroModel) -> NumPyroModel:
    """The model with everybody's private cost integrated out, where that is possible."""
    if not isinstance(model, Model) or not isinstance(model.spec, ModelSpec) or model.integrated is not None:
        return model
    spec = model.spec
    if not spec.personal or spec.psi_level == "participant":
        return model
    return from_spec(dataclasses.replace(spec, method="marginal"))


def _search(problem: _Problem, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the minimum, the Hessian there), by BFGS; Newton's method continues where its line search stops."""
    z = scipy.optimize.minimize(problem.objective, start, jac=True, method="BFGS", options={"gtol": 1e-7}).x
    hessian = problem.hessian(z)
    for _ in range(_NEWTON):
        step = np.linalg.lstsq(hessian, problem.objective(z)[1], rcond=None)[0]
        if not problem.objective(z - step)[0] <= problem.objective(z)[0]:
            break
        z = z - step
        hessian = problem.hessian(z)
    return z, hessian
