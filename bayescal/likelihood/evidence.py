"""Decisions, compressed: everybody's log-likelihood as a polynomial of the shared numbers in a box.

l_ig(theta), person i's log-likelihood at node g of log cost, is worked out at the Chebyshev nodes of the box once.
Over people and costs these functions of theta differ in a few ways only: r polynomials V_r, found by a singular-value
decomposition of some people's, are enough for all, l_ig(theta) = sum_r (level_ri + U_rig) V_r(theta). A gradient then
costs O(people), whatever the number of decisions. The level is a person's curve at one node near its top: what is left
is small where it matters, so that single precision is enough for it.

How far that is from the likelihood itself is measured, on everybody, at points that had no part in it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bayescal.domain import Domain
from bayescal.errors import InputError
from bayescal.files import whole_file
from bayescal.likelihood import chebyshev
from bayescal.precision import double_precision

Progress = Callable[[int, int], None]  # (evaluations of everybody done, in all)

FORMAT = 1
_NEAR = 20.0  # nats below a person's best within which a curve is to be right
_NEAR_MARGINAL = 40.0  # the same for an integral over costs: beyond, nobody's costs are distributed like that
_POINTS = 24  # random points, beside the corners, at which the error is measured
_PILOT = 256  # people from whom degrees and rank are found
_WORST = 32  # people who join them where they turn out not to be enough
_CURVES = 4096  # of theirs, from which the rank is found
_MOST_RANK = 96
_BLOCK = 32  # points of the box to a call
_ATTEMPTS = 3  # to find polynomials that are enough for everybody
_FIRST = 4  # degree to begin with
_ROUNDING = 1e-9  # of polynomials of size one


class Curves(Protocol):
    """What can be compressed. A likelihood of millions of decisions also has `shards(most)`: likelihoods of some of
    the people each, in order, with no more than `most` decisions, and `of_some(people)`: nothing is then worked out for
    all at once."""

    participants: tuple[str, ...]
    names: tuple[str, ...]

    def curves(self, log_cost: Array, shared: Mapping[str, Any]) -> Array: ...


@dataclass(frozen=True)
class Error:
    """Distances from the likelihood itself, in nats: the largest that were found.

    Attributes:
        curve: of a person's curve, within 20 nats of its top.
        broad, narrow: of a person's log marginal likelihood, costs being even over the nodes or in a fifth of them.
        total: of the sum of the log marginal likelihoods over people, which is what moves a posterior.
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


class Unresolved(InputError):
    """The likelihood cannot be compressed within the bounds that were given.

    Attributes:
        error: what was measured.
    """

    def __init__(self, message: str, error: Error):
        super().__init__(message)
        self.error = error


