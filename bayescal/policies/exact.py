"""The exact policy: the equilibrium of a game, computed by a solver.

One-shot games are solved by `one_shot`, finite games over time by `sequential`.

**Precision.** An eager call computes in float64 and returns JAX's default precision. Inside `jit`, `vmap` or `grad`
the precision is that of the trace: float32 unless x64 is enabled. In float32, in a decision problem with values near
100, probabilities are within 3e-4 of the solution at a cost of 0.0002 and within 1e-4 at costs of 0.001 or more; in
games of several players, which are solved by path following, within about 1e-3. For more precision, wrap the
transformed function in `bayescal.precision.double_precision()`, as inference does.
"""

from types import ModuleType
from typing import Any, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayescal._types import Actions, AnyArray, Costs, Index, Observation, Parameters, RoleActions, Seen
from bayescal.environments.base import Environment, OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.environments.own_solution import SolvesItself
from bayescal.environments.repeated import Repeated
from bayescal.errors import InputError
from bayescal.policies.at_once import check_one_shot, solve_game
from bayescal.policies.base import ABSENT, PolicyKind, PriorPolicy, tilt
from bayescal.policies.costs import types_of
from bayescal.policies.eager import in_double_precision
from bayescal.policies.learned import Others
from bayescal.policies.one_shot import Arm, Solution, sense_of
from bayescal.policies.rounds import exact as average_others
from bayescal.policies.rounds import persistent as persistent_others
from bayescal.policies.rounds.solve import Types
from bayescal.policies.rounds.stage import NODES, LogPrior
from bayescal.policies.sequential import Concept, SequentialSolution, solve_sequential
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform


