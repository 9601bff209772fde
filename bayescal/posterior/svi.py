"""Stochastic variational inference: the nearest density of a family, and whether it is near enough."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bayescal.errors import InputError
from bayescal.evaluation.batches import systematic
from bayescal.evaluation.compile import Aside, random_keys
from bayescal.evaluation.density import Density, Values
from bayescal.posterior.guides import GUIDES
from bayescal.posterior.nuts import Progress
from bayescal.posterior.psis import K_HAT, smoothed_weights

CHUNK = 500  # steps at most between two looks at the run
_PACE = 2.0  # seconds between them, where steps are slow
_BATCH = 100
_WIDEST = 2000  # numbers whose every correlation is learned
_MORE = 5  # draws weighed for each that is kept
_AVERAGED = 0.25  # the last part of the run, over which the guide's parameters are averaged


@dataclass(frozen=True)
class SVI:
    """Variational inference: maximise the evidence lower bound E_q[log p - log q] over a family of densities q.

    Quick, and approximate: Pareto's k-hat of the ratios p/q (Yao, Vehtari, Simpson & Gelman 2018) says whether the
    family came near enough. Up to 0.7 the draws are taken by these ratios (Pareto-smoothed, from five times as many
    draws of q), which makes up for what the family cannot have. Above 0.7 nothing can: the draws are the guide's own,
    and the fit does not call itself converged.

    Args:
        guide: "mean-field" (independent normals on the unconstrained scale), "full-rank" (a normal with correlations)
            or "flow" (that normal, bent by a normalising flow).
        steps: of the optimiser (Adam, with a rate that falls to nothing).
        draws: kept.
        seed: everything random follows from it.
        particles: draws of each step.
        learning_rate: at the beginning.
        progress: called with (steps done, steps in all) now and then.

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
    """Draws by way of the best guide, and how good it is.

    Attributes:
        values: by latent site, (1, draw, …).
        stats: "lp", log density on the unconstrained scale, and "log_weight", what it is above the guide's.
        elbo: the bound by step; not a number where the slope was not finite.
        k_hat, ess: Pareto's, of the weights, and the effective sample size that they leave.
        rise, rise_error: of the bound from the last tenth but one to the last tenth of the steps, in nats.
    """

    values: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    elbo: np.ndarray
    k_hat: float
    ess: float
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
        """Of the steps that found no finite slope."""
        return float(np.isnan(self.elbo).mean())


def compile_svi(density: Density, settings: SVI) -> Callable[[np.random.Generator, Values], Approximated]:
    """Trace the optimisation of a guide, and start to compile it in another thread.

    Returns:
        `run(rng, centre) -> Approximated`, where the guide starts around `centre`.
    """
    d = density.size
    if settings.guide != "mean-field" and d > _WIDEST:
        raise InputError(
            f"SVI: the {settings.guide} guide learns every correlation of {d:,} numbers, more than {_WIDEST:,}: use "
            'guide="mean-field", a model with the costs integrated out (method="marginal"), or NUTS.'
        )
    guide = GUIDES[settings.guide]()
    log_p = lambda point: density.log_prob(density.unflatten(point))
    rate = optax.cosine_decay_schedule(settings.learning_rate, settings.steps, alpha=1e-3)
    optimiser = optax.chain(optax.clip_by_global_norm(1e4), optax.adam(rate, b2=0.99))
    averaging = settings.steps - int(_AVERAGED * settings.steps)

    def begin(key, centre):
        params = guide.begin(density.flatten(density.unconstrain(centre)), key)
        return params, optimiser.init(params), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32), key

    def loss(params, noise):
        point, log_q = guide.draw(params, noise)
        return log_q - log_p(point)

    def step(i, carry):
        (params, adam, mean, t, key), losses = carry
        key, now = jax.random.split(key)
        noise = jax.random.normal(now, (settings.particles, d))
        value, slope = jax.value_and_grad(lambda p: jax.vmap(loss, (None, 0))(p, noise).mean())(params)
        finite = jnp.isfinite(value) & jnp.all(jnp.array([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(slope)]))
        change, after = optimiser.update(slope, adam, params)
        stepped = (optax.apply_updates(params, change), after)
        params, adam = jax.tree.map(lambda new, old: jnp.where(finite, new, old), stepped, (params, adam))
        share = 1.0 / jnp.maximum(t - averaging + 1, 1)
        mean = jax.tree.map(lambda m, p: jnp.where(t < averaging, p, m + share * (p - m)), mean, params)
        return (params, adam, mean, t + 1, key), losses.at[i].set(jnp.where(finite, value, jnp.nan))

    def advance(state, n):
        return jax.lax.fori_loop(0, n, step, (state, jnp.zeros(CHUNK)))

    def weigh(params, keys):
        def one(key):
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

    def run(rng, centre) -> Approximated:
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
        keys = random_keys(rng, -(-_MORE * settings.draws // _BATCH) * _BATCH)
        weighed = [weigh_now(state[2], k)[2] for k in _batches(keys)]
        k_hat, weights = _pareto(np.concatenate(weighed))
        at = systematic(weights, settings.draws, rng) if k_hat <= K_HAT else np.arange(settings.draws)
        # What is kept is drawn a second time: the others would fill the memory where people are many.
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
            *_rise(elbo),
            compiling,
            perf_counter() - started,
        )

    return run


def _batches(keys: Any) -> list[Any]:
    return [keys[i : i + _BATCH] for i in range(0, len(keys), _BATCH)]


def _pareto(log_weight: np.ndarray) -> tuple[float, np.ndarray]:
    """k-hat, and the smoothed weights; where the density is not a number, a draw has none."""
    log_weight = np.where(np.isnan(log_weight), -np.inf, log_weight)
    some = np.isfinite(log_weight)
    if np.ptp(log_weight[some]) < 1e-6:  # the posterior is in the family, and was found
        return 0.0, np.where(some, 1.0, 0.0) / some.sum()
    smooth, k_hat = smoothed_weights(-log_weight[some, None])
    weights = np.zeros(len(log_weight))
    weights[some] = np.exp(smooth[:, 0])
    return float(k_hat[0]), weights


def _rise(elbo: np.ndarray) -> tuple[float, float]:
    """How much higher the bound was in the last tenth than in the tenth before it, and its standard error."""
    tenth = len(elbo) // 10
    before, last = (x[np.isfinite(x)] for x in (elbo[-2 * tenth : -tenth], elbo[-tenth:]))
    if min(len(before), len(last)) < 2:
        return np.inf, 0.0
    return float(last.mean() - before.mean()), float(np.sqrt(before.var() / len(before) + last.var() / len(last)))
