"""The solved policy: the equilibrium in which everybody pays their cost of departing from the prior.

(This page is about one-shot games; finite games over time are solved by `bayescal.policies.sequential`.)

In a one-shot game a player of role r with cost lambda answers the others' mixtures p with

    pi(a) = q_psi(a) · exp(U_r(a; p) / lambda) / Z,

and the mixture of a role is the average of pi over that role's costs: `p_r = sum_k w_k pi(· ; lambda_k)`.
With one common cost and a uniform prior this is the logit quantal response equilibrium (McKelvey & Palfrey
1995) of precision 1/lambda; with private costs it is heterogeneous QRE (Rogers, Palfrey & Camerer 2009).

Games may have several such fixed points. The one returned lies on the **principal branch**: the curve that
starts at the prior, where information is infinitely expensive, as all costs fall together.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from bayescal.environments.base import Environment, OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.environments.own_solution import SolvesItself
from bayescal.errors import InputError
from bayescal.policies.base import ABSENT, Policy, PolicyKind, padded_log_prior, tilt
from bayescal.policies.sequential import Concept, solve_sequential
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform
from bayescal.solvers.linear import solve_low_rank, solve_with_sign
from bayescal.solvers.path import CONVERGED, MESSAGES, follow_path
from bayescal.solvers.root import implicit_root, newton


class Solution(eqx.Module):
    """An equilibrium, and how far it can be trusted.

    Rows are roles and columns the padded grid; `type_costs` and `strategies_by_type` have one entry per cost
    that a player of the role may have (a single one when costs are common).

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

    @property
    def converged(self) -> Bool[Array, ""]:
        return self.status == CONVERGED

    @property
    def message(self) -> str:
        """The outcome in words (of one solution, not a batch)."""
        return MESSAGES[int(self.status)]


