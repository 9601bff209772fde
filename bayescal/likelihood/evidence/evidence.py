"""Compressed likelihoods: everybody's log-likelihood as a polynomial of the shared numbers in a box.

l_ig(theta), person i's log-likelihood at node g of log cost, is computed once, at the Chebyshev nodes of the box. All
these functions of theta are close to combinations of a few polynomials V_r, found by a singular-value decomposition for
a sample of people: l_ig(theta) = sum_r (level_ri + U_rig) V_r(theta). A gradient then costs O(people), for any number
of decisions. The level is a person's curve at one node near its maximum; the rest is small near the maximum, so single
precision is enough for it.

The error relative to the exact likelihood is measured for all people, at points that were not used in the
construction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Scalar
from bayescal.domain import Domain
from bayescal.errors import InputError
from bayescal.likelihood import chebyshev
from bayescal.likelihood.evidence import files
from bayescal.likelihood.evidence.basis import Basis, common_basis
from bayescal.likelihood.evidence.build import Options, build, combine, measure
from bayescal.likelihood.evidence.curves import Curves
from bayescal.likelihood.evidence.error import Bounds, Error, Progress, Unresolved, status
from bayescal.precision import double_precision


class Evidence(eqx.Module):
    """A compressed likelihood. It is valid in its box only: keep the shared numbers inside.

    Attributes:
        log_cost: the nodes of log cost.
        level, U, V: curves are `sum_r (level_r + U_r) V_r(theta)`; V are Chebyshev coefficients, with one axis per
            shared number.
        error: measured at new points; the error of a sum is the sum of the errors.
        decisions: number of decisions; 0 if the likelihood does not have it.

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
        return self.bounds.hold(self.error)

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.tolerance, self.most_total)

    @property
    def status(self) -> str:
        """One sentence."""
        return status(self.error, self.bounds, self.degrees, self.rank, self.domain)

    def curves(self, shared: Mapping[str, Scalar | AnyArray]) -> Float[Array, "people nodes"]:
        """Everybody's log-likelihood at the nodes of log cost."""
        level, relative = self.parts(shared)
        return level[:, None] + relative

    def parts(
        self, shared: Mapping[str, Scalar | AnyArray]
    ) -> tuple[Float[Array, " people"], Float[Array, "people nodes"]]:
        """(each person's level, the rest of the curve in the precision of U). Their sum is the curve."""
        return combine(self.level, self.U, chebyshev.evaluate(self.V, chebyshev.to_unit(self.domain, shared)))

    def log_marginal(
        self, log_weights: Float[Array, "*people nodes"], shared: Mapping[str, Scalar | AnyArray]
    ) -> Float[Array, " people"]:
        """log sum_g exp(log_weights_g + l_ig), with exponentials in the precision of U."""
        level, relative = self.parts(shared)
        return level + jax.nn.logsumexp(relative + log_weights.astype(relative.dtype), axis=-1)

    def take(self, people: Int[np.ndarray, " some"] | Sequence[int]) -> "Evidence":
        """The evidence of a subset of the people, by index."""
        some = np.asarray(people, int)
        labels = tuple(self.participants[i] for i in some)
        with jax.ensure_compile_time_eval():  # inside jit: once, not at every call
            return self._with(participants=labels, level=self.level[:, some], U=self.U[:, some])

    def _with(self, **changes: Any) -> "Evidence":
        return Evidence(**{name: getattr(self, name) for name in self.__dataclass_fields__} | changes)

    @classmethod
    def build(
        cls,
        likelihood: Curves,
        log_cost: Float[AnyArray, " nodes"],
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
            log_cost: the nodes of log cost; there is no interpolation between them.
            domain: a box of the likelihood's shared numbers.
            tolerance: the largest error, in nats, of a person's curve or log marginal likelihood.
            most_total: the largest error, in nats, of their sum over people.
            most_nodes: the largest number of nodes of the box, which limits the degrees.
            memory: bytes of working memory; the result must also fit in them.
            seed: of the pilot and of the points at which the error is measured.
            like: use the basis of another evidence, so that the sum of both is not larger than one of them.
            strict: raise if the bounds cannot be met, instead of returning an evidence with `within` False.
            progress: called with (evaluations done, in all).

        Raises:
            Unresolved: the bounds cannot be met.
            InputError: the box does not fit the likelihood, or the likelihood is not finite in it.
        """
        _check_box(likelihood, domain)
        bounds, nodes = Bounds(tolerance, most_total), np.asarray(log_cost, float)
        options = Options(bounds, most_nodes, memory, seed, strict, progress)
        with double_precision():
            basis = None
            if like is not None:
                _check_alike(like, nodes, domain)
                basis = Basis(np.asarray(like.V), str(like.U.dtype))
            basis, level, U, error = build(likelihood, nodes, domain, options, basis)
            out = cls(
                participants=tuple(map(str, likelihood.participants)),
                domain=domain,
                log_cost=jnp.asarray(nodes),
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
        """The error relative to a likelihood of the same people, at new points of the box."""
        if tuple(map(str, likelihood.participants)) != self.participants:
            raise InputError("The likelihood is of other participants than the evidence: give it the same, in order.")
        compressed = self.level, self.U, self.V
        with double_precision():
            nodes = np.asarray(self.log_cost)
            return measure(likelihood, nodes, self.domain, compressed, seed=seed, memory=memory, progress=progress)

    def __add__(self, other: "Evidence") -> "Evidence":
        """The evidence of the decisions of both. People are matched by label; curves of people in both are added."""
        if not isinstance(other, Evidence):
            return NotImplemented
        _check_alike(self, np.asarray(other.log_cost), other.domain)
        place = {p: i for i, p in enumerate(self.participants)}
        labels = self.participants + tuple(p for p in other.participants if p not in place)
        place = {p: i for i, p in enumerate(labels)}
        V, turns = common_basis([np.asarray(self.V), np.asarray(other.V)])
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
        facts = {
            "participants": self.participants,
            "domain": self.domain.as_dict(),
            "error": asdict(self.error),
            "tolerance": self.tolerance,
            "most_total": self.most_total,
            "decisions": self.decisions,
            "notes": self.notes,
        }
        return files.write(Path(path), {n: getattr(self, n) for n in files.ARRAYS}, facts)

    @classmethod
    def load(cls, path: str | Path) -> "Evidence":
        """
        Raises:
            InputError: the file does not exist, or is not a saved evidence of this version.
        """
        with double_precision():
            arrays, facts = files.read(Path(path))
            try:
                tuples = {n: tuple(facts.pop(n)) for n in ("participants", "notes")}
                domain, error = Domain.from_dict(facts.pop("domain")), Error(**facts.pop("error"))
                return cls(
                    **facts, **tuples, domain=domain, error=error, **{n: jnp.asarray(x) for n, x in arrays.items()}
                )
            except (KeyError, TypeError, ValueError, AttributeError) as fault:
                raise files.not_evidence(Path(path), fault) from None


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
