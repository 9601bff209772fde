"""The basis: a few polynomials of the shared numbers, of which all curves are combinations."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayescal.likelihood import chebyshev
from bayescal.likelihood.evidence.curves import Part, Pilot, Work
from bayescal.likelihood.evidence.error import Bounds, Error, distances, trial_points

_NEAR = 20.0  # a cost has full weight within this many nats of a person's best
_CURVES = 4096  # of the pilot's curves used to find the rank
_MOST_RANK = 96
_FIRST = 4  # first degree
_ROUNDING = 1e-9  # relative to polynomials of size one


@dataclass(frozen=True)
class Basis:
    """Polynomials with the constant first, orthonormal over the Chebyshev nodes.

    Attributes:
        V: Chebyshev coefficients, one axis per shared number.
        dtype: precision in which the coordinates of curves are stored.
    """

    V: Float[np.ndarray, "rank ..."]
    dtype: str = "float64"

    @property
    def rank(self) -> int:
        return len(self.V)

    @property
    def degrees(self) -> tuple[int, ...]:
        return tuple(n - 1 for n in self.V.shape[1:])

    @property
    def nodes(self) -> int:
        return int(np.prod(self.V.shape[1:]))

    def at(self, points: Float[np.ndarray, "points numbers"]) -> Float[np.ndarray, "points rank"]:
        return chebyshev.basis(points, self.degrees) @ self.V.reshape(self.rank, -1).T

    def projection(self) -> tuple[Float[np.ndarray, "nodes numbers"], Float[np.ndarray, "nodes rank"]]:
        """(the nodes, the weights of the values there in U)."""
        nodes = chebyshev.nodes(self.degrees)
        return nodes, self.at(nodes) / self.nodes


def levels(U: Float[np.ndarray, "rank people nodes"]) -> Float[np.ndarray, "rank people"]:
    """The curve of each person at the node where its mean over the box is highest."""
    top = U[0].argmax(axis=1)
    return np.take_along_axis(U, top[None, :, None], axis=2)[:, :, 0]


def find_basis(
    work: Work, pilot: Pilot, part: Part, bounds: Bounds, share: float, most_nodes: int, rng: np.random.Generator
) -> tuple[Basis, Error]:
    """The degrees and rank that the pilot needs, and its error.

    Half of the bounds is reserved for the other people, and half of the rest for the rank.

    Args:
        share: the share of the bound on the sum over people to aim at.
    """
    numbers = len(work.domain.names)
    points = trial_points(work.domain, rng)
    exact = part.values(points)
    aim = Bounds(bounds.person, share * bounds.total)

    def error_of(approximate: Float[np.ndarray, "points people nodes"]) -> Error:
        largest, signed = (np.asarray(x) for x in distances(exact, approximate, work.weights))
        total = pilot.stands_for * np.abs(signed[:, : pilot.chosen].sum(axis=1)).max()
        return Error(*map(float, largest.max(axis=(0, 1))), float(total))

    degrees = (max((d for d in range(1, _FIRST + 1) if (d + 1) ** numbers <= most_nodes), default=1),) * numbers
    while True:
        values = part.values(chebyshev.nodes(degrees))
        terms = chebyshev.coefficients(values, degrees)
        error = error_of(np.tensordot(chebyshev.basis(points, degrees), terms.reshape(values.shape), axes=1))
        if aim.hold(error, 0.25):
            break
        excess = 4 * max(error.person / aim.person, error.total / aim.total)
        wanted = _raised(degrees, _sizes(terms, values, numbers), excess, most_nodes)
        if wanted == degrees:
            break
        degrees = wanted

    whole, U = _directions(values, degrees, rng)
    level = levels(U)
    U -= level[:, :, None]
    at = whole.at(points)

    def error_at(rank: int, dtype: str = "float64") -> Error:
        relative = np.tensordot(at[:, :rank].astype(dtype), U[:rank].astype(dtype), axes=1)
        return error_of((at[:, :rank] @ level[:rank])[:, :, None] + relative)

    goal = Bounds(max(0.5 * aim.person, 1.1 * error.person), max(0.5 * aim.total, 1.1 * error.total))
    low, high = 1, len(U)
    while low < high:
        rank = (low + high) // 2
        low, high = (low, rank) if goal.hold(error_at(rank)) else (rank + 1, high)
    error, single = error_at(low), error_at(low, "float32")
    # Rounding errors are independent, so their sum grows with the square root of the number of people.
    in_all = (single.total - error.total) / np.sqrt(pilot.stands_for)
    if single.person - error.person <= bounds.person / 10 and in_all <= bounds.total / 10:
        return Basis(whole.V[:low], "float32"), single
    return Basis(whole.V[:low]), error


def common_basis(
    parts: list[Float[np.ndarray, "_ ..."]],
) -> tuple[Float[np.ndarray, "rank ..."], list[Float[np.ndarray, "_ rank"]]]:
    """(polynomials that span those of all parts, a matrix for each part that maps its U to theirs)."""
    if all(p.shape == parts[0].shape and np.array_equal(p, parts[0]) for p in parts):
        return parts[0], [np.eye(len(parts[0]))] * len(parts)
    degrees = tuple(max(n) - 1 for n in zip(*(p.shape[1:] for p in parts), strict=True))
    grid = chebyshev.nodes(degrees)
    values = [Basis(p).at(grid) for p in parts]
    frame = values[0] / np.sqrt(len(grid))
    for more in values[1:]:
        rest = more / np.sqrt(len(grid))
        for _ in range(2):  # the second time removes rounding errors
            rest = rest - frame @ (frame.T @ rest)
        left, size, _ = np.linalg.svd(rest, full_matrices=False)
        # Remainders that are only rounding errors are small, and not orthogonal to the frame.
        left = left[:, size > _ROUNDING]
        left, _ = np.linalg.qr(left - frame @ (frame.T @ left))
        frame = np.concatenate([frame, left], axis=1)
    V = np.moveaxis(chebyshev.coefficients(np.sqrt(len(grid)) * frame, degrees), -1, 0)
    return V, [v.T @ frame / np.sqrt(len(grid)) for v in values]


def _relevance(values: Float[np.ndarray, "points people nodes"]) -> Float[np.ndarray, "people nodes"]:
    """1 for costs within 20 nats of a person's best somewhere in the box; smaller the further below."""
    depth = (values.max(axis=2, keepdims=True) - values).min(axis=0)
    return 1 / (1 + np.maximum(depth - _NEAR, 0))