class ExactPolicy(Policy):
    """Solves a game for any cost, population, prior and payoffs.

    Args:
        environment: a one-shot game, a finite Markov game, a finite game in extensive form, or a game over time that
            knows its own solution (a newsvendor).
        prior: what people fall back on.
        population: `None` for costs that everybody knows, one number per role; otherwise each player's cost
            is private and drawn from the population, whose quadrature nodes are the player's types.
        concept: of games over time: whether one's own future cost of information counts ("trajectory") or not
            ("agent": agent quantal response equilibrium, to compare with other programs).

    Every result is differentiable in cost, phi, psi and params, forwards and backwards, by the implicit
    function theorem, and may be jitted and vmapped. A solve that fails says so in `status`, and its
    probabilities are NaN rather than wrong.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.ExactPolicy(bc.get_game("selten-chmura-01"), population=bc.populations.LogNormal(16))
        >>> solved = policy.solve(phi={"log_mean": 0.0, "log_sd": 0.5})  # private costs that differ
        >>> solved.message, [f"{p:.2f}" for p in solved.strategies[:, 0]]  # Up, Left
        ('converged', ['0.06', '0.60'])
    """

    policy_kind = PolicyKind.SOLVED
    environment: Environment
    prior: Prior = Uniform()
    population: Population | None = None
    concept: Concept = eqx.field(static=True, default="trajectory")

    def __check_init__(self) -> None:
        if not self.environment.solvable:
            raise InputError(
                f"ExactPolicy: {self.environment.name} is neither a one-shot game nor a finite Markov game nor one in "
                "extensive form, so it cannot be solved exactly: use a learned policy (`bayescal models`) or train one."
            )
        if self.concept not in ("trajectory", "agent"):
            raise InputError(f'ExactPolicy: the concept is {self.concept!r}; choose "trajectory" or "agent".')

    @property
    def private(self) -> bool:
        return self.population is not None and not isinstance(self.population, Homogeneous)

    @property
    def tabled(self) -> bool:
        """Whether the game has finitely many situations, so that one solution tells of all of them."""
        return isinstance(self.environment, FiniteGame)

    @property
    def _solves_itself(self) -> bool:
        return isinstance(self.environment, SolvesItself)

    def solve(
        self, cost: Any = None, phi: Any = None, psi: Any = None, params: Any = None, *, start: Any = None
    ) -> Any:
        """The equilibrium at these costs: a `Solution`, or in a game over time a `SequentialSolution`.

        Args:
            cost: a number, or one per role (common costs only).
            phi: the population's parameters (private costs only; `{"cost": …}` for `Homogeneous`).
            psi: the prior's parameters; its defaults when None.
            params: environment parameters; the environment's own when None.
            start: mixed strategies (roles, actions) to start Newton's method from instead of following the
                principal branch: the way to another equilibrium of a one-shot game that has several.
        """
        env: Any = self.environment
        params = self._params(params)
        costs, weights = self._types(cost, phi)
        if isinstance(env, OneShot):
            return _solve(env, self.log_prior(psi), costs, weights, params, start)
        if start is not None or self._solves_itself:
            what = (
                "start is for one-shot games"
                if start is not None
                else "ask `log_prob` what is done after what was seen"
            )
            raise InputError(f"{env.name} is a game over time: {what}.")
        return solve_sequential(env, self.log_prior(psi), costs, weights, params, self.concept)

    def log_prior(self, psi: Any = None) -> Float[Array, "roles ... actions"]:
        """log q of every role (and situation) over the padded grid; -1e30 stands for impossible."""
        env = self.environment
        psi = self.prior.defaults if psi is None else psi
        if isinstance(env, OneShot):
            return jnp.stack([padded_log_prior(env, self.prior, r, psi, r) for r in range(env.roles)])
        if not isinstance(env, FiniteGame):
            raise InputError(f"The prior of {env.name} depends on what was seen: ask for `log_prior_of`.")
        everywhere = jnp.arange(env.situation_count)
        rows = lambda r: jax.vmap(lambda i: self.log_prior_of(r, psi, {env.situation_key: i}))(everywhere)
        log_q = jnp.stack([rows(r) for r in range(env.roles)])
        if not env.same_actions:  # habits are over the role's whole grid, and a situation may have only some of it
            log_q = jax.nn.log_softmax(jnp.where(env.possible, log_q, ABSENT), axis=-1)
            log_q = jnp.where(env.possible, log_q, ABSENT)
        return log_q

    def log_prior_of(self, role: int, psi: Any, observation: Any) -> Float[Array, " actions"]:
        return padded_log_prior(self.environment, self.prior, role, psi or self.prior.defaults, observation)

    def log_prob(self, observation: Any, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, " actions"]:
        """Log-probabilities of one person: `observation` is the role in a one-shot game, else (role, what was seen).
        With private costs, of somebody whose cost is `cost` (of whom nothing is known where it is None)."""
        env: Any = self.environment
        if self._solves_itself:
            role, seen = observation
            q = env.exact_values(seen, cost, psi or self.prior.defaults, self._params(params), self.prior)
            return tilt(self.log_prior_of(role, psi, seen), q, cost)
        if not isinstance(env, OneShot):
            return self.log_prob_table(cost, phi, psi, params)[self.place(*observation)]
        if not self.private or cost is None:
            return self.log_prob_all(cost, phi, psi, params)[observation]
        solution = self.solve(None, phi, psi, params)
        return tilt(self.log_prior(psi)[observation], solution.expected_payoffs[observation], cost)

    def log_prob_table(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "players situations actions"]:
        """Log-probabilities of everybody everywhere in a finite game over time."""
        if not self.private or cost is None:
            return self.solve(cost, phi, psi, params).log_strategies
        return self.tables(jnp.reshape(jnp.asarray(cost, jnp.result_type(float)), (1,)), phi, psi, params)[0]

    def log_prob_cells(
        self, role: int, seen: Any, cost: Any, phi: Any, psi: Any, params: Any
    ) -> Float[Array, "cells actions"]:
        if isinstance(self.environment, FiniteGame) and jnp.ndim(cost) == 0:
            return self.log_prob_table(cost, phi, psi, params)[self.place(role, seen)]  # one solution serves all
        return super().log_prob_cells(role, seen, cost, phi, psi, params)

    def place(self, role: Any, seen: Any) -> tuple[Any, Any]:
        """Where `tables` tells of what was seen in a role."""
        env: Any = self.environment
        return role, env.situation_of(seen)

    def _params(self, params: Any) -> Any:
        return jax.tree.map(jnp.asarray, self.environment.params | dict(params or {}))

    def log_prob_all(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "roles actions"]:
        if self.private and cost is not None:
            return jax.vmap(lambda role: self.log_prob(role, cost, phi, psi, params))(
                jnp.arange(self.environment.roles)
            )
        return self.solve(cost, phi, psi, params).log_strategies

    def values(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "roles actions"]:
        """What each action is worth in a one-shot game, by role."""
        return self.solve(cost, phi, psi, params).expected_payoffs

    def tables(
        self, costs: Float[Array, " people"], phi: Any, psi: Any, params: Any
    ) -> Float[Array, "people players situations actions"]:
        """Log-probabilities in a finite game over time, everywhere and in every role, of people with these costs whom
        nobody expects (types of weight zero): others are met as draws from the population."""
        env: Any = self.environment
        if not self.private:
            return jax.vmap(lambda c: self.log_prob_table(c, phi, psi, params))(costs)
        expected, weights = self._types(None, phi)
        own = jnp.broadcast_to(costs.astype(expected.dtype), (expected.shape[0], costs.shape[0]))
        everybody = jnp.concatenate([expected, own], axis=1)
        weights = jnp.concatenate([weights, jnp.zeros(costs.shape[0], weights.dtype)])
        solved = solve_sequential(env, self.log_prior(psi), everybody, weights, self._params(params), self.concept)
        return jnp.moveaxis(solved.log_by_type[:, expected.shape[1] :], 1, 0)

    def log_prob_by_type(self, phi: Any, psi: Any, params: Any) -> Float[Array, "roles types actions"]:
        """Log-probabilities of a person with each of the population's quadrature costs."""
        solution = self.solve(None, phi, psi, params)
        tilted = self.log_prior(psi)[:, None, :] + (
            solution.expected_payoffs[:, None, :] / solution.type_costs[:, :, None]
        )
        return jax.vmap(jax.vmap(_log_softmax))(tilted)

    def _types(self, cost: Any, phi: Any) -> tuple[Float[Array, "roles types"], Float[Array, " types"]]:
        roles = self.environment.roles
        dtype = jnp.result_type(float)
        if self.private:
            assert self.population is not None
            if cost is not None:
                raise InputError(
                    "cost was given to a policy with private costs: give phi (the population's parameters) "
                    "instead, or use ExactPolicy(environment, prior) for costs that everybody knows."
                )
            nodes, weights = self.population.quadrature({} if phi is None else phi)
            return jnp.broadcast_to(nodes, (roles, nodes.shape[0])), weights
        if cost is None and phi is not None and "cost" in phi:
            cost = phi["cost"]
        if cost is None:
            raise InputError("No cost was given: pass cost=… (one number, or one per role).")
        cost = jnp.asarray(cost, dtype)
        if cost.ndim > 1 or (cost.ndim == 1 and cost.shape[0] not in (1, roles)):
            raise InputError(
                f"cost has shape {cost.shape}: give one number, or {roles} (one for each role of "
                f"{self.environment.name}: {', '.join(self.environment.role_names)})."
            )
        if not isinstance(cost, Tracer) and not np.all(np.asarray(cost) > 0):
            raise InputError(
                f"cost is {np.asarray(cost).tolist()}: every cost must be a positive number "
                "(it is the price, in payoff units, of a nat of information)."
            )
        return jnp.broadcast_to(cost, (roles,))[:, None], jnp.ones(1, dtype)


