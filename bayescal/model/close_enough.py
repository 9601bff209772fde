"""Nodes of cost that are close enough for a habit.

Where a cost decides between habit and gain, choices turn from one to the other over a small part of its logarithm: the
stronger the habit, the smaller. Nodes that are too far apart make the total log-likelihood wavy, and samplers diverge.

Integrals at closer and closer nodes are compared at the prior draws that explain the decisions best. What takes time
is compiling: likelihoods at all nodes are computed by one program, a part of the nodes at a time.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import AnyArray
from bayescal.evaluation.batches import AT_ONCE, in_batches
from bayescal.evaluation.compile import Aside
from bayescal.evaluation.sites import Sites, compile_prior
from bayescal.likelihood.base import PrivateLikelihood
from bayescal.likelihood.marginal import log_marginal
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.people import People, given
from bayescal.precision import double_precision

_CLOSEST = 8  # times as close as without habits
_BETWEEN = (4, 2)  # every fourth of the closest nodes, else every second
_DRAWS, _CASES, _CROWD = 400, 40, 200  # prior draws, the best of them, and people at whom integrals are compared
_FLOATS = 2e6  # of all their curves at the closest nodes: fewer people, if these are many
_WRONG = 0.001  # nats, all people together

Nodes = Float[np.ndarray, " nodes"]
Totals = Float[np.ndarray, " draws"]


class _Brief:
    """A program for each shape of its arguments, that runs only a few times."""

    def __init__(self, f: Callable[..., Any]):
        self._f, self._programs = jax.jit(f), dict[Any, Aside]()

    def __call__(self, *args: Any) -> Any:
        shapes = tuple((jnp.shape(x), jnp.result_type(x)) for x in jax.tree.leaves(args))
        if shapes not in self._programs:
            self._programs[shapes] = Aside(self._f, *args, brief=True)
        return self._programs[shapes](*args)


class _Crowd:
    """Some of the people: log-likelihoods of all of them together, at draws in batches of one size."""

    def __init__(
        self, people: People, likelihood: PrivateLikelihood, hyperpriors: Hyperpriors, first: Nodes, most: int
    ):
        numbers = likelihood.decisions.shape[0] * most
        self.first, self.batch = first, int(np.clip(AT_ONCE / numbers, 1, _CASES))
        sample = lambda values: given(people, hyperpriors, values)

        def curves(values: Sites, at: Float[Array, " nodes"]) -> Float[Array, "people nodes"]:
            return likelihood.curves(at, sample(values).shared)

        def total(values: Sites, curves: Float[Array, "people nodes"], at: Float[Array, " nodes"]) -> Float[Array, ""]:
            drawn = sample(values)
            return log_marginal(curves, at, people.population, drawn.phi, drawn.shift).sum()

        self._curves = _Brief(jax.vmap(curves, (0, None)))
        self._total = _Brief(jax.vmap(total, (0, 0, None)))

    def totals(self, draws: Sites, nodes: Nodes, stride: int = 1) -> Totals:
        """The log-likelihood at each draw of one chain, with each node whose index is a multiple of `stride`."""

        def run(some: Sites, _: object) -> list[np.ndarray]:
            curves = self._everywhere(some, nodes)
            return [np.asarray(self._total(some, curves[:, :, ::stride], nodes[::stride]))]

        return in_batches(run, draws, self.batch, np.random.default_rng(0))[0][0]

    def _everywhere(self, draws: Sites, nodes: Nodes) -> Float[AnyArray, "draws people nodes"]:
        """Curves at all nodes, as many at a time as there were at first."""
        size = len(self.first)
        parts = []
        for at in range(0, len(nodes), size):
            here = nodes[np.minimum(np.arange(at, at + size), len(nodes) - 1)]  # the last part is filled
            parts.append(self._curves(draws, here))
        return jnp.concatenate(parts, axis=2)[:, :, : len(nodes)] if len(parts) > 1 else parts[0]


def close_enough(
    people: People, likelihood: PrivateLikelihood, hyperpriors: Hyperpriors, nodes: Nodes
) -> Float[np.ndarray, " closer"]:
    """Nodes so close that closer ones change no integral.

    Args:
        nodes: what is close enough for uniform habits.
    """
    closest = np.linspace(nodes[0], nodes[-1], _CLOSEST * (len(nodes) - 1) + 1)
    most = int(np.clip(_FLOATS / len(closest), 1, _CROWD))
    crowd = np.sort(np.argsort(-likelihood.decisions, kind="stable")[:most])
    share = len(crowd) / len(people.participants)

    def error(sums: Totals, exact: Totals) -> float:
        wrong = np.abs(sums - exact) / share
        return float(np.max(np.where(np.isfinite(wrong), wrong, 0.0)))

    with double_precision():
        some = people.of_some(crowd)
        of_crowd = _Crowd(some, likelihood.of_some(crowd), hyperpriors, nodes, len(closest))
        prior = compile_prior(lambda: some.sample(hyperpriors), _DRAWS)(np.random.default_rng(0))
        height = of_crowd.totals(prior, nodes)
        best = np.argsort(np.where(np.isfinite(height), -height, np.inf), kind="stable")[:_CASES]
        cases = {n: x[:, best] for n, x in prior.items()}
        exact = of_crowd.totals(cases, closest)
        if error(height[best], exact) <= _WRONG:
            return nodes
        for stride in _BETWEEN:
            if error(of_crowd.totals(cases, closest, stride), exact) <= _WRONG:
                return closest[::stride]
    return closest
