"""Curves of log-likelihood over log cost, evaluated at points of a box within bounds on memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray
from bayescal.domain import Domain
from bayescal.errors import InputError
from bayescal.likelihood import chebyshev
from bayescal.likelihood.evidence.error import Progress, Tally, trial_weights

_BLOCK = 32  # points of the box per call
_WORST = 32  # people who join the pilot if its basis is not accurate enough
_PILOT = 256  # people in the pilot


@runtime_checkable
class Curves(Protocol):
    """A likelihood that can be compressed.

    A likelihood of millions of decisions also has `shards(most)`, an iterator over likelihoods of subsets of people,
    in order, with at most `most` decisions each, and `of_some(people)`. Then nothing is computed for all people at
    once. `decisions`, if present, is the number of decisions of each person.
    """

    @property
    def participants(self) -> tuple[str, ...]: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def curves(self, log_cost: Array, shared: Mapping[str, AnyArray]) -> Array: ...


class Part:
    """A likelihood at the nodes of cost, evaluated in blocks of points of the box, compiled once.

    The compiled program belongs to this part, so it is freed with the part.
    """

    def __init__(self, likelihood: Curves, log_cost: Float[np.ndarray, " nodes"], domain: Domain, memory: float):
        self.labels = tuple(str(p) for p in likelihood.participants)
        self.size = max(min(int(memory / 4 / (8 * max(len(self.labels), 1) * len(log_cost))), _BLOCK), 1)
        curves = lambda unit: likelihood.curves(jnp.asarray(log_cost), chebyshev.from_unit(domain, unit))
        self._run = jax.jit(lambda block: jax.lax.map(curves, block).astype(float))

    def blocks(
        self, points: Float[np.ndarray, "points numbers"], tally: Tally | None = None
    ) -> Iterator[tuple[slice, Float[Array, "block people nodes"]]]:
        """(slice of the points, their curves). The last block is padded with copies of its first point."""
        size = min(self.size, _BLOCK if len(points) > 1 else 1)
        for start in range(0, len(points), size):
            block = points[start : start + size]
            padded = np.concatenate([block, np.repeat(block[:1], size - len(block), axis=0)])
            yield slice(start, start + len(block)), self._run(padded)
            if tally is not None:
                tally.advance(len(block) * len(self.labels))

    def values(self, points: Float[np.ndarray, "points numbers"]) -> Float[np.ndarray, "points people nodes"]:
        out = np.concatenate([np.asarray(x)[: of.stop - of.start] for of, x in self.blocks(points)])
        refuse_infinite(self.labels, out.transpose(1, 0, 2))
        return out


class Work:
    """A likelihood in parts, each of which fits in memory."""

    def __init__(
        self,
        likelihood: Curves,
        log_cost: Float[np.ndarray, " nodes"],
        domain: Domain,
        memory: float,
        progress: Progress | None,
    ):
        self.likelihood, self.log_cost, self.domain = likelihood, log_cost, domain
        self.memory, self.progress = memory, progress
        self.labels = tuple(str(p) for p in likelihood.participants)
        self.weights = trial_weights(log_cost)

    def parts(self, compiled: Part | None = None) -> Iterator[Part]:
        """All people, in parts; a compiled part with all people is the only one."""
        if compiled is not None and compiled.labels == self.labels:
            return iter([compiled])
        shards = getattr(self.likelihood, "shards", None)
        whole = [self.likelihood] if shards is None else shards(max(int(self.memory / 32 / len(self.log_cost)), 1))
        return (self.part(x) for x in whole)

    def part(self, likelihood: Curves) -> Part:
        return Part(likelihood, self.log_cost, self.domain, self.memory)


@dataclass(frozen=True)
class Pilot:
    """The sample of people for which degrees and rank are found.

    Attributes:
        whole: the likelihood of all people.
        people: indices of the sample.
        chosen: the number of people, from the first, that were chosen at random.
        stands_for: the number of people that each of those represents.
    """

    whole: Curves
    people: Int[np.ndarray, " people"]
    chosen: int
    stands_for: float

    @classmethod
    def of(cls, work: Work, rng: np.random.Generator, most_nodes: int) -> "Pilot":
        everybody = len(work.labels)
        room = int(work.memory / 6 / (8 * len(work.log_cost) * most_nodes))
        n = min(everybody, _PILOT, max(room, 16))
        people = np.sort(rng.choice(everybody, n, replace=False))
        return cls(work.likelihood, people, n, everybody / n)

    @property
    def likelihood(self) -> Curves:
        of_some = getattr(self.whole, "of_some", None)
        return _Some(self.whole, self.people) if of_some is None else of_some(self.people)

    def with_worst(self, by_person: Float[np.ndarray, " all"]) -> "Pilot":
        """The sample together with the people with the largest errors."""
        worst = np.setdiff1d(np.argsort(by_person)[-_WORST:], self.people)
        return replace(self, people=np.concatenate([self.people, worst]))


class _Some:
    """A subset of the people of a likelihood without `of_some`."""

    def __init__(self, whole: Curves, people: Int[np.ndarray, " people"]):
        self.whole, self.people, self.names = whole, people, whole.names
        self.participants = tuple(whole.participants[i] for i in people)

    def curves(self, log_cost: Array, shared: Mapping[str, AnyArray]) -> Array:
        return self.whole.curves(log_cost, shared)[self.people]


def refuse_infinite(labels: Sequence[str], x: Float[np.ndarray, "people _ _"]) -> None:
    where = np.flatnonzero(~np.isfinite(x).all(axis=(1, 2)))
    if len(where):
        names = ", ".join(str(labels[i]) for i in where[:5])
        more = f" and {len(where) - 5} more" if len(where) > 5 else ""
        raise InputError(
            f"The log-likelihood of {names}{more} is not finite somewhere in the box: choose a smaller box."
        )