class Evidence(eqx.Module):
    """The compressed likelihood. Outside its box it is meaningless: keep the shared numbers inside.

    Attributes:
        log_cost: the nodes.
        level, U, V: curves are `sum_r (level_r + U_r) V_r(theta)`; V are Chebyshev coefficients, an axis for each
            shared number.
        error: measured at fresh points; of a sum, the sum of the errors.
        decisions: how many are in it; 0 if the likelihood does not say.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("cournot-simulated", where="group == 'g001'")
        >>> policy = bc.load_model("cournot")
        >>> model = bc.build_model(policy, policy.population, study.decisions, method="compressed")
        >>> evidence = model.integrated.evidence
        >>> len(evidence.participants), evidence.decisions, evidence.within
        (3, 75, True)
    """

    participants: tuple[str, ...] = eqx.field(static=True)
    domain: Domain = eqx.field(static=True)
    log_cost: Float[Array, " nodes"]
    level: Float[Array, "rank people"]
    U: Float[Array, "rank people nodes"]
    V: Float[Array, "rank ..."]
    error: Error = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)
    most_total: float = eqx.field(static=True)
    decisions: int = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)

    @property
    def degrees(self) -> tuple[int, ...]:
        return tuple(n - 1 for n in self.V.shape[1:])

    @property
    def rank(self) -> int:
        return self.U.shape[0]

    @property
    def within(self) -> bool:
        """Whether the measured errors are within the bounds."""
        return self.error.person <= self.tolerance and self.error.total <= self.most_total

    @property
    def status(self) -> str:
        """One sentence."""
        return _status(self.error, self.tolerance, self.most_total, self.degrees, self.rank, self.domain)

    def curves(self, shared: Mapping[str, Any]) -> Float[Array, "people nodes"]:
        """Everybody's log-likelihood at the nodes of log cost."""
        level, relative = self.parts(shared)
        return level[:, None] + relative

    def parts(self, shared: Mapping[str, Any]) -> tuple[Float[Array, " people"], Float[Array, "people nodes"]]:
        """What the curves are the sum of: each person's level, and the rest in the precision in which U is stored."""
        return _combine(self.level, self.U, chebyshev.evaluate(self.V, chebyshev.to_unit(self.domain, shared)))

    def log_marginal(
        self, log_weights: Float[Array, "*people nodes"], shared: Mapping[str, Any]
    ) -> Float[Array, " people"]:
        """log sum_g exp(log_weights_g + l_ig), exponentials being taken in the precision in which U is stored."""
        level, relative = self.parts(shared)
        return level + jax.nn.logsumexp(relative + log_weights.astype(relative.dtype), axis=-1)

    def take(self, people: Int[np.ndarray, " some"] | Sequence[int]) -> "Evidence":
        """Of some of the people, by their place."""
        some = np.asarray(people, int)
        labels = tuple(self.participants[i] for i in some)
        with jax.ensure_compile_time_eval():  # inside a function that is compiled, once and not at every call
            return self._with(participants=labels, level=self.level[:, some], U=self.U[:, some])

    def _with(self, **changes: Any) -> "Evidence":
        return Evidence(**{name: getattr(self, name) for name in self.__dataclass_fields__} | changes)

    @classmethod
    def build(
        cls,
        likelihood: Curves,
        log_cost: Float[Array, " nodes"],
        domain: Domain,
        *,
        tolerance: float = 1e-3,
        most_total: float = 0.02,
        most_nodes: int = 4096,
        memory: float = 2e9,
        seed: int = 0,
        like: "Evidence | None" = None,
        strict: bool = True,
        progress: Progress | None = None,
    ) -> "Evidence":
        """Compress a likelihood.

        Args:
            log_cost: the nodes; nothing is interpolated between them.
            domain: a box with the likelihood's shared numbers.
            tolerance: nats that a person's curve or log marginal likelihood may be off.
            most_total: nats that their sum over people may be off.
            most_nodes: of the box; degrees are raised no further.
            memory: bytes at work beside the result; and the result has to fit in them too.
            seed: of the pilot and of the points at which the error is measured.
            like: use the polynomials of another evidence, so that the sum of both is no larger than one.
            strict: raise if the bounds cannot be met, rather than return what could be had, with `within` False.
            progress: called now and then.

        Raises:
            Unresolved: the bounds cannot be met.
            InputError: the box does not fit the likelihood, or the likelihood is not finite in it.
        """
        _check_box(likelihood, domain)
        with double_precision():
            work = _Work(likelihood, np.asarray(log_cost, float), domain, memory, progress)
            if like is not None:
                _check_alike(like, work.log_cost, domain)
            rng, bounds = np.random.default_rng(seed), (tolerance, most_total)
            pilot, share, part = _pilot(work, rng, most_nodes), 1.0, None
            for _ in range(1 if like is not None else _ATTEMPTS):
                if like is None:
                    part = work.part(pilot.likelihood)
                    basis, expected = _find_basis(work, pilot, part, bounds, share, most_nodes, rng)
                    if strict and not _meets(expected, bounds):
                        text = _status(expected, *bounds, basis.degrees, basis.rank, domain, most_nodes)
                        raise Unresolved(text, expected)
                else:
                    basis = _Basis(np.asarray(like.V), str(like.U.dtype))
                level, U, tally = work.compress(basis, _points(domain, rng), part)
                error = tally.error
                if _meets(error, bounds):
                    break
                # There are people who need more than those of the pilot: they join it.
                pilot = pilot.with_worst(tally.by_person)
                share = min(share, 0.5 * most_total / max(error.total, 1e-300))
            out = cls(
                participants=work.labels,
                domain=domain,
                log_cost=jnp.asarray(work.log_cost),
                level=jnp.asarray(level),
                U=jnp.asarray(U),
                V=jnp.asarray(basis.V),
                error=error,
                tolerance=tolerance,
                most_total=most_total,
                decisions=int(np.sum(getattr(likelihood, "decisions", 0))),
                notes=(f"rank {basis.rank} of {basis.nodes} nodes, stored as {basis.dtype}",),
            )
        if strict and not out.within:
            raise Unresolved(out.status, error)
        return out

    def measure(
        self, likelihood: Curves, *, seed: int = 1, memory: float = 2e9, progress: Progress | None = None
    ) -> Error:
        """The error against a likelihood of the same people, at fresh points of the box."""
        if tuple(map(str, likelihood.participants)) != self.participants:
            raise InputError("The likelihood is of other participants than the evidence: give it the same, in order.")
        with double_precision():
            work = _Work(likelihood, np.asarray(self.log_cost), self.domain, memory, progress)
            points = _points(self.domain, np.random.default_rng(seed))
            tally = _Tally(work.labels, len(points), progress)
            for part in work.parts():
                some = tally.next(part)
                work.measure(tally, part, self.level[:, some], self.U[:, some], self.V, points)
            tally.finish()
            return tally.error

    def __add__(self, other: "Evidence") -> "Evidence":
        """Of the decisions of both: people are matched by label, and the curves of those in both are added."""
        if not isinstance(other, Evidence):
            return NotImplemented
        _check_alike(self, np.asarray(other.log_cost), other.domain)
        place = {p: i for i, p in enumerate(self.participants)}
        labels = self.participants + tuple(p for p in other.participants if p not in place)
        place = {p: i for i, p in enumerate(labels)}
        V, turns = _common_basis([np.asarray(self.V), np.asarray(other.V)])
        dtype = np.result_type(self.U.dtype, other.U.dtype)
        level, U = np.zeros((len(V), len(labels))), np.zeros((len(V), len(labels), len(self.log_cost)), dtype)
        for part, turn in zip((self, other), turns, strict=True):
            rows = np.array([place[p] for p in part.participants], int)
            level[:, rows] += turn.T @ np.asarray(part.level)
            U[:, rows] += np.tensordot(turn.T.astype(dtype), np.asarray(part.U), axes=1)
        both = len(self.participants) + len(other.participants) - len(labels)
        twice = (f"{both} people are in two parts: near a top that neither part has, errors were not measured",)
        return self._with(
            participants=labels,
            level=jnp.asarray(level),
            U=jnp.asarray(U),
            V=jnp.asarray(V),
            error=self.error + other.error,
            decisions=self.decisions + other.decisions,
            notes=tuple(dict.fromkeys(self.notes + other.notes + twice * bool(both))),
        )

    def __radd__(self, other: Any) -> "Evidence":
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def save(self, path: str | Path) -> Path:
        """Write one file of arrays, with everything else in its header; it appears whole or not at all."""
        path = Path(path)
        arrays = {n: np.ascontiguousarray(getattr(self, n)) for n in ("log_cost", "level", "U", "V")}
        facts = {
            "format": FORMAT,
            "participants": self.participants,
            "domain": self.domain.as_dict(),
            "error": asdict(self.error),
            "tolerance": self.tolerance,
            "most_total": self.most_total,
            "decisions": self.decisions,
            "notes": self.notes,
        }
        with whole_file(path) as temporary:
            save_file(arrays, temporary, metadata={"evidence": json.dumps(facts)})
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Evidence":
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; evidence is saved by `evidence.save(path)`.")
        try:
            with safe_open(path, framework="np") as opened, double_precision():
                facts = json.loads((opened.metadata() or {})["evidence"])
                if facts.pop("format") != FORMAT:
                    raise InputError(f"{path} was saved by another version of bayescal: build the evidence again.")
                arrays = {n: jnp.asarray(opened.get_tensor(n)) for n in ("log_cost", "level", "U", "V")}
                facts["participants"], facts["notes"] = tuple(facts["participants"]), tuple(facts["notes"])
                facts["domain"], facts["error"] = Domain.from_dict(facts["domain"]), Error(**facts["error"])
                return cls(**facts, **arrays)
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(
                f"{path} is not evidence saved by bayescal, or is cut short ({error}): build it again."
            ) from None