def _sizes(
    terms: Float[np.ndarray, "..."], values: Float[np.ndarray, "points people nodes"], numbers: int
) -> list[Float[np.ndarray, " _"]]:
    """For each number, the largest coefficient of each of its degrees."""
    size = np.max(np.abs(terms) * _relevance(values), axis=(-2, -1))
    return [size.max(axis=tuple(j for j in range(numbers) if j != axis)) for axis in range(numbers)]


def _raised(
    degrees: tuple[int, ...], sizes: list[Float[np.ndarray, " _"]], excess: float, most_nodes: int
) -> tuple[int, ...]:
    """Higher degrees of numbers whose coefficients are not small enough yet; the same if there are too many nodes.

    Assumes that coefficients continue to fall at the rate so far, and that the last ones cause the error.
    """
    tails = np.array([x[-2:].max() for x in sizes])
    goal = tails.max() / (2 * excess)
    new = list(degrees)
    for axis in np.argsort(-tails):
        d = degrees[axis]
        if tails[axis] <= goal:
            continue
        rate = np.clip((sizes[axis][1:3].max() / tails[axis]) ** (1 / max(d - 1, 1)), 1.5, 20.0)
        more = int(np.clip(np.ceil(np.log(tails[axis] / goal) / np.log(rate)), 1, max(2, d // 2)))
        others = int(np.prod([k + 1 for j, k in enumerate(new) if j != axis]))
        new[axis] = max(min(d + more, most_nodes // others - 1), d)
    return tuple(new)


def _directions(
    values: Float[np.ndarray, "nodes people costs"], degrees: tuple[int, ...], rng: np.random.Generator
) -> tuple[Basis, Float[np.ndarray, "rank people costs"]]:
    """(the constant, then the polynomials that explain most of these curves, in order; the curves' coordinates)."""
    nodes = len(values)
    flat, relevance = values.reshape(nodes, -1), _relevance(values).ravel()
    some = rng.choice(flat.shape[1], min(flat.shape[1], _CURVES), replace=False, p=relevance / relevance.sum())
    vary = (flat[:, some] - flat[:, some].mean(axis=0)) * relevance[some]
    # A randomised range finder (Halko, Martinsson & Tropp 2011), then the SVD of a small matrix. The constant, which is
    # large, is kept separate: directions that are only rounding would mix with it.
    one = np.ones((nodes, 1))
    sketch = vary @ rng.standard_normal((vary.shape[1], min(nodes - 1, _MOST_RANK)))
    frame = np.linalg.qr(np.concatenate([one, sketch], axis=1))[0][:, 1:]
    turn = np.linalg.svd(np.linalg.qr(vary.T @ frame, mode="r"))[2].T
    directions = np.concatenate([one, np.sqrt(nodes) * (frame @ turn)], axis=1)
    V = np.moveaxis(chebyshev.coefficients(directions, degrees), -1, 0)
    return Basis(V), (directions.T @ flat / nodes).reshape(-1, *values.shape[1:])
