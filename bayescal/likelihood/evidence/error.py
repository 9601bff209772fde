"""Errors of compressed curves relative to the exact likelihood, in nats."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.domain import Domain
from bayescal.errors import InputError
from bayescal.likelihood import chebyshev

Progress = Callable[[int, int], None]  # (evaluations done, in all)

_NEAR = 20.0  # a curve must be accurate within this many nats of a person's best
_NEAR_MARGINAL = 40.0  # the same for integrals over costs: populations further from the data are implausible
_POINTS = 24  # random points at which errors are measured, in addition to the corners


@dataclass(frozen=True)
class Error:
    """The largest errors relative to the exact likelihood, in nats.

    Attributes:
        curve: error of a person's curve, within 20 nats of its maximum.
        broad, narrow: error of a person's log marginal likelihood, with costs uniform over the nodes or concentrated on
            about a fifth of them.
        total: error of the sum over people of the log marginal likelihoods, which is the error of the posterior.
    """

    curve: float = 0.0
    broad: float = 0.0
    narrow: float = 0.0
    total: float = 0.0

    @property
    def person(self) -> float:
        return max(self.curve, self.broad, self.narrow)

    def __add__(self, other: "Error") -> "Error":
        return Error(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


class Bounds(NamedTuple):
    """The largest errors allowed: per person, and of the sum over people."""

    person: float
    total: float

    def hold(self, error: Error, share: float = 1.0) -> bool:
        """Whether an error is within this share of the bounds."""
        return error.person <= share * self.person and error.total <= share * self.total


class Unresolved(InputError):
    """The likelihood cannot be compressed within the given bounds.

    Attributes:
        error: the measured errors.
    """

    def __init__(self, message: str, error: Error):
        super().__init__(message)
        self.error = error


class Tally:
    """Collects errors part by part: each person's largest error, and sums over people at each point.

    Raises InputError if the parts do not contain the likelihood's people once each and in order.
    """

    def __init__(self, labels: tuple[str, ...], evaluations: int, progress: Progress | None):
        self.labels, self.seen = labels, 0
        self.largest: list[Float[np.ndarray, "people 3"]] = []
        self.sums: Float[np.ndarray, "points ways"] | float = 0.0
        self.done, self.evaluations, self.progress = 0, evaluations * len(labels), progress

    def next(self, labels: tuple[str, ...]) -> slice:
        """Indices of the people of the next part."""
        here = slice(self.seen, self.seen + len(labels))
        if self.labels[here] != labels:
            raise InputError("The likelihood's shards do not contain its participants once each and in their order.")
        self.seen = here.stop
        return here

    def finish(self) -> None:
        if self.seen < len(self.labels):
            raise InputError("The likelihood's shards do not contain all of its participants.")

    def add(self, largest: Float[np.ndarray, "people 3"], sums: Float[np.ndarray, "points ways"]) -> None:
        self.largest.append(largest)
        self.sums = self.sums + sums

    def advance(self, evaluations: int) -> None:
        """Report this many more evaluations of one person's curve."""
        self.done += evaluations
        if self.progress is not None:
            self.progress(self.done, self.evaluations)

    @property
    def by_person(self) -> Float[np.ndarray, " people"]:
        return np.concatenate(self.largest).max(axis=1)

    @property
    def error(self) -> Error:
        return Error(*map(float, np.concatenate(self.largest).max(axis=0)), float(np.abs(self.sums).max()))


def distance(
    exact: Float[Array, "people nodes"], approximate: Float[Array, "people nodes"], weights: Float[Array, "ways nodes"]
) -> tuple[Float[Array, "people 3"], Float[Array, "people ways"]]:
    """(curve, broad and narrow error of each person, signed errors of the log marginal likelihoods)."""
    best = exact.max(axis=1, keepdims=True)
    near = jnp.maximum(exact, approximate) > best - _NEAR
    curve = jnp.max(jnp.abs(jnp.where(near, approximate - exact, 0.0)), axis=1)

    def marginal(w):
        true = jax.nn.logsumexp(exact - best + w, axis=1)
        gap = jax.nn.logsumexp(approximate - best + w, axis=1) - true
        return jnp.where(true > -_NEAR_MARGINAL, gap, 0.0)

    gaps = jax.lax.map(marginal, weights).T
    size = jnp.abs(gaps)
    return jnp.stack([curve, size[:, 0], size[:, 1:].max(axis=1)], axis=1), gaps


@jax.jit
def distances(
    exact: Float[Array, "points people nodes"],
    approximate: Float[Array, "points people nodes"],
    weights: Float[Array, "ways nodes"],
) -> tuple[Float[Array, "points people 3"], Float[Array, "points people ways"]]:
    """`distance` at many points."""
    return jax.lax.map(lambda pair: distance(*pair, weights), (exact, approximate))


def trial_weights(log_cost: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, "ways nodes"]:
    """Log weights of trial populations: uniform, and normal at five means with an sd of a twelfth of the range."""
    middle, spread = np.linspace(log_cost[0], log_cost[-1], 7)[1:-1, None], np.ptp(log_cost) / 12 + 1e-300
    kernels = -0.5 * ((log_cost - middle) / spread) ** 2
    rows = np.concatenate([np.zeros((1, len(log_cost))), kernels])
    return rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)


def trial_points(domain: Domain, rng: np.random.Generator) -> Float[np.ndarray, "points numbers"]:
    """Random points and the corners, in [-1, 1]; for a box without numbers, its one point."""
    numbers = len(domain.names)
    if not numbers:
        return np.zeros((1, 0))
    return np.concatenate([rng.uniform(-1, 1, (_POINTS, numbers)), chebyshev.corners(numbers)])


def status(
    error: Error,
    bounds: Bounds,
    degrees: tuple[int, ...],
    rank: int,
    domain: Domain,
    most_nodes: int | None = None,
) -> str:
    """One sentence on the measured errors."""
    nodes = int(np.prod([d + 1 for d in degrees]))
    how = ", ".join(f"{n} {d}" for n, d in zip(domain.names, degrees, strict=True)) or "nothing shared"
    facts = (
        f"off by at most {error.person:.1e} nats a person (bound {bounds.person:.0e}) and {error.total:.1e} in all "
        f"(bound {bounds.total:.0e}), with degrees {how} and rank {rank}"
    )
    if bounds.hold(error):
        return f"compressed: {facts}"
    limit = f"no more than {most_nodes} nodes are allowed" if most_nodes else f"with {nodes} nodes"
    return f"not compressed: {facts}, {limit}; the likelihood itself is used. A smaller box or more nodes would help."