@dataclass(frozen=True)
class _Basis:
    """Polynomials with the constant first, orthonormal over the Chebyshev nodes, and how U is to be stored."""

    V: np.ndarray
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

    def projection(self) -> tuple[np.ndarray, Float[np.ndarray, "nodes rank"]]:
        """(the nodes, by what values there are multiplied and summed to give U)."""
        nodes = chebyshev.nodes(self.degrees)
        return nodes, self.at(nodes) / self.nodes


class _Tally:
    """Errors as they are found, part by part: each person's largest, and sums over people at each point.

    Refuses parts that do not hold the likelihood's people once each and in order.
    """

    def __init__(self, labels: tuple[str, ...], evaluations: int, progress: Progress | None):
        self.labels, self.seen = labels, 0
        self.largest: list[np.ndarray] = []
        self.sums: Any = 0.0
        self.done, self.evaluations, self.progress = 0, evaluations * len(labels), progress

    def next(self, part: "_Part") -> slice:
        """Whose turn it is."""
        here = slice(self.seen, self.seen + len(part.labels))
        if self.labels[here] != part.labels:
            raise InputError("The likelihood's shards do not hold its participants once each and in their order.")
        self.seen = here.stop
        return here

    def finish(self) -> None:
        if self.seen < len(self.labels):
            raise InputError("The likelihood's shards do not hold all of its participants.")

    def add(self, largest: Float[np.ndarray, "people 3"], sums: Float[np.ndarray, "points ways"]) -> None:
        self.largest.append(largest)
        self.sums = self.sums + sums

    def advance(self, evaluations: int) -> None:
        """Of one person's curves each."""
        self.done += evaluations
        if self.progress is not None:
            self.progress(self.done, self.evaluations)

    @property
    def by_person(self) -> Float[np.ndarray, " people"]:
        return np.concatenate(self.largest).max(axis=1)

    @property
    def error(self) -> Error:
        return Error(*map(float, np.concatenate(self.largest).max(axis=0)), float(np.abs(self.sums).max()))


