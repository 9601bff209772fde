"""Equilibria of one-shot games: everybody pays their cost of departing from the prior.

A player of role r with cost lambda answers the others' mixtures p with

    pi(a) = q_psi(a) · exp(U_r(a; p) / lambda) / Z,

and the mixture of a role is the average of pi over that role's costs: `p_r = sum_k w_k pi(· ; lambda_k)`.
With one common cost and a uniform prior this is the logit quantal response equilibrium (McKelvey & Palfrey
1995) of precision 1/lambda; with private costs it is heterogeneous QRE (Rogers, Palfrey & Camerer 2009).

Games may have several such fixed points. The one returned lies on the **principal branch**: the curve that
starts at the prior, where information is infinitely expensive, as all costs fall together.

In a game with symmetries that curve may **fork**, and nothing in the game says which arm is principal. By a fixed rule
the first arm is the one on which the first role leaves its first action (for the case of several actions that are alike
see `solvers.path`). The arms need not be mirror images for the players: one may pay everybody more. `arm="other"`
gives the other one, and `Solution.forked` says whether there was a fork.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bayescal._types import AnyArray, Parameters, RoleActions
from bayescal.environments.base import OneShot
from bayescal.errors import InputError
from bayescal.policies.audit import audit
from bayescal.policies.base import ABSENT, hide_absent, tilt
from bayescal.solvers.linear import Linear, product
from bayescal.solvers.path import CONVERGED, MESSAGES, UNCONFIRMED, PathResult, follow_path
from bayescal.solvers.places import Cells, in_places
from bayescal.solvers.root import Root, implicit_root, newton

Unknowns = Float[Array, " d"]
Arm = Literal["first", "other"]

_AT_REST = 1e-7  # logits: Newton steps from approximate values stop here, where their error is of the order of 1e-14
_FAR = 0.25  # a mixture that moves further may have come to another equilibrium


class Solution(eqx.Module):
    """An equilibrium, and how far it can be trusted.

    Rows are roles and columns the padded grid; `type_costs` and `strategies_by_type` have one entry per cost
    that a player of the role may have (a single one when costs are common).

    Attributes:
        residual: the largest difference between anybody's play and the reply to it (`policies.audit`).
        unstable: the number of directions in which replies to replies, damped ever so much, lead away from the
            solution. With none it is `stable`.
        forked: whether the principal branch forked on the way, so that the solution lies on one of its arms.

    Example:
        >>> import bayescal as bc
        >>> solved = bc.equilibrium(bc.get_game("selten-chmura-01"), 0.8)
        >>> solved.message, solved.strategies.shape  # roles, actions
        ('converged', (2, 2))
        >>> [f"{p:.2f}" for p in solved.strategies[0]]
        ['0.04', '0.96']
    """

    strategies: Float[Array, "roles actions"]
    log_strategies: Float[Array, "roles actions"]
    strategies_by_type: Float[Array, "roles types actions"]
    type_costs: Float[Array, "roles types"]
    type_weights: Float[Array, " types"]
    expected_payoffs: Float[Array, "roles actions"]
    residual: Float[Array, ""]
    exploitability: Float[Array, " roles"]
    status: Int[Array, ""]
    steps: Int[Array, ""]
    unstable: Int[Array, ""]
    forked: Bool[Array, ""]

    @property
    def converged(self) -> Bool[Array, "..."]:
        return self.status == CONVERGED

    @property
    def stable(self) -> Bool[Array, "..."]:
        return self.converged & (self.unstable == 0)

    @property
    def message(self) -> str:
        """The outcome in words (of one solution, not a batch)."""
        return MESSAGES[int(self.status)]


class _Theta(NamedTuple):
    """What a solution depends on, and may be differentiated in."""

    log_q: RoleActions
    costs: Float[Array, "roles types"]
    weights: Float[Array, " types"]
    params: Parameters


@dataclass(frozen=True)
class _System:
    """The equations v = s · (payoff differences given v), in the logits v of each role's actions over its first one.

    One role could be written as a function of the others. It is not: that squares the steepness of the
    system at small costs, where Newton's method then no longer finds mixed equilibria.
    """

    env: OneShot
    cells: Cells  # the (role, action) index of each unknown

    def units(self, theta: _Theta) -> tuple[Float[Array, ""], Float[Array, "roles types"], Float[Array, ""]]:
        """(the unit of payoffs, precisions relative to a typical one, that precision in those units: where s ends)."""
        scale = jax.lax.stop_gradient(self.env.payoff_scale(theta.params)).astype(theta.log_q.dtype)
        # In units of the smallest cost the path of a wide population would be long for the sake of a type of no weight.
        typical = jax.lax.stop_gradient(jnp.exp(jnp.min(jnp.log(theta.costs) @ theta.weights)))
        return scale, typical / theta.costs, scale / typical

    def by_type(self, v: Unknowns, theta: _Theta) -> Float[Array, "roles types actions"]:
        """q exp(precision v) / Z of every type."""
        x = in_places(v, self.cells, theta.log_q.shape)
        precision = self.units(theta)[1]
        return jax.nn.softmax(theta.log_q[:, None, :] + precision[:, :, None] * x[:, None, :], axis=-1)

    def mixtures(self, v: Unknowns, theta: _Theta) -> RoleActions:
        """By role, the average over types."""
        return jnp.einsum("k,rka->ra", theta.weights, self.by_type(v, theta))

    def differences(self, p: RoleActions, theta: _Theta) -> Unknowns:
        """Every unknown's payoff over that of its role's first action, in units of payoffs."""
        return self.over_first(self.env.expected_payoffs(p, theta.params), theta)

    def over_first(self, values: RoleActions, theta: _Theta) -> Unknowns:
        """Every unknown's value over that of its role's first action, in units of payoffs."""
        values = values / self.units(theta)[0]
        return (values - values[:, :1])[self.cells]

    def residual(self, v: Unknowns, s: Float[Array, ""], theta: _Theta) -> Unknowns:
        return v - s * self.differences(self.mixtures(v, theta), theta)

    def moves(self, theta: _Theta) -> tuple[Float[Array, "m d"], Float[Array, "m roles actions"]] | None:
        """(the directions in which others can move the differences, by how much each of their actions does so), if
        there are few of them."""
        factors = self.env.slope_factors(theta.params)
        if factors is None:
            return None
        left, right = factors
        return ((left - left[:, :, :1]) / self.units(theta)[0])[:, self.cells[0], self.cells[1]], right

    def rank(self, theta: _Theta) -> int:
        """The size of the core of the derivative in v."""
        moves = self.moves(theta)
        return int((~self.alone).sum()) if moves is None else len(moves[0])

    @property
    def alone(self) -> Bool[np.ndarray, " d"]:
        """The unknowns of a role of one player, the one with most of them: its values do not depend on its own play."""
        sizes = np.where(np.array(self.env.role_counts) == 1, self.env.mask.sum(axis=1), 0)
        return (self.cells[0] == np.argmax(sizes)) & (sizes.max() > 0)

    def linearise(self, v: Unknowns, s: Float[Array, ""], theta: _Theta) -> tuple[Unknowns, Linear, Unknowns]:
        """(the residual, its derivative in v, its derivative in s)."""
        scale, precision, _ = self.units(theta)
        by_type = self.by_type(v, theta)
        p = jnp.einsum("k,rka->ra", theta.weights, by_type)
        # d mixture / d v of a role: the covariance of its choices, averaged over its types.
        steepness = theta.weights * precision
        moves = self.moves(theta)
        if moves is None:
            spread = -jnp.einsum("rk,rka,rkb->rab", steepness, by_type, by_type)
            diagonal = jnp.einsum("rk,rka->ra", steepness, by_type)[:, None, :]
            spread = spread + jnp.eye(p.shape[1], dtype=v.dtype) * diagonal
            slopes = self.env.payoff_slopes(p, theta.params) / scale
            slopes = (slopes - slopes[:, :1])[self.cells]
            jac = jax.vmap(product, in_axes=(1, 0), out_axes=1)(slopes, spread)[:, self.cells[0], self.cells[1]]
            slope = Linear.bordered(jnp.eye(v.shape[0], dtype=v.dtype) - s * jac, self.alone)
        else:
            left, right = moves
            apart = right[:, :, None, :] - jnp.einsum("mra,rka->mrk", right, by_type)[..., None]
            spread = jnp.einsum("rk,rka,mrka->mra", steepness, by_type, apart)
            slope = Linear.low_rank(s * left, spread[:, self.cells[0], self.cells[1]])
        rise = self.differences(p, theta)
        return v - s * rise, slope, -rise


class _Problem(NamedTuple):
    """The equations of a game, and where their solution is wanted."""

    system: _System
    theta: _Theta
    fixed: _Theta  # theta without derivatives
    end: Float[Array, ""]

    @classmethod
    def of(
        cls,
        env: OneShot,
        log_q: RoleActions,
        costs: Float[Array, "roles types"],
        weights: Float[Array, " types"],
        params: Parameters,
    ) -> "_Problem":
        theta = _Theta(log_q, costs, weights, params)
        fixed = jax.lax.stop_gradient(theta)
        system = _System(env, unknown_cells(env))
        return cls(system, theta, fixed, system.units(fixed)[2])

    def follow(self, sense: Float[AnyArray, ""], known: Bool[Array, ""] | None = None) -> PathResult:
        """Along the principal branch, unless the end is known."""
        cells, log_q = self.system.cells, self.fixed.log_q
        linearise = lambda v, s: self.system.linearise(v, s, self.fixed)
        start = jnp.zeros(len(cells[0]), log_q.dtype)
        tie_break = jnp.asarray(sense, log_q.dtype) * _tie_break(log_q, cells)
        rank = self.system.rank(self.fixed)
        return follow_path(linearise, start, self.end, tie_break=tie_break, known=known, rank=rank)

    def newton(self, begin: Unknowns, longest: float = 2.0, shortest: float = 1e-10, max_iterations: int = 200) -> Root:
        """Newton's method at the end."""
        linearise = lambda v: self.system.linearise(v, self.end, self.fixed)[:2]
        rank = self.system.rank(self.fixed)
        options = {"longest": longest, "shortest": shortest}
        return newton(linearise, begin, **options, max_iterations=max_iterations, rank=rank)


