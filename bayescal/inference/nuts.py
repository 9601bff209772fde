"""NUTS, in chunks: the same draws however the run is divided, so that it can show progress."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.infer import NUTS as Kernel
from numpyro.infer.util import potential_energy

from bayescal.errors import InputError

Progress = Callable[[int, int], None]  # (iterations done, iterations in all)

CHUNK = 100


@dataclass(frozen=True)
class NUTS:
    """The settings of a run of the No-U-Turn sampler (Hoffman & Gelman 2014).

    Args:
        draws, warmup, chains: kept iterations and adaptation iterations of each chain, and how many chains.
        seed: everything random follows from it.
        target_accept: the acceptance that the step size is adapted to.
        progress: called with (iterations done, iterations in all) now and then.
    """

    draws: int = 1000
    warmup: int = 600
    chains: int = 4
    seed: int = 0
    target_accept: float = 0.9
    progress: Progress | None = None

    def __post_init__(self) -> None:
        small = [f"{n} is {v}" for n, v in self._sizes().items() if not (isinstance(v, int) and v >= 1)]
        if small:
            raise InputError(f"NUTS: {', '.join(small)}: draws, warmup and chains are whole numbers of at least 1.")

    def _sizes(self) -> dict[str, Any]:
        return {"draws": self.draws, "warmup": self.warmup, "chains": self.chains}


@dataclass(frozen=True)
class Draws:
    """What the sampler saw: latent sites on their own scale, its statistics, and how long it took."""

    posterior: dict[str, np.ndarray]  # (chain, draw, *shape)
    stats: dict[str, np.ndarray]
    seconds_compiling: float
    seconds_sampling: float


def run_nuts(
    model: Callable[[], None],
    settings: NUTS,
    key: Any,
    centre: Mapping[str, np.ndarray],
    supports: Mapping[str, Any],
) -> Draws:
    """Draw from the posterior of a NumPyro model.

    Args:
        centre: where the chains begin, each within half a unit of it on the unconstrained scale: prior medians.
        supports: of the latent sites.
    """
    transforms = {n: biject_to(s) for n, s in supports.items()}

    def constrain(z):
        return {n: transforms[n](x) for n, x in z.items()}

    # A dense mass matrix takes half the steps in a hierarchy, and diverges in a few of them: diagonal.
    kernel = Kernel(
        potential_fn=lambda z: potential_energy(model, (), {}, z), target_accept_prob=settings.target_accept
    )
    start = {n: transforms[n].inv(jnp.asarray(x, float)) for n, x in centre.items()}
    each_chain = _over_chains(settings.chains)

    def begin(key):
        move, go = jax.random.split(key)
        leaves, tree = jax.tree.flatten(start)
        keys = jax.random.split(move, len(leaves))
        near = [x + jax.random.uniform(k, x.shape, x.dtype, -0.5, 0.5) for x, k in zip(leaves, keys, strict=True)]
        return kernel.init(go, settings.warmup, jax.tree.unflatten(tree, near), (), {})

    def advance(state):
        def step(state, _):
            state = kernel.sample(state, (), {})
            return state, (state.z, _statistics(state))

        return jax.lax.scan(step, state, None, length=CHUNK)

    started = perf_counter()
    state = each_chain(begin)(jax.random.split(key, settings.chains))
    run = each_chain(advance).lower(state).compile()
    compiled = perf_counter()
    total = settings.warmup + settings.draws
    chunks = []
    for done in range(0, total, CHUNK):
        state, kept = run(state)
        chunks.append(jax.tree.map(np.asarray, kept))
        if settings.progress is not None:
            settings.progress(min(done + CHUNK, total), total)
    z, stats = jax.tree.map(lambda *x: np.concatenate(x, axis=1)[:, settings.warmup : total], *chunks)
    sampled = perf_counter()
    posterior = jax.jit(jax.vmap(jax.vmap(lambda z: _deterministic(model, constrain(z)))))(z)
    return Draws(jax.tree.map(np.asarray, posterior), stats, compiled - started, sampled - compiled)


def _deterministic(model: Callable[[], None], values: dict[str, Any]) -> dict[str, Any]:
    """The latent values and the deterministic ones that follow from them."""
    trace = handlers.trace(handlers.seed(handlers.substitute(model, data=values), jax.random.key(0))).get_trace()
    return values | {n: s["value"] for n, s in trace.items() if s["type"] == "deterministic"}


def _statistics(state: Any) -> dict[str, Any]:
    """ArviZ's names for what the kernel reports of an iteration."""
    return {
        "diverging": state.diverging,
        "energy": state.energy,
        "lp": -state.potential_energy,
        "n_steps": state.num_steps,
        "tree_depth": jnp.ceil(jnp.log2(state.num_steps + 1.0)).astype(jnp.int32),
        "acceptance_rate": state.accept_prob,
        "step_size": state.adapt_state.step_size,
    }


def _over_chains(chains: int) -> Callable[..., Any]:
    """Map over chains: on as many devices at once as divide them, one after another on each.

    Vectorised chains wait for the longest trajectory among them, which measures slower on a CPU.
    """
    devices = max(n for n in range(1, jax.local_device_count() + 1) if chains % n == 0)
    if devices == 1:
        return lambda f: jax.jit(lambda x: jax.lax.map(f, x))

    def parallel(f):
        run = jax.pmap(lambda x: jax.lax.map(f, x), devices=jax.local_devices()[:devices])

        def split(x):
            return jax.tree.map(lambda a: a.reshape(devices, chains // devices, *a.shape[1:]), x)

        def join(x):
            return jax.tree.map(lambda a: a.reshape(chains, *a.shape[2:]), x)

        return _Staged(run, split, join)

    return parallel


@dataclass(frozen=True)
class _Staged:
    """A pmapped function of (chains, …) trees, with jit's `lower(…).compile()`."""

    run: Any
    split: Callable[[Any], Any]
    join: Callable[[Any], Any]

    def __call__(self, x: Any) -> Any:
        return self.join(self.run(self.split(x)))

    def lower(self, x: Any) -> "_Staged":
        return _Staged(self.run.lower(self.split(x)), self.split, self.join)

    def compile(self) -> "_Staged":
        return _Staged(self.run.compile(), self.split, self.join)
