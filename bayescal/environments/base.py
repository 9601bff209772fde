"""What a game is: rules only. Who plays, on which grid of actions, for which payoffs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bayescal.environments.replay import Replay

if TYPE_CHECKING:
    import pandas as pd

Params = Any  # a pytree of arrays: the environment parameters that may be inferred or vmapped over


class Environment(eqx.Module):
    """The rules of a game, as pure functions of one game; batching is `vmap` at the boundary.

    Players are grouped in **roles**: players of one role have the same actions, the same payoffs and the
    same policy. Player `i` of an asymmetric two-player game is its own role; the twelve firms of a symmetric
    Cournot market share one. Grids of different length are padded to the longest, `mask` says what is real.

    Example:
        >>> import bayescal as bc
        >>> game = bc.get_game("beer-game")
        >>> game.role_names, game.players, game.horizon
        (('retailer', 'wholesaler', 'distributor', 'factory'), 4, 36)
        >>> game.action_values[0][:4]
        (0.0, 1.0, 2.0, 3.0)
    """

    name: str = eqx.field(static=True)
    role_names: tuple[str, ...] = eqx.field(static=True)
    role_counts: tuple[int, ...] = eqx.field(static=True)  # players in each role
    action_values: tuple[tuple[float, ...], ...] = eqx.field(static=True)  # by role: the grid that decisions live on
    action_labels: tuple[tuple[str, ...], ...] = eqx.field(static=True)  # by role: what a table may call the actions
    ordered: bool = eqx.field(static=True)  # whether the grid is a quantity (mean, quantiles make sense) or a list
    horizon: int = eqx.field(static=True)
    discount: float = eqx.field(static=True)

    @property
    def players(self) -> int:
        return sum(self.role_counts)

    @property
    def roles(self) -> int:
        return len(self.role_counts)

    @property
    def over_time(self) -> bool:
        """Whether something is carried from one decision to the next."""
        return True

    @property
    def payoff_parameters(self) -> tuple[str, ...]:
        """Parameters that together scale all payoffs: with all of them free, no cost is identified."""
        return ()

    @property
    def reduced(self) -> Environment:
        """The game of fewest players in which everybody chooses as in this one."""
        return self

    @property
    def shared_meaning(self) -> bool:
        """Whether an action of one name means the same in every game of this kind, so that people can have a habit."""
        return True

    @property
    def mask(self) -> np.ndarray:
        """(roles, actions) booleans: which cells of the padded grid are actions."""
        sizes = [len(v) for v in self.action_values]
        return np.arange(max(sizes))[None, :] < np.array(sizes)[:, None]

    @property
    @abstractmethod
    def params(self) -> Params:
        """The default environment parameters, as a pytree of numpy arrays."""

    @abstractmethod
    def reset(self, key: PRNGKeyArray, params: Params) -> Any: ...

    @abstractmethod
    def step(
        self, key: PRNGKeyArray, state: Any, joint_action: Int[Array, " players"], params: Params
    ) -> tuple[Any, Float[Array, " players"], Any]:
        """(next state, payoffs, whether the game is over)."""

    @abstractmethod
    def observe(self, state: Any, player: int) -> Any:
        """What a player knows before deciding. In a game over time: a dict of arrays, of which priors look at

        - "own": one's own last decision, in the grid's units;
        - "seen": what was last seen happening (demand, price, others' mean), in the grid's units;
        - "began": 0. before the first decision (own and seen mean nothing then), 1. after it.
        """

    @property
    def columns(self) -> Mapping[str, str]:
        """What a table of recorded play holds beside participant, group, role, round and action, and its meaning."""
        return {}

    def record(
        self, before: Any, joint_action: Int[Array, " players"], after: Any, params: Params
    ) -> dict[str, Float[Array, " players"]]:
        """Those columns for one round: one number a player."""
        return {}

    def replay(self, table: pd.DataFrame, *, tolerance: float = 0.01) -> Replay:
        """What each person saw before each recorded decision, rebuilt from the decisions (see `Replay`)."""
        raise NotImplementedError(f"{type(self).__name__} does not rebuild what was seen from a table.")

    def count_chance(self, table: pd.DataFrame) -> tuple[Environment, float]:
        """The game with what chance does counted from a table of play, and its log-likelihood."""
        raise NotImplementedError(f"What chance does in {type(self).__name__} is not counted from a table.")

    @abstractmethod
    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        """The spread of payoffs, a positive number in money: sets a solver's and a network's units."""

    def see(self, observation: Any, params: Params) -> Float[Array, " numbers"]:
        """An observation as a network is told of it: numbers of order one."""
        leaves = [jnp.ravel(jnp.asarray(x, jnp.result_type(float))) for x in jax.tree.leaves(observation)]
        return jnp.concatenate(leaves) if leaves else jnp.zeros(0)

    def stakes(
        self, params: Params, role: int, costs: Float[Array, " roles"] | None
    ) -> Float[Array, " numbers"] | None:
        """What is at stake for a role, as a network is told of it in numbers of order one, in place of the raw
        parameters; costs by role are given where everybody knows them. None: the raw parameters will do."""
        return None

    def relabel(self, params: Params) -> tuple[Params, Any]:
        """Parameters of the same game under standard names of its actions, and where each action went (None: they
        have kept their names). A network then learns only one of all the games that are the same."""
        return params, None

    def stake_scale(self, params: Params, role: int) -> Float[Array, ""]:
        """The most that a role's choice can change its payoff, about: the unit of what a network predicts for it."""
        return self.payoff_scale(params)


class OneShot(Environment):
    """A game played once (or over and over with nothing carried from round to round).

    A subclass gives `payoffs` of a joint action and `expected_payoffs` against mixed opponents; the latter is
    what is solved, so that symmetric games of many players go through an aggregate, never a tensor of A**n.

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> game = bc.PublicGoods(4, mpcr=0.4)
        >>> isinstance(game, bc.OneShot), game.over_time
        (True, False)
        >>> game.payoffs(np.array([20, 0, 0, 0]), game.params).tolist()  # one gives everything
        [8.0, 28.0, 28.0, 28.0]
    """

    @abstractmethod
    def expected_payoffs(
        self, strategies: Float[Array, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        """Payoff of each own action, by role, when everybody else plays `strategies`. Padded cells: anything finite."""

    def payoff_slopes(
        self, strategies: Float[Array, "roles actions"], params: Params
    ) -> Float[Array, "roles actions roles actions"]:
        """d expected_payoffs / d strategies. Override it where a closed form is cheaper than one tangent a cell."""
        return jax.jacfwd(self.expected_payoffs)(strategies, params)

    def slope_factors(
        self, params: Params
    ) -> tuple[Float[Array, "m roles actions"], Float[Array, "m roles actions"]] | None:
        """(left, right), where few numbers tell all that matters of what others do: whatever that is, payoff slopes are
        `sum_m left[m, r, a] right[m, s, b]`, but for what is the same of all own actions a. Else None."""
        return None

    @abstractmethod
    def payoffs(self, joint_action: Int[Array, " players"], params: Params) -> Float[Array, " players"]:
        """What each player gets when these actions (indices into the grid) are played."""

    @property
    def over_time(self) -> bool:
        return False

    # One-shot dynamics: the state is the round, the observation is the role.
    def reset(self, key: PRNGKeyArray, params: Params) -> Int[Array, ""]:
        return jnp.zeros((), jnp.int32)

    def step(self, key, state, joint_action, params):
        return state + 1, self.payoffs(joint_action, params), state + 1 >= self.horizon

    def observe(self, state: Any, player: int) -> int:
        return role_of_player(self.role_counts)[player]

    def see(self, observation: Any, params: Params) -> Float[Array, " numbers"]:
        return jnp.zeros(0)  # the role is told apart from what is observed

    def replay(self, table: pd.DataFrame, *, tolerance: float = 0.01) -> Replay:
        """In a one-shot game a person sees nothing but the role."""
        return Replay({}, np.ones(len(table), bool))


def role_of_player(role_counts: Sequence[int]) -> tuple[int, ...]:
    """The role of each player, players being numbered role by role."""
    return tuple(r for r, n in enumerate(role_counts) for _ in range(n))


def rules(
    name: str,
    roles: Mapping[str, int],
    action_values: Sequence[Iterable[float]],
    *,
    ordered: bool,
    labels: Sequence[Sequence[str]] | None = None,
    horizon: int = 1,
    discount: float = 1.0,
) -> dict[str, Any]:
    """The static fields of an environment, for `vars(self).update(rules(...))` in its `__init__`.

    Args:
        roles: how many players there are of each.
        action_values, labels: by role; one entry serves all.
    """
    values = tuple(tuple(float(v) for v in row) for row in action_values)
    names = tuple(tuple(map(str, row)) for row in labels or ((f"{v:g}" for v in row) for row in values))
    spread = lambda rows: rows * len(roles) if len(rows) == 1 else rows
    return {
        "name": name,
        "role_names": tuple(roles),
        "role_counts": tuple(int(n) for n in roles.values()),
        "action_values": spread(values),
        "action_labels": spread(names),
        "ordered": ordered,
        "horizon": int(horizon),
        "discount": float(discount),
    }


def symmetric_fields(
    name: str, role: str, players: int, action_values: Iterable[float], *, ordered: bool, labels: Any = None
) -> dict[str, Any]:
    """The static fields of a one-shot game whose players share one role."""
    named = None if labels is None else [labels]
    return rules(name, {role: players}, [action_values], ordered=ordered, labels=named)


def shape_key(environment: Environment) -> Hashable:
    """Games with the same key differ in their parameters alone, so one compiled solve serves them all."""
    leaves, structure = jax.tree.flatten(environment.params)
    shapes = tuple(np.shape(x) for x in leaves)
    return type(environment), environment.role_counts, environment.action_values, str(structure), shapes
