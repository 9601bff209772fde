"""NUTS in chunks: the draws do not depend on how the run is divided, so it can show progress and be interrupted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree
from numpyro.infer.hmc import HMCState

from bayescal._types import Key
from bayescal.errors import InputError
from bayescal.evaluation.compile import Aside, random_keys
from bayescal.evaluation.density import Density, Raw, Values
from bayescal.posterior import checkpoint as files
from bayescal.posterior.chains import over_chains
from bayescal.posterior.convergence import ESS, convergence_of_draws
from bayescal.posterior.kernel import PLATEAU, Kernel, statistics
from bayescal.posterior.metric import agree, window_ends

Progress = Callable[[int, int], None]  # (iterations done, iterations in all)
Rows = dict[str, np.ndarray]  # "draw SITE" and "stat NAME", each (chain, draw, …)

LONGEST = 6  # most draws of a chain that is hard to sample, in multiples of those that are asked for
CHUNK = 100  # most iterations of one call of the compiled program
_PACE = 2.0  # seconds that a call should take, where iterations are slow


@dataclass(frozen=True)
class NUTS:
    """The settings of a run of the No-U-Turn sampler (Hoffman & Gelman 2014).

    Args:
        draws, warmup, chains: kept and adaptation iterations of each chain, and the number of chains.
        seed: of everything random.
        target_accept: acceptance probability that the step size is adapted to.
        longest: most draws of each chain. While R-hat or the effective sample size is not good enough, `draws` more
            are taken, up to this number; None takes no more.
        progress: called with (iterations done, iterations in all).
        checkpoint: a file for the state of the run. If it exists, the run resumes from it and gives the draws that it
            would have given without interruption; a checkpoint of another run is refused. `fit.save` removes it.
        every: iterations between two checkpoints.
        resume: whether to resume from an existing checkpoint; if False it is overwritten.

    Chains run in parallel after `bayescal.use_cores(n)`, which must be called before anything else uses JAX; otherwise
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
        """The settings that the draws depend on, for a checkpoint."""
        names = ("draws", "warmup", "chains", "seed", "target_accept", "longest")
        return {n: str(getattr(self, n)) for n in names}


def longest_of(draws: int, chains: int) -> int | None:
    """Up to how many draws of each chain short chains are extended by commands; None for a run that is too short by
    what was asked for, as a first try is.

    Example:
        >>> from bayescal.posterior.nuts import longest_of
        >>> longest_of(1000, 4), longest_of(50, 2)
        (6000, None)
    """
    return LONGEST * draws if chains > 1 and draws * chains >= ESS else None


@dataclass(frozen=True)
class Draws:
    """What the sampler drew.

    Attributes:
        values: draws (chain, draw, …) by latent site, on the site's own scale.
        stats: the sampler's statistics (chain, draw).
        seconds_compiling, seconds: of compilation and sampling.
        resumed_after: iterations of the checkpoint that the run resumed from; 0 if there was none.
    """

    values: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    seconds_compiling: float
    seconds: float
    resumed_after: int = 0


@dataclass(frozen=True, eq=False)
class _Chain:
    """One chain of a model: where it starts, how it moves, and what is kept of it.

    Attributes:
        units: (median, sd) of approximate posterior draws on the unconstrained scale, or None. The chain moves in these
            units: a posterior of many people is a thousand times narrower than the unconstrained scale, and warm-up
            would be long.
        chunk: most iterations of one call.
    """

    density: Density
    settings: NUTS
    units: tuple[Raw, Raw] | None
    chunk: int

    def _raw(self, at: Raw) -> Raw:
        """Unconstrained numbers of a point in the chain's units."""
        if self.units is None:
            return at
        middle, sd = self.units
        return {n: middle[n] + sd[n] * x for n, x in at.items()}

    def _point(self, values: Values) -> Raw:
        """The inverse of `_raw`, from values on the sites' own scale."""
        raw = self.density.unconstrain(values)
        if self.units is None:
            return raw
        middle, sd = self.units
        return {n: (x - middle[n]) / sd[n] for n, x in raw.items()}

    def potential(self, at: Raw) -> Float[Array, ""]:
        return self.density.potential(self._raw(at))

    @cached_property
    def _dense(self) -> bool:
        """A dense metric halves the steps of a hierarchical model, but a few transitions then diverge: diagonal there.
        Models of a few scalars may have high correlations (the two costs of a bus engine), where it pays."""
        return not any(s.shape for s in self.density.sites.values())

    @cached_property
    def _one_mode(self) -> bool:
        """Whether the chain starts at the highest mode that was found; a long first step would leave it."""
        return self._dense and self.units is None

    @cached_property
    def kernel(self) -> Kernel:
        step = 0.1 if self._one_mode else 1.0
        settings = self.settings
        return Kernel(self.potential, settings.warmup, settings.target_accept, dense=self._dense, step_size=step)

    def begin(self, key: Key, centre: Values) -> HMCState:
        """A chain that starts near `centre`: within half a unit of it, or within a tenth where it is a mode."""
        near = 0.1 if self._one_mode else 0.5
        move, go = jax.random.split(key)
        leaves, tree = jax.tree.flatten(self._point(centre))
        keys = jax.random.split(move, len(leaves))
        moved = [x + jax.random.uniform(k, x.shape, x.dtype, -near, near) for x, k in zip(leaves, keys, strict=True)]
        return self.kernel.init_on_plateau(go, jax.tree.unflatten(tree, moved))

    def record(self, state: HMCState) -> dict[str, Array]:
        """What is kept of an iteration."""
        draws = self.density.constrain(self._raw(state.z))
        return {f"draw {n}": x for n, x in draws.items()} | {f"stat {n}": x for n, x in statistics(state).items()}

    def advance(self, given: tuple[HMCState, Int[Array, ""]]) -> tuple[HMCState, dict[str, Array]]:
        """(the state after n iterations, a record of each). n is an argument, so that one program is compiled; the
        records beyond it are zero."""
        state, n = given
        empty = jax.tree.map(lambda x: jnp.zeros((self.chunk, *x.shape), x.dtype), jax.eval_shape(self.record, state))

        def step(i: Int[Array, ""], carry: PyTree) -> PyTree:
            state, rows = carry
            state = self.kernel.step(state)
            return state, jax.tree.map(lambda row, x: row.at[i].set(x), rows, self.record(state))

        return jax.lax.fori_loop(0, n, step, (state, empty))