class _Part:
    """A likelihood at the nodes of cost, block by block of points of the box, compiled once.

    It is compiled for this part alone, so that what was compiled goes when the part does.
    """

    def __init__(self, likelihood: Curves, log_cost: np.ndarray, domain: Domain, memory: float):
        self.labels = tuple(str(p) for p in likelihood.participants)
        self.size = max(min(int(memory / 4 / (8 * max(len(self.labels), 1) * len(log_cost))), _BLOCK), 1)
        curves = lambda unit: likelihood.curves(jnp.asarray(log_cost), chebyshev.from_unit(domain, unit))
        self._go = jax.jit(lambda block: jax.lax.map(curves, block).astype(float))

    def blocks(
        self, points: Float[np.ndarray, "points numbers"], tally: "_Tally | None" = None
    ) -> Iterator[tuple[slice, Float[Array, "block people nodes"]]]:
        """(which points, curves): the last block is filled up with its first point."""
        size = min(self.size, _BLOCK if len(points) > 1 else 1)
        for start in range(0, len(points), size):
            block = points[start : start + size]
            filled = np.concatenate([block, np.repeat(block[:1], size - len(block), axis=0)])
            yield slice(start, start + len(block)), self._go(filled)
            if tally is not None:
                tally.advance(len(block) * len(self.labels))

    def values(self, points: Float[np.ndarray, "points numbers"]) -> Float[np.ndarray, "points people nodes"]:
        out = np.concatenate([np.asarray(x)[: of.stop - of.start] for of, x in self.blocks(points)])
        _refuse_infinite(self.labels, out.transpose(1, 0, 2))
        return out


