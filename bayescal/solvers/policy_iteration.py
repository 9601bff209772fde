"""One decision maker's soft Bellman equation, by Newton's method on values (Kantorovich; soft policy iteration).

    V(s) = lambda · log sum_a q(a|s) exp(Q(s, a) / lambda),    Q(s, a) = u(s, a) + gamma · sum_s' P(s'|s, a) V(s').

With a uniform q and lambda = 1 this is dynamic logit (Rust 1987). Each iteration evaluates the current policy exactly,
by a linear system. Convergence is quadratic, also as gamma approaches 1: the unknowns are values relative to the first
state and one common level, and this system is regular at gamma = 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayescal._types import Scalar
from bayescal.priors.base import ABSENT
from bayescal.solvers.path import CONVERGED, OUT_OF_STEPS

_MOST = 100


class Values(NamedTuple):
    """Q and V up to constants that change no choice, the level per round, and the outcome."""

    q: Float[Array, "states actions"]  # relative to the state's best action
    v: Float[Array, " states"]  # relative to the first state
    per_round: Float[Array, ""]  # (1 - gamma) V(first state), or the average payoff at gamma = 1
    status: Int[Array, ""]
    steps: Int[Array, ""]


def value_policy(
    log_policy: Float[Array, "states actions"],
    payoffs: Float[Array, "states actions"],
    transitions: Float[Array, "states actions states"],
    log_q: Float[Array, "states actions"],
    cost: Scalar,
    discount: float,
) -> tuple[Float[Array, " states"], Float[Array, ""]]:
    """The value of following a policy for ever, net of its cost of information: V relative to the first state, and
    the level per round, (1 - gamma) V(first state)."""
    policy = jnp.exp(log_policy)
    # Actions that are never chosen cost nothing: 0 · log 0 would be NaN.
    paid = jnp.where(policy > 0, log_policy - log_q, 0.0)
    income = jnp.sum(policy * (payoffs - cost * paid), axis=1)
    system = jnp.eye(payoffs.shape[0], dtype=payoffs.dtype) - discount * jnp.einsum("sa,sat->st", policy, transitions)
    # Column 0 is that of V(first state) = 0; the unknown in its place is the level.
    solved = jnp.linalg.solve(system.at[:, 0].set(1.0), income)
    return solved.at[0].set(0.0), solved[0]


def soft_values(
    payoffs: Float[Array, "states actions"],
    transitions: Float[Array, "states actions states"],
    log_q: Float[Array, "states actions"],
    cost: Scalar,
    discount: float,
) -> Values:
    """Solve the soft Bellman equation. Differentiable twice in payoffs, transitions, log_q and cost, in both modes.

    Choices depend on small differences between large values, divided by a small cost. No sum may therefore contain the
    level of V: Q is computed from differences V(s') - V(s), relative to the state's best action, and a Newton step
    corrects V by the residual of the equation. In float32, with values near 100 and costs from 0.0002 to 0.05,
    probabilities are within 3e-4 of the solution.
    """
    dtype = payoffs.dtype
    tol = 1e-11 if dtype == jnp.float64 else 2e-6
    lowest = jnp.finfo(dtype).min

    def advantages(v, payoffs, transitions, log_q):
        """(Q relative to the state's best action, Q of the best action minus discount * V(s))."""
        q = payoffs + discount * jnp.einsum("sat,st->sa", transitions, v[None, :] - v[:, None])
        # Not `jnp.max`: its gradient compares values, and is NaN if the compiler computes them again with other
        # rounding.
        where = jnp.argmax(jnp.where(log_q > 0.5 * ABSENT, q, lowest), axis=1)
        best = jnp.sum(jnp.where(jnp.arange(q.shape[1]) == where[:, None], q, 0.0), axis=1)
        return q - best[:, None], best

    def step(v, payoffs, transitions, log_q, cost):
        """(V after a Newton step, the level per round)."""
        over_best, best = advantages(v, payoffs, transitions, log_q)
        logits = log_q + over_best / cost
        log_z = jax.nn.logsumexp(logits, axis=1)
        policy = jnp.exp(logits - log_z[:, None])
        system = jnp.eye(v.shape[0], dtype=dtype) - discount * jnp.einsum("sa,sat->st", policy, transitions)
        # Column 0 is that of V(first state) = 0; the unknown in its place is the level.
        left_over = best + cost * log_z - (1 - discount) * v
        solved = jnp.linalg.solve(system.at[:, 0].set(1.0), left_over)
        return v + solved.at[0].set(0.0), solved[0]

    fixed = jax.lax.stop_gradient((payoffs, transitions, log_q, cost))

    def body(state):
        v, _, i = state
        after, _ = step(v, *fixed)
        return after, jnp.max(jnp.abs(after - v)), i + 1

    def close(v):
        # At very large costs the cost of information is only known up to the rounding of log-probabilities.
        return tol * (1 + jnp.max(jnp.abs(v))) + 256 * jnp.finfo(dtype).eps * fixed[3]

    def walking(state):
        v, size, i = state
        return (size > close(v)) & (i < _MOST)

    start = jnp.zeros(payoffs.shape[0], dtype)
    v, size, i = jax.lax.while_loop(walking, body, (start, jnp.asarray(jnp.inf, dtype), jnp.zeros((), jnp.int32)))
    found = jnp.isfinite(size) & (size <= close(v))
    # The derivative of a Newton step in v is zero at the solution: two steps give first and second derivatives exactly.
    for _ in range(2):
        v, level = step(v, payoffs, transitions, log_q, cost)
    over_best, _ = advantages(v, payoffs, transitions, log_q)
    status = jnp.where(found, CONVERGED, OUT_OF_STEPS).astype(jnp.int32)
    return Values(over_best, v, level, status, i)
