"""All equilibria of a small one-shot game, at a cost of information and without one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from jaxtyping import Float

from bayescal._types import Costs, Parameters
from bayescal.environments.base import OneShot
from bayescal.environments.normal_form import NormalForm
from bayescal.environments.roles import role_of_player
from bayescal.errors import InputError
from bayescal.policies.at_once import check_one_shot
from bayescal.policies.costs import checked_cost
from bayescal.policies.exact import ExactPolicy
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform
from bayescal.solvers.every_root import every_root
from bayescal.solvers.logit_system import LogitSystem, Points
from bayescal.solvers.supports import nash_by_supports
from bayescal.solvers.tensors import TensorGame

_LARGEST = 60  # unknowns
_PURE, _RANDOM, _ROUNDS = 64, 8, 6  # starts, and how often there are as many again if something is missing
_NASH = 6  # actions of a player, up to which Nash equilibria are starts too
_SAME = 1e-6  # probabilities of one equilibrium


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """One of the equilibria of a game.

    Attributes:
        strategies: by role, over the padded grid.
        payoffs: by role, what a player expects.
        exploitability: by role, what a best reply would gain.
        unstable: the number of directions in which replies to replies, damped ever so much, lead away from it.
        principal: whether it is the one that `equilibrium` finds.

    Example:
        >>> import bayescal as bc
        >>> first = bc.equilibria(bc.get_game("stag-hunt"), 0.2)[0]
        >>> first.principal, first.stable, [f"{u:.2f}" for u in first.payoffs]
        (True, True, ['3.00', '3.00'])
    """

    strategies: Float[np.ndarray, "roles actions"]
    payoffs: Float[np.ndarray, " roles"]
    exploitability: Float[np.ndarray, " roles"]
    unstable: int
    principal: bool

    @property
    def stable(self) -> bool:
        return self.unstable == 0


@dataclass(frozen=True, eq=False)
class Equilibria:
    """Equilibria of one game at one cost: the principal one first, then those that pay all players most.

    Attributes:
        index: the sum of (-1)**unstable. It is 1 if all equilibria are there.

    Example:
        >>> import bayescal as bc
        >>> found = bc.equilibria(bc.get_game("stag-hunt"), 0.2)
        >>> len(found), found.balanced, sum(e.stable for e in found)
        (3, True, 2)
    """

    found: tuple[Equilibrium, ...]
    index: int

    @property
    def balanced(self) -> bool:
        """Whether nothing shows that one is missing. A pair of which one is stable and one is not may still be."""
        return self.index == 1

    def __iter__(self) -> Iterator[Equilibrium]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, i: int) -> Equilibrium:
        return self.found[i]


def equilibria(
    environment: OneShot,
    cost: Costs,
    *,
    prior: Prior = Uniform(),  # noqa: B008 - frozen
    psi: Parameters | None = None,
    seed: int = 0,
) -> Equilibria:
    """The equilibria of a small game in which everybody's cost is known: `equilibrium` gives one of them.

    Newton's method starts from pure and from random strategies, and again from each start with the equilibria that
    are known taken out. The search goes on while the index shows that one is missing.

    Args:
        cost: a number, or one per role.
        seed: of the random starts.

    Raises:
        InputError: the game is too large.

    Example:
        >>> import bayescal as bc
        >>> for solved in bc.equilibria(bc.get_game("stag-hunt"), 0.2):
        ...     print([f"{p:.2f}" for p in solved.strategies[:, 0]], solved.stable, solved.principal)  # stag
        ['0.00', '0.00'] True True
        ['0.99', '0.99'] True False
        ['0.73', '0.73'] False False
    """
    check_one_shot(environment)
    costs = np.broadcast_to(np.asarray(checked_cost(environment, cost), float), (environment.roles,))
    policy = ExactPolicy(environment, prior)
    log_q = np.asarray(policy.log_prior(psi), float)
    game = tensor_game(environment, None)
    system = _Search(game, [row[:n] for row, n in zip(log_q, game.sizes, strict=True)], costs)
    if system.unknowns > _LARGEST:
        raise InputError(
            f"{environment.name} has {system.unknowns} unknown probabilities, more than {_LARGEST}: all its equilibria "
            "are searched for in small games only. Use `equilibrium`, or `ExactPolicy.solve` with a start."
        )
    branch = np.asarray(policy.solve(cost, psi=psi).strategies, float)
    rng, roots, index = np.random.default_rng(seed), [], 0
    if np.all(np.isfinite(branch)):
        mixtures = [row[None, :n] for row, n in zip(branch, game.sizes, strict=True)]
        roots = every_root(system.linearise, system.reply(mixtures))
    starts = [system.nash_starts(), system.pure_starts()]
    for _ in range(_ROUNDS):
        roots = every_root(system.linearise, np.concatenate([*starts, system.random_starts(rng)]), roots)
        index = int(np.sum(np.sign(np.linalg.det(system.linearise(np.array(roots))[1])))) if roots else 0
        if index == 1:
            break
        starts = []
    found = [system.equilibrium(v, branch) for v in roots]
    found.sort(key=lambda e: (not e.principal, -float(np.dot(environment.role_counts, e.payoffs))))
    return Equilibria(tuple(found), index)


@dataclass(frozen=True, eq=False)
class _Search(LogitSystem):
    """The equations, and where to start looking for their solutions."""

    def nash_starts(self) -> Points:
        """Near the Nash equilibria of two players: at a small cost there is an equilibrium near each."""
        found = []
        if len(self.game.sizes) == 2 and self.game.tensors[0].ndim == 2 and max(self.game.sizes) <= _NASH:
            found = nash_by_supports(self.game.tensors[0], self.game.tensors[1].T)
        if not found:
            return np.zeros((0, self.unknowns))
        return self.at([np.array([p for p, _, _ in found]), np.array([q for _, q, _ in found])])

    def pure_starts(self) -> Points:
        """Replies to pure strategies, of small games."""
        sizes = self.game.sizes
        if prod(sizes) > _PURE:
            return np.zeros((0, self.unknowns))
        corners = list(product(*(np.eye(n) for n in sizes)))
        return self.reply([np.array([corner[r] for corner in corners]) for r in range(len(sizes))])

    def random_starts(self, rng: np.random.Generator) -> Points:
        """Replies to random mixtures, and the mixtures themselves: a mixed equilibrium at a small cost is near none of
        the replies."""
        p = [np.concatenate([rng.dirichlet(np.full(n, a), _RANDOM) for a in (0.3, 1.0, 3.0)]) for n in self.game.sizes]
        return np.concatenate([self.reply(p), self.at(p)])

    def equilibrium(self, v: np.ndarray, branch: np.ndarray) -> Equilibrium:
        p = self.mixtures(v[None])
        values = [u[0] for u in self.game.values(p)]
        strategies = np.zeros_like(branch)
        for row, (x,) in zip(strategies, p, strict=True):
            row[: len(x)] = x
        mean = np.array([x @ u for (x,), u in zip(p, values, strict=True)])
        unstable = int(np.sum(np.linalg.eigvals(self.linearise(v[None])[1][0]).real < 0))
        principal = bool(np.all(np.abs(strategies - branch) < _SAME))
        return Equilibrium(strategies, mean, np.array([u.max() for u in values]) - mean, unstable, principal)


@dataclass(frozen=True, eq=False)
class NashEquilibrium:
    """A Nash equilibrium of two players.

    Attributes:
        strategies: by player, over the padded grid.
        payoffs: by player.
        degenerate: whether somebody has more best replies than actions that are played. There may then be others near.

    Example:
        >>> import bayescal as bc
        >>> together, *_ = bc.nash_equilibria(bc.get_game("stag-hunt"))
        >>> [f"{p:.0f}" for p in together.strategies[0]], together.degenerate
        (['1', '0'], False)
    """

    strategies: Float[np.ndarray, "2 actions"]
    payoffs: Float[np.ndarray, " 2"]
    degenerate: bool


def nash_equilibria(environment: OneShot, params: Parameters | None = None) -> tuple[NashEquilibrium, ...]:
    """The Nash equilibria of a game of two players, by support enumeration: all of them, if none is degenerate.

    Args:
        params: environment parameters; the environment's own when None.

    Raises:
        InputError: the game has more than two players, or too many actions.

    Example:
        >>> import bayescal as bc
        >>> for nash in bc.nash_equilibria(bc.get_game("stag-hunt")):
        ...     print([f"{p:.2f}" for p in nash.strategies[:, 0]], [f"{u:.1f}" for u in nash.payoffs])  # stag
        ['1.00', '1.00'] ['4.0', '4.0']
        ['0.00', '0.00'] ['3.0', '3.0']
        ['0.67', '0.67'] ['3.0', '3.0']
    """
    check_one_shot(environment)
    if environment.players != 2:
        raise InputError(
            f"{environment.name} has {environment.players} players: Nash equilibria are enumerated for two. Use "
            "`equilibria` at a small cost."
        )
    game = tensor_game(environment, params)
    row, column = game.tensors[0], game.tensors[-1].T
    found = []
    for p, q, degenerate in nash_by_supports(row, column):
        strategies = np.zeros((2, max(row.shape)))
        strategies[0, : len(p)], strategies[1, : len(q)] = p, q
        found.append(NashEquilibrium(strategies, np.array([p @ row @ q, p @ column @ q]), degenerate))
    return tuple(found)


def tensor_game(env: OneShot, params: Parameters | None) -> TensorGame:
    """By enumeration: a game of which that would be too large is refused."""
    given = {**env.params, **(params or {})}
    if isinstance(env, NormalForm):
        return TensorGame.of_payoffs(np.asarray(given["payoffs"], float))
    tensors, others = [], []
    for r in range(env.roles):
        rest = list(role_of_player(env.role_counts))
        rest.remove(r)
        shape = [len(env.action_values[k]) for k in (r, *rest)]
        # Of the base class: a game may have a table of its own, with columns that are not joint actions.
        tensors.append(np.asarray(OneShot.joint_table(env, r, given), float).reshape(shape))
        others.append(tuple(rest))
    return TensorGame(tuple(tensors), tuple(others))
