"""NUTS, in chunks: the same draws however the run is divided, so that it can show progress."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to
from numpyro.infer import NUTS as Kernel
from numpyro.infer.util import potential_energy

from bayescal.errors import InputError
from bayescal.inference.aside import Aside, random_keys

Progress = Callable[[int, int], None]  # (iterations done, iterations in all)

CHUNK = 100
_PLAIN = 1e15  # above the potential of any data


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

    values: dict[str, np.ndarray]  # (chain, draw, *shape)
    stats: dict[str, np.ndarray]
    seconds_compiling: float
    seconds_sampling: float


def compile_nuts(model: Callable[[], None], settings: NUTS, supports: Mapping[str, Any], shapes: Mapping[str, Any]):
    """Trace the sampler of a NumPyro model, and begin to compile it in another thread.

    Args:
        supports, shapes: of the latent sites, on their own scale.

    Returns:
        `run(rng, centre) -> Draws`: the chains begin within half a unit of `centre` (on the unconstrained scale).
    """
    transforms = {n: biject_to(s) for n, s in supports.items()}
    # A dense mass matrix takes half the steps in a hierarchy, and diverges in a few of them: diagonal there. A few
    # numbers may be highly correlated (the two costs of a bus engine are), and then it is worth having.
    dense = not any(shapes.values())
    kernel = Kernel(
        potential_fn=lambda z: potential_energy(model, (), {}, z),
        target_accept_prob=settings.target_accept,
        dense_mass=dense,
    )
    # Compiling the model's gradient a second time, only to evaluate it where the chains begin, takes seconds: they
    # begin on a flat plain so high that the first step onto the true surface, in warm-up, is always taken.
    plain = Kernel(
        potential_fn=lambda z: _PLAIN + 0.0 * sum(x.sum() for x in jax.tree.leaves(z)),
        target_accept_prob=settings.target_accept,
        dense_mass=dense,
    )
    each_chain = _over_chains(settings.chains)

    def unconstrain(values):
        return {n: transforms[n].inv(jnp.asarray(x, float)) for n, x in values.items()}

    def begin(key, centre, kernel=plain):
        move, go = jax.random.split(key)
        leaves, tree = jax.tree.flatten(unconstrain(centre))
        keys = jax.random.split(move, len(leaves))
        near = [x + jax.random.uniform(k, x.shape, x.dtype, -0.5, 0.5) for x, k in zip(leaves, keys, strict=True)]
        return kernel.init(go, settings.warmup, jax.tree.unflatten(tree, near), (), {})

    def advance(state):
        def step(state, _):
            state = kernel.sample(state, (), {})
            return state, ({n: transforms[n](x) for n, x in state.z.items()}, _statistics(state))

        return jax.lax.scan(step, state, None, length=CHUNK)

    keys = random_keys(np.random.default_rng(), settings.chains)
    centre = {n: jax.ShapeDtypeStruct(s, float) for n, s in shapes.items()}
    jax.eval_shape(partial(begin, kernel=kernel), keys[0], centre)  # kernel.init also readies kernel.sample
    begin_all = jax.jit(jax.vmap(begin, in_axes=(0, None)))
    states = jax.eval_shape(begin_all, keys, centre)
    begin_all = Aside(begin_all, keys, centre, brief=True)
    advance_all = Aside(each_chain(advance), states)

    def run(rng, centre) -> Draws:
        state = begin_all(random_keys(rng, settings.chains), dict(centre))
        compiling = advance_all.seconds
        started = perf_counter()
        total = settings.warmup + settings.draws
        chunks = []
        for done in range(0, total, CHUNK):
            state, kept = advance_all(state)
            chunks.append(jax.tree.map(np.asarray, kept))
            if settings.progress is not None:
                settings.progress(min(done + CHUNK, total), total)
        values, stats = jax.tree.map(lambda *x: np.concatenate(x, axis=1)[:, settings.warmup : total], *chunks)
        return Draws(values, stats, compiling, perf_counter() - started)

    return run


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
        return _Staged(self.run.lower(jax.eval_shape(self.split, x)), self.split, self.join)

    def compile(self) -> "_Staged":
        return _Staged(self.run.compile(), self.split, self.join)