def _softmax(x: Float[Array, "... actions"]) -> Float[Array, "... actions"]:
    return jax.nn.softmax(x, axis=-1)


def _log_softmax(x: Float[Array, " actions"]) -> Float[Array, " actions"]:
    """-inf where x stands for an absent action, without a NaN in the gradient."""
    absent = x <= ABSENT / 2
    return jnp.where(absent, -jnp.inf, jax.nn.log_softmax(x))


def _unknowns(env: OneShot) -> tuple[np.ndarray, np.ndarray]:
    """The (role, action) index of each unknown: every role's logit differences to its first action.

    One role could be written as a function of the others. It is not: that squares the steepness of the
    system at small costs, where Newton's method then no longer finds mixed equilibria.
    """
    cells = [(r, a) for r, n in enumerate(env.mask.sum(axis=1)) for a in range(1, n)]
    rows, cols = np.array(cells, int).reshape(-1, 2).T
    return rows, cols


def _mixtures(log_q, x, precision, weights):
    """By role, the average over types of q exp(precision x) / Z."""
    return jnp.einsum("k,rka->ra", weights, _softmax(log_q[:, None, :] + precision[:, :, None] * x[:, None, :]))


@eqx.filter_jit  # so that a model that solves in several places is traced once
def _solve(env: OneShot, log_q, costs, weights, params, start) -> Solution:
    cells = _unknowns(env)
    dtype = log_q.dtype
    theta = (log_q, costs, weights, params)
    fixed = jax.lax.stop_gradient(theta)

    def units(theta):
        """Payoffs in spreads, costs as precisions relative to a typical one: end is that precision, scaled."""
        _log_q, costs, weights, params = theta
        scale = jax.lax.stop_gradient(env.payoff_scale(params)).astype(dtype)
        # In units of the smallest cost the path of a wide population would be long for the sake of a type of no weight.
        typical = jax.lax.stop_gradient(jnp.exp(jnp.min(jnp.log(costs) @ weights)))
        return scale, typical / costs, scale / typical

    def mixtures(v, theta):
        log_q, _, weights, _ = theta
        x = jnp.zeros(log_q.shape, dtype).at[cells].set(v)
        return _mixtures(log_q, x, units(theta)[1], weights)

    def differences(p, theta):
        """Every unknown's payoff over that of its role's first action, in spreads."""
        scale, _, _ = units(theta)
        u = env.expected_payoffs(p, theta[3]) / scale
        return (u - u[:, :1])[cells]

    def few_moves(theta):
        """(the directions in which others can move those, by how much each of their actions does), where they are few;
        else nothing."""
        if (factors := env.slope_factors(theta[3])) is None:
            return None, None
        left, right = factors
        return ((left - left[:, :, :1]) / units(theta)[0])[:, cells[0], cells[1]], right

    left, right = few_moves(fixed)

    def residual(v, s, theta):
        return v - s * differences(mixtures(v, theta), theta)

    def linearise(v, s):
        log_q, _, weights, params = fixed
        scale, precision, _ = units(fixed)
        x = jnp.zeros(log_q.shape, dtype).at[cells].set(v)
        by_type = _softmax(log_q[:, None, :] + precision[:, :, None] * x[:, None, :])
        p = jnp.einsum("k,rka->ra", weights, by_type)
        # d mixture / d x of a role: the covariance of its choices, averaged over its types.
        tilt = weights * precision
        if left is None:
            spread = -jnp.einsum("rk,rka,rkb->rab", tilt, by_type, by_type)
            spread = spread + jnp.eye(p.shape[1], dtype=dtype) * jnp.einsum("rk,rka->ra", tilt, by_type)[:, None, :]
            slopes = env.payoff_slopes(p, params) / scale
            slopes = (slopes - slopes[:, :1])[cells]
            jac = jnp.einsum("drb,rba->dra", slopes, spread)[:, cells[0], cells[1]]
            solve = partial(solve_with_sign, jnp.eye(v.shape[0], dtype=dtype) - s * jac)
        else:
            apart = right[:, :, None, :] - jnp.einsum("mra,rka->mrk", right, by_type)[..., None]
            spread = jnp.einsum("rk,rka,mrka->mra", tilt, by_type, apart)
            solve = partial(solve_low_rank, s * left, spread[:, cells[0], cells[1]])
        rise = differences(p, fixed)
        return v - s * rise, solve, -rise

    end = units(fixed)[2]
    if start is None:
        path = follow_path(
            linearise,
            jnp.zeros(len(cells[0]), dtype),
            end,
            tie_break=_tie_break(fixed[0], cells),
        )
    else:
        p = jnp.asarray(start, dtype)
        if p.shape != log_q.shape:
            raise InputError(
                f"start has shape {p.shape}: give the mixed strategies of every role, {log_q.shape} numbers."
            )
        path = newton(lambda v: linearise(v, end)[:2], end * differences(p, fixed))
    v = implicit_root(lambda v, th: residual(v, end, th), path.point, theta, few_moves(theta)[0])

    p = mixtures(v, theta)
    u = env.expected_payoffs(p, params)
    tilted = log_q[:, None, :] + u[:, None, :] / costs[:, :, None]
    by_type = jax.vmap(jax.vmap(_log_softmax))(tilted)
    log_p = jax.nn.logsumexp(jnp.where(by_type == -jnp.inf, ABSENT, by_type), axis=1, b=weights[None, :, None])
    possible = log_p > ABSENT / 2
    strategies = jnp.where(possible, jnp.exp(log_p), 0.0)
    best = jnp.max(jnp.where(possible, u, -jnp.inf), axis=1)
    ok = path.status == CONVERGED
    honest = lambda x: jnp.where(ok, x, jnp.nan)
    return Solution(
        strategies=honest(strategies),
        log_strategies=honest(jnp.where(possible, log_p, -jnp.inf)),
        strategies_by_type=honest(jnp.exp(by_type)),
        type_costs=costs,
        type_weights=weights,
        expected_payoffs=honest(u),
        residual=jnp.max(jnp.abs(strategies - p)),
        exploitability=best - jnp.sum(jnp.where(possible, strategies * u, 0.0), axis=1),
        status=path.status,
        steps=path.iterations,
    )


def _tie_break(log_q, cells):
    """At the pitchfork of a symmetric game, mirror-image branches are equally principal: take the one on which the
    first role leaves its first action, the one that Gambit 16 happens to take in the games we compared."""
    rows, cols = cells
    return jnp.where(rows == rows.min(initial=0), jnp.exp(log_q)[rows, cols], 0.0)


def equilibrium(environment: OneShot, cost: Any, *, prior: Prior = Uniform(), psi: Any = None) -> Solution:  # noqa: B008
    """The equilibrium of a game in which everybody's cost is known: `equilibrium(game, 0.5).strategies`.

    Example:
        >>> import bayescal as bc
        >>> solved = bc.equilibrium(bc.get_game("selten-chmura-01"), cost=0.8)
        >>> [f"{p:.2f}" for p in solved.strategies[:, 0]]  # Up, Left
        ['0.04', '0.67']
    """
    return ExactPolicy(environment, prior).solve(cost, psi=psi)