class ExactPolicy(PriorPolicy):
    """Solves a game for any cost, population, prior and payoffs.

    Args:
        environment: a one-shot game, a finite Markov game, a finite game in extensive form, a repeated game,
            or a game over time that knows its own solution (a newsvendor).
        prior: the habit.
        population: `None` for costs that everybody knows, one number per role; otherwise each player's cost
            is private and drawn from the population, whose quadrature nodes are the player's types.
        concept: in games over time: whether one's own future cost of information counts ("trajectory") or not
            ("agent": agent quantal response equilibrium, for comparison with other programs).
        arm: in a game with symmetries the principal branch may fork, and nothing in the game says which arm is
            principal. "first" is the arm on which the first role leaves its first action (in a game over time, on which
            the first player's first situation is worth more), "other" the one on the opposite side. They need not pay
            the same. A solution's `forked` says whether this mattered.
        nodes: repeated games: in how many states the worth of what comes later is held, in each of two directions.
        others: repeated games with private costs: whom people believe they meet. In every state the population's
            average, whose costs are drawn anew ("average"); or the same rival all game long, so that what was seen says
            something about its cost ("persistent": two players, few actions).
        tolerance: repeated games: the solution of a round may be off by that much (total over actions); None for one
            near the precision of numbers, which takes three times as long as 1e-6.

    Every result is differentiable in cost, phi, psi and params, forwards and backwards, by the implicit
    function theorem, and may be jitted and vmapped. If a solve fails, `status` says so and the probabilities are NaN.

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
    nodes: int = eqx.field(static=True, default=NODES)
    arm: Arm = eqx.field(static=True, default="first")
    others: Others = eqx.field(static=True, default="average")
    tolerance: float | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if not (self.environment.solvable or isinstance(self.environment, Repeated)):
            raise InputError(
                f"ExactPolicy: {self.environment.name} is neither a one-shot game nor a finite Markov game nor one in "
                "extensive form, so it cannot be solved exactly: use a learned policy (`bayescal models`) or train one."
            )
        if self.concept not in ("trajectory", "agent"):
            raise InputError(f'ExactPolicy: the concept is {self.concept!r}; choose "trajectory" or "agent".')
        if self.arm not in ("first", "other"):
            raise InputError(f'ExactPolicy: the arm is {self.arm!r}; choose "first" or "other".')
        if self.arm == "other" and (isinstance(self.environment, Repeated) or self._solves_itself):
            raise InputError(f"ExactPolicy: no branch is followed to solve {self.environment.name}: leave out arm.")
        if self.concept == "agent" and isinstance(self.environment, Repeated):
            raise InputError(f'ExactPolicy: {self.environment.name} is solved for the concept "trajectory" only.')
        if self.others not in get_args(Others):
            raise InputError(f"ExactPolicy: others is {self.others!r}; choose one of {', '.join(get_args(Others))}.")
        if self.others == "persistent":
            if not isinstance(self.environment, Repeated):
                raise InputError('ExactPolicy: others="persistent" is for repeated games; leave it out.')
            persistent_others.check(self.environment)

    @property
    def private(self) -> bool:
        return self.population is not None and not isinstance(self.population, Homogeneous)

    @property
    def tabled(self) -> bool:
        """Whether the game has finitely many situations, so that one solution holds all of them."""
        return isinstance(self.environment, FiniteGame | Repeated)

    @property
    def _solves_itself(self) -> bool:
        return isinstance(self.environment, SolvesItself)

    def solve(
        self,
        cost: Costs | None = None,
        phi: Parameters | None = None,
        psi: Parameters | None = None,
        params: Parameters | None = None,
        *,
        start: Float[AnyArray, "roles actions"] | None = None,
    ) -> Any:
        """The equilibrium at these costs: a `Solution`, or in a game over time a `SequentialSolution`.

        Args:
            cost: a number, or one per role (common costs only).
            phi: the population's parameters (private costs only; `{"cost": …}` for `Homogeneous`).
            psi: the habit's parameters; its defaults when None.
            params: environment parameters; the environment's own when None.
            start: mixed strategies (roles, actions): Newton's method starts there, instead of following the principal
                branch. Finds other equilibria of a one-shot game that has several.
        """
        if not isinstance(self.environment, OneShot):
            if start is not None:
                raise InputError(f"{self.environment.name} is a game over time: start is for one-shot games.")
            return self._solve_play(cost, phi, psi, params)
        population = self.population if self.private else None
        return solve_game(self.environment, self.prior, population, cost, phi, psi, params, start, self.arm)

    @in_double_precision
    def _solve_play(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> Any:
        """A game over time."""
        costs, weights = self._types(cost, phi)
        if isinstance(self.environment, Repeated):
            return self._solve_rounds(jnp.zeros(0), (costs, weights), psi, params)
        return self._solve_over_time(costs, weights, psi, params)

    def _solve_over_time(
        self,
        costs: Float[Array, "roles types"],
        weights: Float[Array, " types"],
        psi: Parameters | None,
        params: Parameters | None,
    ) -> SequentialSolution:
        env = self.environment
        if not isinstance(env, FiniteGame):
            raise InputError(f"{env.name} is a game over time: use `log_prob`, which takes the observation.")
        log_q, params = self.log_prior(psi), self.all_params(params)
        return solve_sequential(env, log_q, costs, weights, params, self.concept, sense_of(self.arm))

    def log_prior(self, psi: Parameters | None = None) -> Float[Array, "roles *situations actions"]:
        """log q of every role (and situation) over the padded grid; ABSENT where there is no action."""
        env = self.environment
        if isinstance(env, OneShot):
            return super().log_prior(psi)
        if not isinstance(env, FiniteGame):
            raise InputError(f"The habit of {env.name} depends on the observation: use `log_prior_of`.")
        everywhere = jnp.arange(env.situation_count)
        rows = lambda r: jax.vmap(lambda i: self.log_prior_of(r, psi, {env.situation_key: i}))(everywhere)
        log_q = jnp.stack([rows(r) for r in range(env.roles)])
        if not env.same_actions:  # the habit covers the role's whole grid; a situation may have fewer actions
            log_q = jax.nn.log_softmax(jnp.where(env.possible, log_q, ABSENT), axis=-1)
            log_q = jnp.where(env.possible, log_q, ABSENT)
        return log_q

    @in_double_precision
    def log_prob(
        self,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        """Log-probabilities of one person: `observation` is the role in a one-shot game, else (role, what was seen).
        With private costs, of a person with this cost (None: drawn from the population)."""
        env: Any = self.environment
        if self._solves_itself:
            assert cost is not None
            role, seen = observation
            q = env.exact_values(seen, cost, psi or self.prior.defaults, self.all_params(params), self.prior)
            return tilt(self.log_prior_of(role, psi, seen), q, cost)
        if isinstance(env, Repeated):
            role, seen = observation
            one = {n: jnp.asarray(x)[None] for n, x in seen.items()}
            return self.log_prob_cells(role, one, cost, phi, psi, params)[0]
        if not isinstance(env, OneShot):
            return self.log_prob_table(cost, phi, psi, params)[self.place(*observation)]
        if not self.private or cost is None:
            return self.log_prob_all(cost, phi, psi, params)[observation]
        solution = self.solve(None, phi, psi, params)
        return tilt(self.log_prior(psi)[observation], solution.expected_payoffs[observation], cost)

    @in_double_precision
    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        if self.private and cost is not None:
            solution = self.solve(None, phi, psi, params)
            return jax.vmap(lambda log_q, q: tilt(log_q, q, cost))(self.log_prior(psi), solution.expected_payoffs)
        env = self.environment
        if isinstance(env, OneShot) and env.players == 1 and not self.private:  # a decision that needs no solver
            costs, _ = self._types(cost, phi)
            return jax.vmap(tilt)(self.log_prior(psi), self.values(cost, phi, psi, params), costs[:, 0])
        return self.solve(cost, phi, psi, params).log_strategies

    @in_double_precision
    def log_prob_table(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> Float[Array, "players situations actions"]:
        """Log-probabilities of all players in all situations of a finite game over time."""
        if not self.private or cost is None:
            return self.solve(cost, phi, psi, params).log_strategies
        return self.tables(jnp.reshape(jnp.asarray(cost, jnp.result_type(float)), (1,)), phi, psi, params)[0]

    @in_double_precision
    def log_prob_cells(
        self,
        role: int,
        seen: Seen,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Float[Array, "cells actions"]:
        if isinstance(self.environment, Repeated):
            return self._repeated_cells(seen, cost, phi, psi, params)
        if isinstance(self.environment, FiniteGame) and (cost is None or jnp.ndim(cost) == 0):
            return self.log_prob_table(cost, phi, psi, params)[self.place(role, seen)]  # one solution serves all
        return super().log_prob_cells(role, seen, cost, phi, psi, params)

    def _repeated_cells(
        self,
        seen: Seen,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Float[Array, "cells actions"]:
        """`log_prob_cells` of a repeated game; one solution serves all decisions."""
        env, log_prior = self._repeated(psi)
        if cost is None or not self.private:
            solved = self._solve_rounds(jnp.zeros(0), self._types(cost, phi), psi, params)
            return jnp.log(self._others.average_play(env, solved, log_prior, seen))
        own = jnp.asarray(cost, jnp.result_type(float))
        solved = self._solve_rounds(jnp.ravel(own), self._types(None, phi), psi, params)
        if own.ndim == 0:
            return self._others.log_probs(env, solved, log_prior, seen)[0]
        return self._others.log_probs_by_person(env, solved, log_prior, seen, jnp.arange(own.size))

    @in_double_precision
    def log_prob_people(
        self,
        seen: Seen,
        who: Int[AnyArray, " cells"],
        costs: Float[Array, " people"],
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Float[Array, "cells actions"]:
        """Log-probabilities in a repeated game after each observation, of the person (the index of a cost) who made
        it. One solution serves all."""
        who = jnp.asarray(who)
        if not self.private:
            return self.tables_at(seen, costs, phi, psi, params)[who, jnp.arange(who.size)]
        env, log_prior = self._repeated(psi)
        solved = self._solve_rounds(costs, self._types(None, phi), psi, params)
        return self._others.log_probs_by_person(env, solved, log_prior, seen, who)

    @in_double_precision
    def tables_at(
        self,
        seen: Seen,
        costs: Float[Array, " people"],
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Float[Array, "people cells actions"]:
        """Log-probabilities in a repeated game of people with these costs, after each of these observations."""
        if not self.private:
            return jax.vmap(lambda c: self.log_prob_cells(0, seen, c, phi, psi, params))(costs)
        env, log_prior = self._repeated(psi)
        solved = self._solve_rounds(costs, self._types(None, phi), psi, params)
        return self._others.log_probs(env, solved, log_prior, seen)

    @property
    def _others(self) -> ModuleType:
        """How a repeated game is solved. Where costs are known, others are the same people either way."""
        return persistent_others if self.others == "persistent" and self.private else average_others

    def _repeated(self, psi: Parameters | None) -> tuple[Repeated, LogPrior]:
        assert isinstance(self.environment, Repeated)
        return self.environment, lambda seen: self.log_prior_of(0, psi, seen)

    def _solve_rounds(
        self,
        own: Float[Array, " costs"],
        types: tuple[Float[Array, "roles types"], Float[Array, " types"]],
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Any:
        env, log_prior = self._repeated(psi)
        costs, weights = types
        return self._others.solve(
            env, log_prior, Types(costs[0], weights), own, self.all_params(params), self.nodes, self.tolerance
        )

    def place(self, role: Index, seen: Seen) -> tuple[Index, Index | Int[AnyArray, "..."]]:
        """Index of the observations of a role in `tables`."""
        env: Any = self.environment
        return role, env.situation_of(seen)

    @in_double_precision
    def values(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """Expected payoff of each action in a one-shot game, by role."""
        env: Any = self.environment
        if env.players == 1:  # there is nobody else whose play would have to be known
            return env.expected_payoffs(jnp.exp(self.log_prior(psi)), self.all_params(params))
        return self.solve(cost, phi, psi, params).expected_payoffs

    @in_double_precision
    def tables(
        self,
        costs: Float[Array, " people"],
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Float[Array, "people players situations actions"]:
        """Log-probabilities in a finite game over time, in every role and situation, of people with these costs. They
        are types of weight zero: others do not expect them, and they expect others to be drawn from the population."""
        if not self.private:
            return jax.vmap(lambda c: self.log_prob_table(c, phi, psi, params))(costs)
        expected, weights = self._types(None, phi)
        own = jnp.broadcast_to(costs.astype(expected.dtype), (expected.shape[0], costs.shape[0]))
        everybody = jnp.concatenate([expected, own], axis=1)
        weights = jnp.concatenate([weights, jnp.zeros(costs.shape[0], weights.dtype)])
        solved = self._solve_over_time(everybody, weights, psi, params)
        return jnp.moveaxis(solved.log_by_type[:, expected.shape[1] :], 1, 0)

    @in_double_precision
    def log_prob_by_type(
        self, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> Float[Array, "roles types actions"]:
        """Log-probabilities of a person with each of the population's quadrature costs."""
        solved = self.solve(None, phi, psi, params)
        of_costs = lambda log_q, q, costs: jax.vmap(lambda cost: tilt(log_q, q, cost))(costs)
        return jax.vmap(of_costs)(self.log_prior(psi), solved.expected_payoffs, solved.type_costs)

    def _types(
        self, cost: Costs | None, phi: Parameters | None
    ) -> tuple[Float[Array, "roles types"], Float[Array, " types"]]:
        return types_of(self.environment, self.population if self.private else None, cost, phi)


def equilibrium(
    environment: OneShot,
    cost: Costs,
    *,
    prior: Prior = Uniform(),  # noqa: B008 - frozen
    psi: Parameters | None = None,
    arm: Arm = "first",
) -> Solution:
    """The equilibrium of a game in which everybody's cost is known: `equilibrium(game, 0.5).strategies`.

    Args:
        arm: which arm to follow where the principal branch forks; see `ExactPolicy`.

    Example:
        >>> import bayescal as bc
        >>> solved = bc.equilibrium(bc.get_game("selten-chmura-01"), cost=0.8)
        >>> [f"{p:.2f}" for p in solved.strategies[:, 0]]  # Up, Left
        ['0.04', '0.67']
    """
    if arm not in get_args(Arm):
        raise InputError(f'equilibrium: the arm is {arm!r}; choose "first" or "other".')
    check_one_shot(environment)
    return solve_game(environment, prior, None, cost, None, psi, None, None, arm)
