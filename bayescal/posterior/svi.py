"""Stochastic variational inference: the density of a family nearest to the posterior, and how near it is."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree

from bayescal._types import Key, Keys
from bayescal.errors import InputError
from bayescal.evaluation.batches import systematic
from bayescal.evaluation.compile import Aside, random_keys
from bayescal.evaluation.density import Density, Values
from bayescal.posterior.guides import GUIDES, Params
from bayescal.posterior.nuts import Progress
from bayescal.posterior.psis import k_hat_limit, smoothed_weights

State = PyTree  # the guide's parameters, the optimiser's state, averaged parameters, steps done, and a key

CHUNK = 500  # most steps of one call of the compiled program
_PACE = 2.0  # seconds that a call should take, where steps are slow
_BATCH = 100  # draws of the guide in one call
_MOST_CORRELATED = 2000  # most unconstrained numbers of a guide with correlations
_WEIGHTED = 5  # draws weighted for each that is kept
_AVERAGED = 0.25  # last part of the run, over which the guide's parameters are averaged


@dataclass(frozen=True)
class SVI:
    """Variational inference: maximise the evidence lower bound E_q[log p - log q] over a family of densities q.

    Fast and approximate: Pareto's k-hat of the ratios p/q (Yao, Vehtari, Simpson & Gelman 2018) measures how near the
    guide is. Up to 0.7 the draws are resampled by these ratios (Pareto-smoothed, from five times as many draws of q),
    which corrects the guide's error. Above 0.7 that fails: the draws are the guide's own, and the fit has not
    converged.

    Args:
        guide: "mean-field" (independent normals on the unconstrained scale), "full-rank" (a normal with correlations)
            or "flow" (that normal, transformed by a normalising flow).
        steps: of the optimiser (Adam, with a learning rate that decays to zero).
        draws: how many are kept.
        seed: of everything random.
        particles: draws of the guide in each step.
        learning_rate: of the first step.
        progress: called with (steps done, steps in all).

    Example:
        >>> import bayescal as bc
        >>> import numpyro, numpyro.distributions as dist
        >>> def model():
        ...     x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        ...     numpyro.sample("y", dist.Normal(x, 1.0), obs=2.0)
        >>> fit = bc.infer(model, bc.SVI(guide="mean-field", steps=500, draws=1000))
        >>> fit.converged, abs(float(fit.tree["posterior"]["x"].mean()) - 1.0) < 0.2
        (True, True)
    """

    guide: Literal["mean-field", "full-rank", "flow"] = "full-rank"
    steps: int = 5000
    draws: int = 4000
    seed: int = 0
    particles: int = 16
    learning_rate: float = 0.03
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.guide not in GUIDES:
            raise InputError(f"SVI: guide is {self.guide!r}; there are {', '.join(GUIDES)}.")
        least = {"steps": 100, "draws": 100, "particles": 1}
        small = [f"{n} is {getattr(self, n)}, below {k}" for n, k in least.items() if getattr(self, n) < k]
        if small or not 0 < self.learning_rate < 1:
            small += [] if 0 < self.learning_rate < 1 else [f"learning_rate is {self.learning_rate}, not in (0, 1)"]
            raise InputError(f"SVI: {'; '.join(small)}.")


@dataclass(frozen=True)
class Approximated:
    """Draws from the optimised guide, and how near it is to the posterior.

    Attributes:
        values: draws (1, draw, …) by latent site.
        stats: "lp", the log density on the unconstrained scale, and "log_weight", its excess over the guide's.
        elbo: the bound by step; not a number where the gradient was not finite.
        k_hat, ess: Pareto's k-hat of the weights, and their effective sample size.
        weighted: how many draws were weighted.
        rise, rise_error: of the bound from the last tenth but one to the last tenth of the steps, in nats, and its
            standard error.
    """

    values: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    elbo: Float[np.ndarray, " steps"]
    k_hat: float
    ess: float
    weighted: int
    rise: float
    rise_error: float
    seconds_compiling: float
    seconds: float

    @property
    def bound(self) -> float:
        """Mean over the last tenth of the steps."""
        return float(np.nanmean(self.elbo[-(len(self.elbo) // 10) :]))

    @property
    def skipped_share(self) -> float:
        """The share of the steps without a finite gradient."""
        return float(np.isnan(self.elbo).mean())


def compile_svi(density: Density, settings: SVI) -> Callable[[np.random.Generator, Values], Approximated]:
    """Trace the optimisation of a guide, and start to compile it in another thread.

    Returns:
        `run(rng, centre) -> Approximated`, where the guide starts around `centre`.
    """
    d = density.size
    if settings.guide != "mean-field" and d > _MOST_CORRELATED:
        raise InputError(
            f"SVI: the {settings.guide} guide has every correlation of {d:,} numbers, more than "
            f'{_MOST_CORRELATED:,}: use guide="mean-field", a model with the costs integrated out '
            '(method="marginal"), or NUTS.'
        )
    guide = GUIDES[settings.guide]()
    log_p = lambda point: density.log_prob(density.unflatten(point))
    rate = optax.cosine_decay_schedule(settings.learning_rate, settings.steps, alpha=1e-3)
    optimiser = optax.chain(optax.clip_by_global_norm(1e4), optax.adam(rate, b2=0.99))
    averaging = settings.steps - int(_AVERAGED * settings.steps)

    def begin(key: Key, centre: Values) -> State:
        params = guide.begin(density.flatten(density.unconstrain(centre)), key)
        return params, optimiser.init(params), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32), key

    def loss(params: Params, noise: Float[Array, " size"]) -> Float[Array, ""]:
        point, log_q = guide.draw(params, noise)
        return log_q - log_p(point)

    def step(i: Int[Array, ""], carry: PyTree) -> PyTree:
        (params, adam, mean, t, key), losses = carry
        key, now = jax.random.split(key)
        noise = jax.random.normal(now, (settings.particles, d))
        value, gradient = jax.value_and_grad(lambda p: jax.vmap(loss, (None, 0))(p, noise).mean())(params)
        leaves = jax.tree.leaves(gradient)
        finite = jnp.isfinite(value) & jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in leaves]))
        change, after = optimiser.update(gradient, adam, params)
        stepped = (optax.apply_updates(params, change), after)
        params, adam = jax.tree.map(lambda new, old: jnp.where(finite, new, old), stepped, (params, adam))
        share = 1.0 / jnp.maximum(t - averaging + 1, 1)
        mean = jax.tree.map(lambda m, p: jnp.where(t < averaging, p, m + share * (p - m)), mean, params)
        return (params, adam, mean, t + 1, key), losses.at[i].set(jnp.where(finite, value, jnp.nan))

    def advance(state: State, n: Int[Array, ""]) -> tuple[State, Float[Array, " chunk"]]:
        return jax.lax.fori_loop(0, n, step, (state, jnp.zeros(CHUNK)))

    def weigh(params: Params, keys: Keys) -> tuple[dict[str, Array], Float[Array, " draws"], Float[Array, " draws"]]:
        def one(key: Key) -> tuple[dict[str, Array], Float[Array, ""], Float[Array, ""]]:
            point, log_q = guide.draw(params, jax.random.normal(key, (d,)))
            lp = log_p(point)
            return density.constrain(density.unflatten(point)), lp, lp - log_q

        return jax.vmap(one)(keys)

    key = random_keys(np.random.default_rng(), 1)[0]
    begin_now = jax.jit(begin)
    centre = {n: jax.ShapeDtypeStruct(s.shape, float) for n, s in density.sites.items()}
    state = jax.eval_shape(begin_now, key, centre)
    begin_now = Aside(begin_now, key, centre, brief=True)
    advance_now = Aside(jax.jit(advance), state, jax.ShapeDtypeStruct((), jnp.int32))
    weigh_now = Aside(jax.jit(weigh), state[0], random_keys(np.random.default_rng(), _BATCH), brief=True)

    def run(rng: np.random.Generator, centre: Values) -> Approximated:
        state = begin_now(random_keys(rng, 1)[0], dict(centre))
        compiling = advance_now.seconds
        started = perf_counter()
        losses, done, n = [], 0, 20
        while done < settings.steps:
            since = perf_counter()
            n = min(n, CHUNK, settings.steps - done)
            state, kept = advance_now(state, jnp.asarray(n, jnp.int32))
            losses.append(np.asarray(kept)[:n])
            done += n
            if settings.progress is not None:
                settings.progress(done, settings.steps)
            n = max(1, int(n * min(_PACE / (perf_counter() - since), CHUNK)))
        keys = random_keys(rng, -(-_WEIGHTED * settings.draws // _BATCH) * _BATCH)
        weighed = [weigh_now(state[2], k)[2] for k in _batches(keys)]
        k_hat, weights = _pareto(np.concatenate(weighed))
        limit = k_hat_limit(len(weights))
        at = systematic(weights, settings.draws, rng) if k_hat <= limit else np.arange(settings.draws)
        # The kept draws are drawn a second time: keeping all would fill the memory of models with many people.
        keys = keys[np.resize(at, -(-len(at) // _BATCH) * _BATCH)]
        kept = [jax.tree.map(np.asarray, weigh_now(state[2], k)) for k in _batches(keys)]
        values, lp, log_weight = jax.tree.map(lambda *x: np.concatenate(x)[: len(at)], *kept)
        elbo = -np.concatenate(losses)
        return Approximated(
            {n: x[None] for n, x in values.items()},
            {"lp": lp[None], "log_weight": log_weight[None]},
            elbo,
            k_hat,
            float(1 / np.sum(weights**2)),
            len(weights),
            *_rise(elbo),
            compiling,
            perf_counter() - started,
        )

    return run


def _batches(keys: Keys) -> list[Keys]:
    return [keys[i : i + _BATCH] for i in range(0, len(keys), _BATCH)]


def _pareto(log_weight: Float[np.ndarray, " draws"]) -> tuple[float, Float[np.ndarray, " draws"]]:
    """(k-hat, smoothed weights); a draw whose density is not a number weighs nothing."""
    log_weight = np.where(np.isnan(log_weight), -np.inf, log_weight)
    some = np.isfinite(log_weight)
    if np.ptp(log_weight[some]) < 1e-6:  # the guide is the posterior
        return 0.0, np.where(some, 1.0, 0.0) / some.sum()
    smooth, k_hat = smoothed_weights(-log_weight[some, None])
    weights = np.zeros(len(log_weight))
    weights[some] = np.exp(smooth[:, 0])
    return float(k_hat[0]), weights


def _rise(elbo: Float[np.ndarray, " steps"]) -> tuple[float, float]:
    """(mean bound of the last tenth of the steps minus that of the tenth before, its standard error)."""
    tenth = len(elbo) // 10
    before, last = (x[np.isfinite(x)] for x in (elbo[-2 * tenth : -tenth], elbo[-tenth:]))
    if min(len(before), len(last)) < 2:
        return np.inf, 0.0
    return float(last.mean() - before.mean()), float(np.sqrt(before.var() / len(before) + last.var() / len(last)))