class _Work:
    """The likelihood in parts, and what goes through all of it within bounds on memory."""

    def __init__(
        self, likelihood: Curves, log_cost: np.ndarray, domain: Domain, memory: float, progress: Progress | None
    ):
        self.likelihood, self.log_cost, self.domain = likelihood, log_cost, domain
        self.memory, self.progress = memory, progress
        self.labels = tuple(str(p) for p in likelihood.participants)
        self.weights = _trial_weights(log_cost)

    def parts(self, compiled: _Part | None = None) -> Iterator[_Part]:
        """All people, in parts; a part that has been compiled and has them all is the only one."""
        if compiled is not None and compiled.labels == self.labels:
            return iter([compiled])
        shards = getattr(self.likelihood, "shards", None)
        whole = [self.likelihood] if shards is None else shards(max(int(self.memory / 32 / len(self.log_cost)), 1))
        return (self.part(x) for x in whole)

    def part(self, likelihood: Curves) -> _Part:
        return _Part(likelihood, self.log_cost, self.domain, self.memory)

    def compress(
        self, basis: _Basis, points: np.ndarray, compiled: _Part | None = None
    ) -> tuple[np.ndarray, np.ndarray, _Tally]:
        """(level, U, what was measured): each part is gone through once."""
        nodes, by = basis.projection()
        people, width = len(self.labels), len(self.log_cost)
        size = basis.rank * people * width * np.dtype(basis.dtype).itemsize
        if size > self.memory:
            raise InputError(
                f"Evidence of {people} people at {width} costs with rank {basis.rank} takes {size / 1e9:.1f} GB, more "
                f"than the {self.memory / 1e9:.1f} GB allowed: allow more, or use fewer nodes of cost."
            )
        tally = _Tally(self.labels, len(nodes) + len(points), self.progress)
        level, U = np.zeros((basis.rank, people)), np.zeros((basis.rank, people, width), basis.dtype)
        for part in self.parts(compiled):
            own = jnp.zeros((basis.rank, len(part.labels), width))
            for of, values in part.blocks(nodes, tally):
                factor = np.zeros((len(values), basis.rank))
                factor[: of.stop - of.start] = by[of]
                own = _project(values, factor, own)
            own, some = np.asarray(own), tally.next(part)
            _refuse_infinite(part.labels, own.transpose(1, 0, 2))
            level[:, some] = _level(own)
            U[:, some] = own - level[:, some, None]
            del own
            self.measure(tally, part, level[:, some], U[:, some], basis.V, points)
        tally.finish()
        return level, U, tally

    def measure(self, tally: _Tally, part: _Part, level: Any, U: Any, V: Any, points: np.ndarray) -> None:
        """Compare a part with its likelihood."""
        sums, largest = [], np.zeros((U.shape[1], 3))
        v = _Basis(np.asarray(V)).at(points)
        for of, values in part.blocks(points, tally):
            m = of.stop - of.start
            own = np.concatenate([v[of], np.repeat(v[of][:1], len(values) - m, axis=0)])
            found, sum_ = _compare(values, own, level, U, self.weights)
            largest = np.fmax(largest, np.asarray(found))  # what the block is filled up with is a point of it
            sums.append(np.asarray(sum_)[:m])
        tally.add(largest, np.concatenate(sums))


@jax.jit
def _project(values, factor, so_far):
    return so_far + jnp.einsum("kr,kpg->rpg", factor, values)


@jax.jit
def _compare(values, v, level, U, weights):
    def one(pair):
        exact, v = pair
        own, relative = _combine(level, U, v)
        largest, signed = _distance(exact, own[:, None] + relative, weights)
        return largest, signed.sum(axis=0)

    largest, sums = jax.lax.map(one, (values, v))
    return largest.max(axis=0), sums


def _combine(
    level: Float[Array, "rank people"], U: Float[Array, "rank people nodes"], v: Float[Array, " rank"]
) -> tuple[Float[Array, " people"], Float[Array, "people nodes"]]:
    # As a product of a matrix: XLA's for a sum over the leading axis of three is twenty times slower on a CPU.
    return v @ level, (v.astype(U.dtype) @ U.reshape(U.shape[0], -1)).reshape(U.shape[1:])


def _level(U: Float[np.ndarray, "rank people nodes"]) -> Float[np.ndarray, "rank people"]:
    """The curve of each person at the node where it is highest in the mean over the box."""
    top = U[0].argmax(axis=1)
    return np.take_along_axis(U, top[None, :, None], axis=2)[:, :, 0]


