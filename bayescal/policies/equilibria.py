"""All equilibria of a small one-shot game, at a cost of information and without one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from jaxtyping import Float

from bayescal._types import Costs, Parameters
from bayescal.environments.base import OneShot
from bayescal.errors import InputError
from bayescal.policies.costs import checked_cost
from bayescal.policies.exact import ExactPolicy
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform
from bayescal.solvers.every_root import every_root
from bayescal.solvers.supports import nash_by_supports
from bayescal.solvers.tensors import TensorGame

_LARGEST = 60  # unknowns
_PURE, _RANDOM, _ROUNDS = 64, 12, 6  # starts, and how often there are as many again if something is missing
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
        >>> for solved in bc.equilibria(bc.get_game("stag-hunt"), 0.5):
        ...     print([f"{p:.2f}" for p in solved.strategies[:, 0]], solved.stable, solved.principal)
        ['0.03', '0.03'] True True
        ['0.99', '0.99'] True False
        ['0.75', '0.75'] False False
    """
    costs = np.broadcast_to(np.asarray(checked_cost(environment, cost), float), (environment.roles,))
    policy = ExactPolicy(environment, prior)
    log_q = np.asarray(policy.log_prior(psi), float)
    game = TensorGame.of(environment)
    system = _System(game, [row[:n] for row, n in zip(log_q, game.sizes, strict=True)], costs)
    if system.unknowns > _LARGEST:
        raise InputError(
            f"{environment.name} has {system.unknowns} unknown probabilities, more than {_LARGEST}: all its equilibria "
            "are searched for in small games only. Use `equilibrium`, or `ExactPolicy.solve` with a start."
        )
    branch = np.asarray(policy.solve(cost, psi=psi).strategies, float)
    rng, roots, index = np.random.default_rng(seed), [], 0
    if np.all(np.isfinite(branch)):
        mixtures = [row[:n] for row, n in zip(branch, game.sizes, strict=True)]
        roots = every_root(system.linearise, [system.reply(mixtures)])
    starts = [*system.nash_starts(), *system.pure_starts()]
    for _ in range(_ROUNDS):
        roots = every_root(system.linearise, [*starts, *system.random_starts(rng)], roots)
        index = sum(int(np.sign(np.linalg.det(system.linearise(v)[1]))) for v in roots)
        if index == 1:
            break
        starts = []
    found = [system.equilibrium(v, branch) for v in roots]
    found.sort(key=lambda e: (not e.principal, -float(np.dot(environment.role_counts, e.payoffs))))
    return Equilibria(tuple(found), index)


@dataclass(frozen=True, eq=False)
class _System:
    """v = payoffs / cost, where v is log(p / q): both over those of a role's first action."""

    game: TensorGame
    log_q: list[np.ndarray]
    costs: np.ndarray

    @property
    def unknowns(self) -> int:
        return sum(n - 1 for n in self.game.sizes)

    def mixtures(self, v: np.ndarray) -> list[np.ndarray]:
        return [_softmax(q + x) for q, x in zip(self.log_q, _split(v, self.game.sizes), strict=True)]

    def reply(self, p: list[np.ndarray]) -> np.ndarray:
        """v of the replies to p."""
        return np.concatenate([(u[1:] - u[0]) / c for u, c in zip(self.game.values(p), self.costs, strict=True)])

    def linearise(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = self.mixtures(v)
        blocks = [
            [
                (slope[1:] - slope[:1]) @ (np.diag(p[k]) - np.outer(p[k], p[k]))[:, 1:] / self.costs[r]
                for k, slope in enumerate(row)
            ]
            for r, row in enumerate(self.game.slopes(p))
        ]
        return v - self.reply(p), np.eye(len(v)) - np.block(blocks)

    def nash_starts(self) -> list[np.ndarray]:
        """Near the Nash equilibria of two players: at a small cost there is an equilibrium near each."""
        if len(self.game.sizes) != 2 or self.game.tensors[0].ndim != 2 or max(self.game.sizes) > _NASH:
            return []
        row, column = self.game.tensors[0], self.game.tensors[1].T
        return [self.at([p, q]) for p, q, _ in nash_by_supports(row, column)]

    def at(self, p: list[np.ndarray]) -> np.ndarray:
        """v of mixtures; of actions that are hardly played, of the reply."""
        reply = _split(self.reply(p), self.game.sizes)
        over = []
        for x, q, u in zip(p, self.log_q, reply, strict=True):
            played = np.argmax(x)
            v = np.where(x > 1e-9, np.log(np.maximum(x, 1e-9)) - q, 0.0)
            v = np.where(x > 1e-9, v, v[played] + np.minimum(u - u[played], 0.0))
            over.append(v[1:] - v[0])
        return np.concatenate(over)

    def pure_starts(self) -> list[np.ndarray]:
        """Replies to pure strategies, of small games."""
        sizes = self.game.sizes
        if prod(sizes) > _PURE:
            return []
        return [
            self.reply([np.eye(n)[a] for n, a in zip(sizes, at, strict=True)]) for at in product(*map(range, sizes))
        ]

    def random_starts(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Replies to random mixtures, and the mixtures themselves: a mixed equilibrium at a small cost is near none of
        the replies."""
        starts = []
        for _ in range(_RANDOM):
            p = [rng.dirichlet(np.full(n, rng.choice([0.3, 1.0, 3.0]))) for n in self.game.sizes]
            starts += [self.reply(p), self.at(p)]
        return starts

    def equilibrium(self, v: np.ndarray, branch: np.ndarray) -> Equilibrium:
        p = self.mixtures(v)
        values = self.game.values(p)
        strategies = np.zeros_like(branch)
        for row, x in zip(strategies, p, strict=True):
            row[: len(x)] = x
        mean = np.array([x @ u for x, u in zip(p, values, strict=True)])
        unstable = int(np.sum(np.linalg.eigvals(self.linearise(v)[1]).real < 0))
        principal = bool(np.all(np.abs(strategies - branch) < _SAME))
        return Equilibrium(strategies, mean, np.array([u.max() for u in values]) - mean, unstable, principal)


def _split(v: np.ndarray, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """v by role, with the zero of the first action."""
    cuts = np.cumsum([n - 1 for n in sizes])[:-1]
    return [np.append(0.0, part) for part in np.split(v, cuts)]


def _softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max())
    return weights / weights.sum()


@dataclass(frozen=True, eq=False)
class NashEquilibrium:
    """A Nash equilibrium of two players.

    Attributes:
        strategies: by player, over the padded grid.
        payoffs: by player.
        degenerate: whether somebody has more best replies than actions that are played. There may then be others near.
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
        ...     print([f"{p:.2f}" for p in nash.strategies[:, 0]], nash.payoffs)
        ['1.00', '1.00'] [4. 4.]
        ['0.00', '0.00'] [3. 3.]
        ['0.75', '0.75'] [3. 3.]
    """
    if environment.players != 2:
        raise InputError(
            f"{environment.name} has {environment.players} players: Nash equilibria are enumerated for two. Use "
            "`equilibria` at a small cost."
        )
    game = TensorGame.of(environment, None if params is None else dict(params))
    row, column = game.tensors[0], game.tensors[-1].T
    found = []
    for p, q, degenerate in nash_by_supports(row, column):
        strategies = np.zeros((2, max(row.shape)))
        strategies[0, : len(p)], strategies[1, : len(q)] = p, q
        found.append(NashEquilibrium(strategies, np.array([p @ row @ q, p @ column @ q]), degenerate))
    return tuple(found)