def compile_nuts(
    density: Density, settings: NUTS, facts: files.Facts | None = None, around: Values | None = None
) -> Callable[[np.random.Generator, Values], Draws]:
    """Trace the sampler of a model, and start to compile it in another thread.

    Args:
        facts: what a checkpoint must agree with, beside the settings.
        around: approximate posterior draws by site. The chains then move in units of their sd.

    Returns:
        `run(rng, centre) -> Draws`, where chains start near `centre`.
    """
    chain = _Chain(density, settings, None if around is None else _units(density, around), CHUNK)
    keys = random_keys(np.random.default_rng(), settings.chains)
    centre = {n: jax.ShapeDtypeStruct(s.shape, float) for n, s in density.sites.items()}
    begin = jax.jit(jax.vmap(chain.begin, in_axes=(0, None)))
    states = jax.eval_shape(begin, keys, centre)
    facts = settings.facts | (facts or {})
    path = None if settings.checkpoint is None else Path(settings.checkpoint)
    found = files.read(path, facts) if path is not None and settings.resume and path.exists() else None
    if path is not None and found is not None:
        files.check_arrays(path, found, states, jax.eval_shape(jax.vmap(chain.record), states), settings.warmup)
        _refuse_other_density(path, chain.potential, files.from_arrays(found.state, states))
    begin = Aside(begin, keys, centre, brief=True)
    counts = jax.ShapeDtypeStruct((settings.chains,), jnp.int32)
    advance = Aside(over_chains(settings.chains)(chain.advance), (states, counts))

    def run(rng: np.random.Generator, centre: Values) -> Draws:
        keys = random_keys(rng, settings.chains)  # also when resuming, so that later draws from `rng` stay the same
        if found is None:
            state, done, before, rows = begin(keys, dict(centre)), 0, 0.0, []
        else:
            state, rows = files.from_arrays(found.state, states), [found.kept]
            done, before = found.done, found.seconds
        compiling = advance.seconds
        started = perf_counter()
        total, windows, n = _first_total(settings, done), window_ends(settings.warmup), 10
        while True:
            if done == total:
                rows = [_join(rows)]
                if total == _most(settings) or _enough(rows[0]):
                    break
                total = min(total + settings.draws, _most(settings))
            since = perf_counter()
            window_end = next((end for end in windows if end > done), total)
            n = min(n, chain.chunk, window_end - done, total - done, settings.every - done % settings.every)
            state, new = advance((state, jnp.full(settings.chains, n, jnp.int32)))
            warming = max(settings.warmup - done, 0)  # iterations that are not kept
            rows.append({k: np.asarray(x)[:, warming:n] for k, x in new.items()})
            done += n
            if done in windows:
                state = agree(state)
            if path is not None and (done % settings.every == 0 or done == total):
                rows = [_join(rows)]
                seconds = before + perf_counter() - started
                files.write(path, facts, files.Checkpoint(done, seconds, files.to_arrays(state), rows[0]))
            if settings.progress is not None:
                settings.progress(done, total)
            n = max(1, int(n * min(_PACE / (perf_counter() - since), chain.chunk)))
        values, stats = (
            {k.removeprefix(kind): x for k, x in rows[0].items() if k.startswith(kind)} for kind in ("draw ", "stat ")
        )
        return Draws(values, stats, compiling, before + perf_counter() - started, found.done if found else 0)

    return run


def _units(density: Density, around: Values) -> tuple[Raw, Raw]:
    raw = {n: np.asarray(x) for n, x in density.unconstrain(around).items()}
    return {n: np.median(x, axis=0) for n, x in raw.items()}, {n: np.std(x, axis=0) for n, x in raw.items()}


def _most(settings: NUTS) -> int:
    """Most iterations of a chain, warm-up included."""
    return settings.warmup + max(settings.draws, settings.longest or 0)


def _first_total(settings: NUTS, done: int) -> int:
    """Iterations after which the draws are judged next, when some have been made already."""
    total = settings.warmup + settings.draws
    while total < done:
        total = min(total + settings.draws, _most(settings))
    return total


def _enough(rows: Rows) -> bool:
    """Whether the draws pass the rule of the fit's status."""
    found = convergence_of_draws({k: x for k, x in rows.items() if k.startswith("draw ")})
    return found.agree and found.long_enough


def _join(parts: list[Rows]) -> Rows:
    return {k: np.concatenate([p[k] for p in parts], axis=1) for k in parts[0]}


def _refuse_other_density(path: Path, potential: Callable[[Raw], Float[Array, ""]], state: HMCState) -> None:
    """Data or weights inside a model that its description does not name still change its density at the checkpoint."""
    now = np.asarray(jax.jit(lambda at: jax.lax.map(potential, at))(state.z))
    saved = np.asarray(state.potential_energy)
    if not np.all(np.isclose(now, saved, rtol=1e-6, atol=1e-6) | (saved > PLATEAU / 2)):
        change = f"at its first chain's point the log density was {-saved[0]:.6g} and is {-now[0]:.6g} now"
        raise files.other_run(path, f"the model or its data have changed ({change})")