def _distance(
    exact: Float[Array, "people nodes"], found: Float[Array, "people nodes"], weights: Float[Array, "ways nodes"]
) -> tuple[Float[Array, "people 3"], Float[Array, "people ways"]]:
    """(curve, broad and narrow error of each person, signed errors of the log marginal likelihoods)."""
    best = exact.max(axis=1, keepdims=True)
    near = jnp.maximum(exact, found) > best - _NEAR
    curve = jnp.max(jnp.abs(jnp.where(near, found - exact, 0.0)), axis=1)

    def marginal(w):
        true = jax.nn.logsumexp(exact - best + w, axis=1)
        gap = jax.nn.logsumexp(found - best + w, axis=1) - true
        return jnp.where(true > -_NEAR_MARGINAL, gap, 0.0)

    gaps = jax.lax.map(marginal, weights).T
    size = jnp.abs(gaps)
    return jnp.stack([curve, size[:, 0], size[:, 1:].max(axis=1)], axis=1), gaps


def _trial_weights(log_cost: np.ndarray) -> Float[np.ndarray, "ways nodes"]:
    """Log weights: even, and normal around five places with an sd of a twelfth of the range."""
    middle, spread = np.linspace(log_cost[0], log_cost[-1], 7)[1:-1, None], np.ptp(log_cost) / 12 + 1e-300
    kernels = -0.5 * ((log_cost - middle) / spread) ** 2
    rows = np.concatenate([np.zeros((1, len(log_cost))), kernels])
    return rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)


def _points(domain: Domain, rng: np.random.Generator) -> Float[np.ndarray, "points numbers"]:
    """Random points and the corners, in [-1, 1]; of a box without numbers, its one point."""
    numbers = len(domain.names)
    if not numbers:
        return np.zeros((1, 0))
    return np.concatenate([rng.uniform(-1, 1, (_POINTS, numbers)), chebyshev.corners(numbers)])


def _meets(error: Error, bounds: tuple[float, float], share: float = 1.0) -> bool:
    return error.person <= share * bounds[0] and error.total <= share * bounds[1]


@dataclass(frozen=True)
class _Pilot:
    """People from whom degrees and rank are found.

    Attributes:
        whole: the likelihood that they are of.
        people: by their place.
        stands_for: how many people each of the randomly chosen, the first `chosen`, stands for.
    """

    whole: Curves
    people: Int[np.ndarray, " people"]
    chosen: int
    stands_for: float

    @property
    def likelihood(self) -> Curves:
        own = getattr(self.whole, "of_some", None)
        return _Some(self.whole, self.people) if own is None else own(self.people)

    def with_worst(self, by_person: Float[np.ndarray, " all"]) -> "_Pilot":
        worst = np.setdiff1d(np.argsort(by_person)[-_WORST:], self.people)
        return replace(self, people=np.concatenate([self.people, worst]))


class _Some:
    """Some people of a likelihood that cannot be divided."""

    def __init__(self, whole: Curves, people: Int[np.ndarray, " people"]):
        self.whole, self.people, self.names = whole, people, whole.names
        self.participants = tuple(whole.participants[i] for i in people)

    def curves(self, log_cost: Array, shared: Mapping[str, Any]) -> Array:
        return self.whole.curves(log_cost, shared)[self.people]


def _pilot(work: _Work, rng: np.random.Generator, most_nodes: int) -> _Pilot:
    everybody = len(work.labels)
    room = int(work.memory / 6 / (8 * len(work.log_cost) * most_nodes))
    n = min(everybody, _PILOT, max(room, 16))
    people = np.sort(rng.choice(everybody, n, replace=False))
    return _Pilot(work.likelihood, people, n, everybody / n)


