"""The construction of an evidence: a basis from a pilot sample, then the projection of all people and its error."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import AnyArray
from bayescal.domain import Domain
from bayescal.errors import InputError
from bayescal.likelihood.evidence.basis import Basis, find_basis, levels
from bayescal.likelihood.evidence.curves import Curves, Part, Pilot, Work, refuse_infinite
from bayescal.likelihood.evidence.error import (
    Bounds,
    Error,
    Progress,
    Tally,
    Unresolved,
    distance,
    status,
    trial_points,
)

_ATTEMPTS = 3  # to find a basis that is accurate enough for all people


@dataclass(frozen=True)
class Options:
    """See `Evidence.build`."""

    bounds: Bounds
    most_nodes: int
    memory: float
    seed: int
    strict: bool
    progress: Progress | None


class Compressed(NamedTuple):
    """The curves of all people, `sum_r (level_r + U_r) V_r`, and their error."""

    basis: Basis
    level: Float[np.ndarray, "rank people"]
    U: Float[np.ndarray, "rank people nodes"]
    error: Error


def build(
    likelihood: Curves,
    log_cost: Float[np.ndarray, " nodes"],
    domain: Domain,
    options: Options,
    basis: Basis | None = None,
) -> Compressed:
    """Compress a likelihood, on a given basis or on one found here.

    Raises:
        Unresolved: no basis is accurate enough for the pilot.
    """
    work = Work(likelihood, log_cost, domain, options.memory, options.progress)
    rng = np.random.default_rng(options.seed)
    pilot, share = Pilot.of(work, rng, options.most_nodes), 1.0
    if basis is not None:
        return _project_all(work, basis, trial_points(domain, rng))[0]
    for _ in range(_ATTEMPTS):
        part = work.part(pilot.likelihood)
        basis, expected = find_basis(work, pilot, part, options.bounds, share, options.most_nodes, rng)
        if options.strict and not options.bounds.hold(expected):
            text = status(expected, options.bounds, basis.degrees, basis.rank, domain, options.most_nodes)
            raise Unresolved(text, expected)
        compressed, tally = _project_all(work, basis, trial_points(domain, rng), part)
        if options.bounds.hold(compressed.error):
            break
        # Some people need a larger basis than those of the pilot: they join it.
        pilot = pilot.with_worst(tally.by_person)
        share = min(share, 0.5 * options.bounds.total / max(compressed.error.total, 1e-300))
    return compressed


def measure(
    likelihood: Curves,
    log_cost: Float[np.ndarray, " nodes"],
    domain: Domain,
    compressed: tuple[AnyArray, AnyArray, AnyArray],
    *,
    seed: int,
    memory: float,
    progress: Progress | None,
) -> Error:
    """The error of (level, U, V) at new points of the box."""
    level, U, V = compressed
    work = Work(likelihood, log_cost, domain, memory, progress)
    points = trial_points(domain, np.random.default_rng(seed))
    tally = Tally(work.labels, len(points), progress)
    for part in work.parts():
        some = tally.next(part.labels)
        _measure(work, tally, part, level[:, some], U[:, some], Basis(np.asarray(V)), points)
    tally.finish()
    return tally.error


def combine(
    level: Float[Array, "rank people"], U: Float[Array, "rank people nodes"], v: Float[Array, " rank"]
) -> tuple[Float[Array, " people"], Float[Array, "people nodes"]]:
    """(level of each person, the rest of the curve), given the values of the polynomials at one point."""
    # As a matrix product: XLA's sum over the first axis of three is twenty times slower on CPUs.
    return v @ level, (v.astype(U.dtype) @ U.reshape(U.shape[0], -1)).reshape(U.shape[1:])


def _project_all(
    work: Work, basis: Basis, points: Float[np.ndarray, "points numbers"], compiled: Part | None = None
) -> tuple[Compressed, Tally]:
    """The projection of all people on a basis, and its errors; each part is visited once."""
    nodes, factors = basis.projection()
    people, width = len(work.labels), len(work.log_cost)
    size = basis.rank * people * width * np.dtype(basis.dtype).itemsize
    if size > work.memory:
        raise InputError(
            f"Evidence of {people} people at {width} costs with rank {basis.rank} takes {size / 1e9:.1f} GB, more "
            f"than the {work.memory / 1e9:.1f} GB allowed: allow more, or use fewer nodes of cost."
        )
    tally = Tally(work.labels, len(nodes) + len(points), work.progress)
    level, U = np.zeros((basis.rank, people)), np.zeros((basis.rank, people, width), basis.dtype)
    for part in work.parts(compiled):
        own = jnp.zeros((basis.rank, len(part.labels), width))
        for of, values in part.blocks(nodes, tally):
            factor = np.zeros((len(values), basis.rank))
            factor[: of.stop - of.start] = factors[of]
            own = _project(values, factor, own)
        own, some = np.asarray(own), tally.next(part.labels)
        refuse_infinite(part.labels, own.transpose(1, 0, 2))
        level[:, some] = levels(own)
        U[:, some] = own - level[:, some, None]
        del own
        _measure(work, tally, part, level[:, some], U[:, some], basis, points)
    tally.finish()
    return Compressed(basis, level, U, tally.error), tally


def _measure(
    work: Work,
    tally: Tally,
    part: Part,
    level: Float[AnyArray, "rank people"],
    U: Float[AnyArray, "rank people nodes"],
    basis: Basis,
    points: Float[np.ndarray, "points numbers"],
) -> None:
    """Measure the errors of a part."""
    sums, largest = [], np.zeros((U.shape[1], 3))
    v = basis.at(points)
    for of, values in part.blocks(points, tally):
        m = of.stop - of.start
        own = np.concatenate([v[of], np.repeat(v[of][:1], len(values) - m, axis=0)])
        found, sum_ = _compare(values, own, level, U, work.weights)
        largest = np.fmax(largest, np.asarray(found))  # blocks are padded with one of their own points
        sums.append(np.asarray(sum_)[:m])
    tally.add(largest, np.concatenate(sums))


@jax.jit
def _project(
    values: Float[Array, "block people nodes"],
    factor: Float[Array, "block rank"],
    so_far: Float[Array, "rank people nodes"],
) -> Float[Array, "rank people nodes"]:
    return so_far + jnp.einsum("kr,kpg->rpg", factor, values)


@jax.jit
def _compare(
    values: Float[Array, "block people nodes"],
    v: Float[Array, "block rank"],
    level: Float[Array, "rank people"],
    U: Float[Array, "rank people nodes"],
    weights: Float[Array, "ways nodes"],
) -> tuple[Float[Array, "people 3"], Float[Array, "block ways"]]:
    def one(pair):
        exact, v = pair
        own, relative = combine(level, U, v)
        largest, signed = distance(exact, own[:, None] + relative, weights)
        return largest, signed.sum(axis=0)

    largest, sums = jax.lax.map(one, (values, v))
    return largest.max(axis=0), sums
