"""NUTS, in chunks: the same draws however the run is divided, so that it can show progress and be interrupted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to
from numpyro.infer import NUTS as Kernel
from numpyro.infer.util import potential_energy

from bayescal.errors import InputError
from bayescal.evaluation.compile import Aside, random_keys
from bayescal.posterior import checkpoint as files
from bayescal.posterior.metric import agree, window_ends
from bayescal.posterior.status import enough

Progress = Callable[[int, int], None]  # (iterations done, iterations in all)

CHUNK = 100  # iterations at most between two looks at the run
_PACE = 2.0  # seconds between them, where iterations are slow
_PLAIN = 1e15  # above the potential of any data


@dataclass(frozen=True)
class NUTS:
    """The settings of a run of the No-U-Turn sampler (Hoffman & Gelman 2014).

    Args:
        draws, warmup, chains: kept iterations and adaptation iterations of each chain, and how many chains.
        seed: everything random follows from it.
        target_accept: the acceptance that the step size is adapted to.
        longest: while chains do not agree, or are worth too few independent draws, so many draws again are added, up to
            this many in all; none when None.
        progress: called with (iterations done, iterations in all) now and then.
        checkpoint: a file to keep the state of the run in. Where it exists the run goes on from it, and gives the draws
            that it would have given uninterrupted; a checkpoint of another run is refused. `fit.save` removes it.
        every: iterations between two checkpoints.
        resume: whether to go on from a checkpoint that exists; if not, it is overwritten.

    Chains run side by side after `bayescal.use_cores(n)`, which must be called before anything else uses JAX; otherwise
    one after another.

    Example:
        >>> import bayescal as bc
        >>> import numpyro, numpyro.distributions as dist
        >>> def model():
        ...     x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        ...     numpyro.sample("y", dist.Normal(x, 1.0), obs=2.0)
        >>> fit = bc.infer(model, bc.NUTS(draws=500, warmup=200, chains=2, seed=1))
        >>> fit.tree["posterior"]["x"].shape, abs(float(fit.tree["posterior"]["x"].mean()) - 1.0) < 0.2
        ((2, 500), True)
    """

    draws: int = 1000
    warmup: int = 600
    chains: int = 4
    seed: int = 0
    target_accept: float = 0.9
    longest: int | None = None
    progress: Progress | None = None
    checkpoint: str | Path | None = None
    every: int = 100
    resume: bool = True

    def __post_init__(self) -> None:
        sizes = {n: getattr(self, n) for n in ("draws", "warmup", "chains", "every")}
        small = [f"{n} is {v}" for n, v in sizes.items() if not (isinstance(v, int) and v >= 1)]
        if small:
            raise InputError(f"NUTS: {', '.join(small)}: {', '.join(sizes)} are whole numbers of at least 1.")

    @property
    def facts(self) -> files.Facts:
        """What the draws depend on."""
        names = ("draws", "warmup", "chains", "seed", "target_accept", "longest")
        return {n: str(getattr(self, n)) for n in names}


@dataclass(frozen=True)
class Draws:
    """What the sampler saw: latent sites on their own scale, its statistics, and how long it took."""

    values: dict[str, np.ndarray]  # (chain, draw, *shape)
    stats: dict[str, np.ndarray]
    seconds_compiling: float
    seconds: float
    resumed_after: int = 0  # iterations


def compile_nuts(
    model: Callable[[], Any],
    settings: NUTS,
    supports: Mapping[str, Any],
    shapes: Mapping[str, Any],
    facts: files.Facts | None = None,
    around: Mapping[str, Any] | None = None,
) -> Callable[[np.random.Generator, Mapping[str, Any]], Draws]:
    """Trace the sampler of a NumPyro model, and begin to compile it in another thread.

    Args:
        supports, shapes: of the latent sites, on their own scale.
        facts: what a checkpoint must agree with, beside the settings.
        around: draws from about where the posterior is, by site. The chains then move in units of their sd: the
            posterior of many people is a thousandth of the unconstrained scale wide, and is long to find there.

    Returns:
        `run(rng, centre) -> Draws`: the chains begin within half a unit of `centre` (on the unconstrained scale), or,
        where all that is sampled are a few numbers, within a tenth.
    """
    transforms = {n: biject_to(s) for n, s in supports.items()}
    middle, unit = dict.fromkeys(shapes, 0.0), dict.fromkeys(shapes, 1.0)
    if around is not None:
        apart = {n: np.asarray(transforms[n].inv(jnp.asarray(x, float))) for n, x in around.items()}
        middle, unit = ({n: f(x, axis=0) for n, x in apart.items()} for f in (np.median, np.std))
    place = lambda u: u if around is None else {n: middle[n] + unit[n] * x for n, x in u.items()}
    # A dense mass matrix takes half the steps in a hierarchy, and diverges in a few of them: diagonal there. A few
    # numbers may be highly correlated (the two costs of a bus engine are), and then it is worth having.
    dense = not any(shapes.values())
    # A few numbers may have several hills, and begin on the highest that was found: a long first step would leave it.
    near, first_step = (0.1, 0.1) if dense and around is None else (0.5, 1.0)
    potential = lambda u: potential_energy(model, (), {}, place(u))
    how: dict[str, Any] = {"target_accept_prob": settings.target_accept, "dense_mass": dense, "step_size": first_step}
    kernel = Kernel(potential_fn=potential, **how)
    # Compiling the model's gradient a second time, only to evaluate it where the chains begin, takes seconds: they
    # begin on a flat plain so high that the first step onto the true surface, in warm-up, is always taken.
    plain = Kernel(potential_fn=lambda z: _PLAIN + 0.0 * sum(x.sum() for x in jax.tree.leaves(z)), **how)
    each_chain = over_chains(settings.chains)

    def unconstrain(values):
        z = {n: transforms[n].inv(jnp.asarray(x, float)) for n, x in values.items()}
        return z if around is None else {n: (x - middle[n]) / unit[n] for n, x in z.items()}

    def begin(key, centre, kernel=plain):
        move, go = jax.random.split(key)
        leaves, tree = jax.tree.flatten(unconstrain(centre))
        keys = jax.random.split(move, len(leaves))
        moved = [x + jax.random.uniform(k, x.shape, x.dtype, -near, near) for x, k in zip(leaves, keys, strict=True)]
        return kernel.init(go, settings.warmup, jax.tree.unflatten(tree, moved), (), {})

    def keep(state):
        return {n: transforms[n](x) for n, x in place(state.z).items()}, _statistics(state)

    def advance(given):
        """So many iterations, up to CHUNK: how many is known only when it runs, so that one program is compiled."""
        state, n = given
        kept = jax.tree.map(lambda x: jnp.zeros((size, *x.shape), x.dtype), jax.eval_shape(keep, state))

        def step(i, carry):
            state, kept = carry
            state = kernel.sample(state, (), {})
            return state, jax.tree.map(lambda rows, x: rows.at[i].set(x), kept, keep(state))

        return jax.lax.fori_loop(0, n, step, (state, kept))

    size, most = CHUNK, settings.warmup + max(settings.draws, settings.longest or 0)
    keys = random_keys(np.random.default_rng(), settings.chains)
    centre = {n: jax.ShapeDtypeStruct(s, float) for n, s in shapes.items()}
    jax.eval_shape(partial(begin, kernel=kernel), keys[0], centre)  # kernel.init also readies kernel.sample
    begin_all = jax.jit(jax.vmap(begin, in_axes=(0, None)))
    states = jax.eval_shape(begin_all, keys, centre)
    begin_all = Aside(begin_all, keys, centre, brief=True)
    meet = window_ends(settings.warmup)
    advance_all = Aside(each_chain(advance), (states, jax.ShapeDtypeStruct((settings.chains,), jnp.int32)))
    path = None if settings.checkpoint is None else Path(settings.checkpoint)
    facts = settings.facts | (facts or {})
    found = files.read(path, facts) if path is not None and settings.resume and path.exists() else None
    if path is not None and found is not None:
        _refuse_another(path, potential, files.from_arrays(found.state, states))

    def run(rng, centre) -> Draws:
        keys = random_keys(rng, settings.chains)  # also when resuming: what is drawn from `rng` later stays the same
        done, before, kept = 0, 0.0, []
        if found is None:
            state = begin_all(keys, dict(centre))
        else:
            state = files.from_arrays(found.state, states)
            done, before, kept = found.done, found.seconds, [found.kept]
        compiling = advance_all.seconds
        started = perf_counter()
        n, total = 10, settings.warmup + settings.draws
        while total < done:  # what has been gone beyond was not enough
            total = min(total + settings.draws, most)
        while True:
            if done == total:
                kept = [_join(kept)]
                if total == most or enough(x for k, x in kept[0].items() if k.startswith("draw ")):
                    break
                total = min(total + settings.draws, most)
            since = perf_counter()
            until = next((end for end in meet if end > done), total)
            n = min(n, size, until - done, total - done, settings.every - done % settings.every)
            state, (values, stats) = advance_all((state, jnp.full(settings.chains, n, jnp.int32)))
            rows = {f"{kind} {k}": x for kind, of in (("draw", values), ("stat", stats)) for k, x in of.items()}
            first = max(settings.warmup - done, 0)  # nothing of warm-up is kept
            kept.append({k: np.asarray(x)[:, first:n] for k, x in rows.items()})
            done += n
            if done in meet:
                state = agree(state)
            if path is not None and (done % settings.every == 0 or done == total):
                kept = [_join(kept)]
                seconds = before + perf_counter() - started
                files.write(path, facts, files.Checkpoint(done, seconds, files.to_arrays(state), kept[0]))
            if settings.progress is not None:
                settings.progress(done, total)
            n = max(1, int(n * min(_PACE / (perf_counter() - since), size)))
        values, stats = ({k[5:]: x for k, x in kept[0].items() if k.startswith(kind)} for kind in ("draw ", "stat "))
        return Draws(values, stats, compiling, before + perf_counter() - started, found.done if found else 0)

    return run


def _join(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {k: np.concatenate([p[k] for p in parts], axis=1) for k in parts[0]}


def _refuse_another(path: Path, potential: Callable[[Any], Any], state: Any) -> None:
    """Data or weights that a model holds without showing them still change its density where the chains stood."""
    here = np.asarray(jax.jit(lambda z: jax.lax.map(potential, z))(state.z))
    there = np.asarray(state.potential_energy)
    if not np.all(np.isclose(here, there, rtol=1e-6, atol=1e-6) | (there > _PLAIN / 2)):
        told = f"where its first chain stood, the log density was {-there[0]:.6g} and is {-here[0]:.6g} now"
        raise files.other_run(path, f"the model or its data have changed ({told})")


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


def side_by_side(chains: int) -> int:
    """How many chains run at once, each on a core: see `bayescal.use_cores`."""
    return max(n for n in range(1, jax.local_device_count() + 1) if chains % n == 0)


def over_chains(chains: int) -> Callable[..., Any]:
    """Map over chains: on as many devices at once as divide them, one after another on each.

    Vectorised chains wait for the longest trajectory among them, which measures slower on a CPU.
    """
    devices = side_by_side(chains)
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