def _find_basis(
    work: _Work,
    pilot: _Pilot,
    part: _Part,
    bounds: tuple[float, float],
    share: float,
    most_nodes: int,
    rng: np.random.Generator,
) -> tuple[_Basis, Error]:
    """The degrees and the rank that some people need, and the error that is left in them.

    Half of the bounds is kept for what the others add, and half of that for the rank; `share` of the bound on the sum
    is aimed at.
    """
    numbers = len(work.domain.names)
    points = _points(work.domain, rng)
    exact = part.values(points)
    aim = (bounds[0], share * bounds[1])

    def error_of(found: np.ndarray) -> Error:
        largest, signed = (np.asarray(x) for x in _distances(exact, found, work.weights))
        total = pilot.stands_for * np.abs(signed[:, : pilot.chosen].sum(axis=1)).max()
        return Error(*map(float, largest.max(axis=(0, 1))), float(total))

    degrees = (max((d for d in range(1, _FIRST + 1) if (d + 1) ** numbers <= most_nodes), default=1),) * numbers
    while True:
        values = part.values(chebyshev.nodes(degrees))
        terms = chebyshev.coefficients(values, degrees)
        error = error_of(np.tensordot(chebyshev.basis(points, degrees), terms.reshape(values.shape), axes=1))
        if _meets(error, aim, 0.25):
            break
        excess = 4 * max(error.person / aim[0], error.total / aim[1])
        wanted = _raised(degrees, _sizes(terms, values, numbers), excess, most_nodes)
        if wanted == degrees:
            break
        degrees = wanted

    whole, U = _directions(values, degrees, rng)
    level = _level(U)
    U -= level[:, :, None]
    at = whole.at(points)

    def error_at(rank: int, dtype: str = "float64") -> Error:
        relative = np.tensordot(at[:, :rank].astype(dtype), U[:rank].astype(dtype), axes=1)
        return error_of((at[:, :rank] @ level[:rank])[:, :, None] + relative)

    goal = (max(0.5 * aim[0], 1.1 * error.person), max(0.5 * aim[1], 1.1 * error.total))
    low, high = 1, len(U)
    while low < high:
        rank = (low + high) // 2
        low, high = (low, rank) if _meets(error_at(rank), goal) else (rank + 1, high)
    error, single = error_at(low), error_at(low, "float32")
    # Rounding differs from person to person, so that its sum grows with the root of how many there are.
    in_all = (single.total - error.total) / np.sqrt(pilot.stands_for)
    if single.person - error.person <= bounds[0] / 10 and in_all <= bounds[1] / 10:
        return _Basis(whole.V[:low], "float32"), single
    return _Basis(whole.V[:low]), error


@jax.jit
def _distances(exact, found, weights):
    return jax.lax.map(lambda pair: _distance(*pair, weights), (exact, found))


def _relevance(values: Float[np.ndarray, "points people nodes"]) -> Float[np.ndarray, "people nodes"]:
    """1 for costs that are within 20 nats of a person's best somewhere in the box, less the deeper they are."""
    depth = (values.max(axis=2, keepdims=True) - values).min(axis=0)
    return 1 / (1 + np.maximum(depth - _NEAR, 0))


def _sizes(terms: np.ndarray, values: np.ndarray, numbers: int) -> list[Float[np.ndarray, " terms"]]:
    """For each number, the largest coefficient of each degree in it."""
    size = np.max(np.abs(terms) * _relevance(values), axis=(-2, -1))
    return [size.max(axis=tuple(j for j in range(numbers) if j != axis)) for axis in range(numbers)]