@eqx.filter_jit  # so that a model that solves in several places is traced once
def solve_one_shot(
    env: OneShot,
    log_q: RoleActions,
    costs: Float[Array, "roles types"],
    weights: Float[Array, " types"],
    params: Parameters,
    start: Float[AnyArray, "roles actions"] | None,
    sense: Float[AnyArray, ""],
) -> Solution:
    """The equilibrium on the principal branch, or the one that Newton's method finds from `start`. At a fork `sense`
    chooses the arm (see `sense_of`)."""
    problem = _Problem.of(env, log_q, costs, weights, params)
    if start is None:
        return _solution(problem, problem.follow(sense))
    p = jnp.asarray(start, log_q.dtype)
    if p.shape != log_q.shape:
        raise InputError(f"start has shape {p.shape}: give the mixed strategies of every role, {log_q.shape} numbers.")
    begin = problem.end * problem.system.differences(p, problem.fixed)
    return _solution(problem, problem.newton(begin))


@eqx.filter_jit
def sharpen_one_shot(
    env: OneShot,
    log_q: RoleActions,
    costs: Float[Array, "roles types"],
    weights: Float[Array, " types"],
    params: Parameters,
    values: RoleActions,
    steps: int,
) -> tuple[Solution, Bool[Array, ""]]:
    """(the equilibrium that Newton's method finds from approximate values, whether it was found so).

    What full steps find is accepted if they come to rest within `steps`, if it is stable, and if no mixture moved
    further than `_FAR`. Else the principal branch is followed.
    """
    problem = _Problem.of(env, log_q, costs, weights, params)
    system, fixed, end = problem.system, problem.fixed, problem.end
    v = end * system.over_first(jax.lax.stop_gradient(values), fixed)
    near = problem.newton(v, longest=math.inf, shortest=_AT_REST, max_iterations=steps)
    moved = jnp.max(jnp.abs(system.mixtures(near.point, fixed) - system.mixtures(v, fixed)))
    found = (near.status == CONVERGED) & (near.unstable == 0) & (moved <= _FAR)
    path = problem.follow(sense_of("first"), known=found)
    either = lambda new, old: jnp.where(found, new, old)
    ended = PathResult(
        either(near.point, path.point),
        either(near.status, path.status),
        near.iterations + path.iterations,
        either(near.unstable, path.unstable),
        ~found & path.forked,
    )
    return _solution(problem, ended), found


