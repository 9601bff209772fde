"""The posterior on a grid: exact up to the grid's spacing, for models of one to three scalars."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.infer.util import log_density

from bayescal.errors import InputError
from bayescal.evaluation.batches import systematic
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import compile_prior

_MOST = 3  # parameters
_BATCH = 256  # points in one call of the compiled program
_OUTSIDE = 1e-7  # posterior mass left outside on either side by a pass that places the grid


@dataclass(frozen=True)
class Grid:
    """Evaluate the posterior on a grid of every parameter.

    Args:
        points: along each parameter.
        ranges: by parameter. Without one, three passes place the grid around the posterior's mass, starting from the
            middle 99.9 % of the hyperprior.
        draws: resampled from the grid for the fit's posterior group.
        seed: of these draws.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> fit = bc.infer(model, bc.Grid(points=40, draws=1000))
        >>> fit.tree["posterior"].sizes["draw"]
        1000
    """

    points: int = 60
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    draws: int = 4000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.points < 5 or self.draws < 10:
            raise InputError(f"Grid: {self.points} points and {self.draws} draws: at least 5 and 10 are needed.")


@dataclass(frozen=True)
class Gridded:
    """The posterior on a grid.

    Attributes:
        points: by parameter.
        probability: of each cell, with an axis for each parameter.
        values: draws (1, draw) by parameter.
        edge: the probability of the outermost cells.
    """

    points: dict[str, Float[np.ndarray, " points"]]
    probability: Float[np.ndarray, "..."]
    values: dict[str, Float[np.ndarray, "1 draws"]]
    edge: float
    seconds_compiling: float
    seconds: float

    @property
    def stats(self) -> dict[str, np.ndarray]:
        return {}

    @property
    def moments(self) -> dict[str, tuple[float, float]]:
        """(mean, sd) of each parameter, from the grid itself."""
        out = {}
        for i, (name, x) in enumerate(self.points.items()):
            p = _marginal(self.probability, i)
            mean = float(p @ x)
            out[name] = (mean, float(np.sqrt(p @ (x - mean) ** 2)))
        return out


def compute_grid(density: Density, settings: Grid) -> Gridded:
    """Evaluate a model's density on a grid. Call it in float64."""
    names = list(density.names)
    many = [n for n, s in density.sites.items() if s.shape]
    if many or not 1 <= len(names) <= _MOST:
        raise InputError(
            f"A grid is for one to {_MOST} scalar parameters; this model has {', '.join(names)}"
            f"{' (' + ', '.join(many) + ' with many entries)' if many else ''}: use NUTS."
        )
    unknown = sorted(set(settings.ranges) - set(names))
    if unknown:
        raise InputError(f"Grid: ranges name {', '.join(unknown)}; the model has {', '.join(names)}.")
    started = perf_counter()
    joint = lambda x: log_density(density.model, (), {}, dict(zip(names, x, strict=True)))[0]
    at = jnp.zeros((_BATCH, len(names)))
    batched = jax.jit(lambda x: jax.lax.map(joint, x)).lower(at).compile()
    rng = np.random.default_rng(settings.seed)
    prior = compile_prior(density.model, 4000)(rng)
    ranges = {n: tuple(np.quantile(prior[n], (0.0005, 0.9995))) for n in names} | dict(settings.ranges)
    compiling, started = perf_counter() - started, perf_counter()

    def evaluate(
        ranges: Mapping[str, tuple[float, float]], points: int
    ) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "..."]]:
        axes = {n: np.linspace(*ranges[n], points) for n in names}
        mesh = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1)
        flat = mesh.reshape(-1, len(names))
        pad = -len(flat) % _BATCH
        rows = np.concatenate([flat, np.repeat(flat[:1], pad, axis=0)]).reshape(-1, _BATCH, len(names))
        log_p = np.concatenate([np.asarray(batched(jnp.asarray(r))) for r in rows])[: len(flat)]
        log_p = np.where(np.isnan(log_p), -np.inf, log_p).reshape(mesh.shape[:-1])
        p = np.exp(log_p - log_p.max())
        return axes, p / p.sum()

    for _ in range(2 if set(ranges) - set(settings.ranges) else 0):
        coarse, p = evaluate(ranges, max(settings.points // 3, 5))
        for i, (n, x) in enumerate(coarse.items()):
            if n in settings.ranges:
                continue
            mass = np.cumsum(_marginal(p, i))
            low, high = (np.searchsorted(mass, q) for q in (_OUTSIDE, 1 - _OUTSIDE))
            ranges[n] = (x[max(low - 1, 0)], x[min(high + 1, len(x) - 1)])
    axes, p = evaluate(ranges, settings.points)
    inner = p[tuple(slice(1, -1) for _ in names)].sum()
    return Gridded(axes, p, _draws(axes, p, settings.draws, rng), float(1 - inner), compiling, perf_counter() - started)


def _marginal(p: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, " points"]:
    return p.sum(axis=tuple(k for k in range(p.ndim) if k != axis))


def _draws(axes: dict[str, np.ndarray], p: np.ndarray, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Cells by systematic resampling, and a uniform point inside each."""
    where = np.unravel_index(systematic(p.ravel(), n, rng), p.shape)
    spread = lambda x: (x[1] - x[0]) * rng.uniform(-0.5, 0.5, n)
    return {name: (x[i] + spread(x))[None] for (name, x), i in zip(axes.items(), where, strict=True)}