def _raised(
    degrees: tuple[int, ...], sizes: list[Float[np.ndarray, " terms"]], excess: float, most_nodes: int
) -> tuple[int, ...]:
    """Higher degrees where coefficients have not yet fallen as far as they must; the same if there is no room.

    A number's coefficients are taken to go on falling at the rate at which they have fallen so far, and the largest
    last ones to be what the error comes from.
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
) -> tuple[_Basis, Float[np.ndarray, "rank people costs"]]:
    """The polynomials that matter most to these curves, in order, after the constant; and the curves in them."""
    nodes = len(values)
    flat, relevance = values.reshape(nodes, -1), _relevance(values).ravel()
    some = rng.choice(flat.shape[1], min(flat.shape[1], _CURVES), replace=False, p=relevance / relevance.sum())
    vary = (flat[:, some] - flat[:, some].mean(axis=0)) * relevance[some]
    # A randomised range finder (Halko, Martinsson & Tropp 2011), then the SVD of what is a small matrix. Directions
    # that are rounding would mix with the constant, which is large: it is kept apart from them.
    one = np.ones((nodes, 1))
    sketch = vary @ rng.standard_normal((vary.shape[1], min(nodes - 1, _MOST_RANK)))
    frame = np.linalg.qr(np.concatenate([one, sketch], axis=1))[0][:, 1:]
    turn = np.linalg.svd(np.linalg.qr(vary.T @ frame, mode="r"))[2].T
    directions = np.concatenate([one, np.sqrt(nodes) * (frame @ turn)], axis=1)
    V = np.moveaxis(chebyshev.coefficients(directions, degrees), -1, 0)
    return _Basis(V), (directions.T @ flat / nodes).reshape(-1, *values.shape[1:])


def _common_basis(parts: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """(polynomials that span those of all parts, for each part the matrix that takes its U to theirs)."""
    if all(p.shape == parts[0].shape and np.array_equal(p, parts[0]) for p in parts):
        return parts[0], [np.eye(len(parts[0]))] * len(parts)
    degrees = tuple(max(n) - 1 for n in zip(*(p.shape[1:] for p in parts), strict=True))
    grid = chebyshev.nodes(degrees)
    values = [_Basis(p).at(grid) for p in parts]
    frame = values[0] / np.sqrt(len(grid))
    for more in values[1:]:
        rest = more / np.sqrt(len(grid))
        for _ in range(2):  # once more, for what rounding left
            rest = rest - frame @ (frame.T @ rest)
        left, size, _ = np.linalg.svd(rest, full_matrices=False)
        # What is left over is short where it is only rounding, and then not orthogonal to the frame.
        left = left[:, size > _ROUNDING]
        left, _ = np.linalg.qr(left - frame @ (frame.T @ left))
        frame = np.concatenate([frame, left], axis=1)
    V = np.moveaxis(chebyshev.coefficients(np.sqrt(len(grid)) * frame, degrees), -1, 0)
    return V, [v.T @ frame / np.sqrt(len(grid)) for v in values]


def _check_box(likelihood: Curves, domain: Domain) -> None:
    if set(domain.names) != set(likelihood.names):
        raise InputError(
            f"The likelihood depends on {', '.join(likelihood.names) or 'nothing shared'}; the box has "
            f"{', '.join(domain.names) or 'nothing'}: give it an interval for each and no other."
        )
    endless = [f"{n} {box}" for n, box in domain.intervals if not np.isfinite([box.low, box.high]).all()]
    if endless:
        raise InputError(f"The box of an evidence needs finite ends: {', '.join(endless)}.")


def _check_alike(evidence: Evidence, log_cost: np.ndarray, domain: Domain) -> None:
    if domain != evidence.domain or not np.array_equal(np.asarray(evidence.log_cost), log_cost):
        raise InputError(
            "Evidence is added only to evidence of the same nodes and box: "
            f"{len(evidence.log_cost)} nodes from {evidence.log_cost[0]:g} to {evidence.log_cost[-1]:g} and "
            f"{evidence.domain.as_dict()} here, {len(log_cost)} from {log_cost[0]:g} to {log_cost[-1]:g} and "
            f"{domain.as_dict()} there. Build both with the same."
        )


def _refuse_infinite(labels: Sequence[str], x: Float[np.ndarray, "people ..."]) -> None:
    where = np.flatnonzero(~np.isfinite(x).all(axis=(1, 2)))
    if len(where):
        names = ", ".join(str(labels[i]) for i in where[:5])
        more = f" and {len(where) - 5} more" if len(where) > 5 else ""
        raise InputError(
            f"The log-likelihood of {names}{more} is not finite somewhere in the box: choose a smaller box."
        )


def _status(
    error: Error,
    tolerance: float,
    most_total: float,
    degrees: tuple[int, ...],
    rank: int,
    domain: Domain,
    most_nodes: int | None = None,
) -> str:
    nodes = int(np.prod([d + 1 for d in degrees]))
    how = ", ".join(f"{n} {d}" for n, d in zip(domain.names, degrees, strict=True)) or "nothing shared"
    facts = (
        f"off by at most {error.person:.1e} nats a person (bound {tolerance:.0e}) and {error.total:.1e} in all "
        f"(bound {most_total:.0e}), with degrees {how} and rank {rank}"
    )
    if error.person <= tolerance and error.total <= most_total:
        return f"compressed: {facts}"
    limit = f"no more than {most_nodes} nodes are allowed" if most_nodes else f"with {nodes} nodes"
    return f"not compressed: {facts}, {limit}; the likelihood itself is used. A smaller box or more nodes would help."