def _solution(problem: _Problem, path: PathResult | Root) -> Solution:
    """The solution at the end of a path, differentiable in all that the problem depends on."""
    system, theta, fixed, end = problem
    env, (log_q, costs, weights, params) = system.env, theta
    moves = system.moves(fixed)
    directions = None if moves is None else moves[0]
    v = implicit_root(lambda v, theta: system.residual(v, end, theta), path.point, theta, directions)

    p = system.mixtures(v, theta)
    u = env.expected_payoffs(p, params)
    of_types = lambda log_q, u, costs: jax.vmap(lambda cost: tilt(log_q, u, cost))(costs)
    by_type = jax.vmap(of_types)(log_q, u, costs)
    log_p = jax.nn.logsumexp(jnp.maximum(by_type, ABSENT), axis=1, b=weights[None, :, None])
    possible = log_p > ABSENT / 2
    strategies = jnp.where(possible, jnp.exp(log_p), 0.0)
    best = jnp.max(jnp.where(possible, u, -jnp.inf), axis=1)
    checked = audit(env, by_type[:, :, None], log_q[:, None], costs, weights, params, "trajectory")
    status = jnp.where((path.status == CONVERGED) & ~checked.passed, UNCONFIRMED, path.status)
    ok = status == CONVERGED
    honest = lambda x: jnp.where(ok, x, jnp.nan)
    return Solution(
        strategies=honest(strategies),
        log_strategies=honest(hide_absent(log_p)),
        strategies_by_type=honest(jnp.exp(by_type)),
        type_costs=costs,
        type_weights=weights,
        expected_payoffs=honest(u),
        residual=checked.residual,
        exploitability=best - jnp.sum(jnp.where(possible, strategies * u, 0.0), axis=1),
        status=status,
        steps=path.iterations,
        unstable=path.unstable,
        forked=path.forked if isinstance(path, PathResult) else jnp.zeros_like(ok),
    )


def unknown_cells(env: OneShot) -> Cells:
    """The (role, action) index of each unknown: all actions of a role but its first."""
    cells = [(r, a) for r, n in enumerate(env.mask.sum(axis=1)) for a in range(1, n)]
    rows, cols = np.array(cells, int).reshape(-1, 2).T
    return rows, cols


def _tie_break(log_q: RoleActions, cells: Cells) -> Unknowns:
    """At a fork nothing says which arm is principal: the first is the one on which the first role leaves its first
    action, the one that Gambit 16 happens to take in the games we compared."""
    rows, cols = cells
    return jnp.where(rows == rows.min(initial=0), jnp.exp(log_q)[rows, cols], 0.0)


def sense_of(arm: Arm) -> Float[AnyArray, ""]:
    """1 or -1: an array, so that both arms share a compiled program."""
    return np.asarray(1.0 if arm == "first" else -1.0)
