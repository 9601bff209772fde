"""Any finite game of n players, from its payoff tensor."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Numbers
from bayescal.environments.base import OneShot, Params
from bayescal.environments.payoffs import check_payoffs
from bayescal.errors import InputError


class NormalForm(OneShot):
    """A game given by `payoffs[player][a1][a2]…`: one tensor of shape (A1, …, An) for each of n players.

    Every player is a role of its own. `params = {"payoffs": tensor}`, so games of one shape can be vmapped and
    payoffs can be differentiated.

    Example:
        >>> import bayescal as bc
        >>> row, column = [[10, 0], [9, 10]], [[8, 18], [9, 8]]
        >>> game = bc.NormalForm([row, column], role_names=["row", "column"], action_labels=[["U", "D"], ["L", "R"]])
        >>> game.players, game.action_labels[1]
        (2, ('L', 'R'))
    """

    default_payoffs: Float[AnyArray, "players ..."] = eqx.field(converter=lambda p: np.asarray(p, float))

    def __init__(
        self,
        payoffs: object,
        *,
        name: str = "game",
        role_names: Sequence[str] | None = None,
        action_labels: Sequence[Sequence[str]] | None = None,
        action_values: Sequence[Numbers] | None = None,
    ):
        tensor = check_payoffs(payoffs, name)
        players, sizes = tensor.shape[0], tensor.shape[1:]
        self.default_payoffs = tensor
        self.name = name
        if isinstance(role_names, str) or isinstance(action_labels, str):
            raise InputError(f"{name}: roles and actions are lists of texts, one entry for each player.")
        self.role_names = tuple(role_names or (f"player {i + 1}" for i in range(players)))
        self.role_counts = (1,) * players
        self.ordered = action_values is not None
        self.action_values = tuple(tuple(map(float, v)) for v in (action_values or [range(n) for n in sizes]))
        labels = action_labels or [[f"{v:g}" for v in values] for values in self.action_values]
        self.action_labels = tuple(tuple(map(str, row)) for row in labels)
        self.horizon = 1
        self.discount = 1.0
        for what, rows in (("action_labels", self.action_labels), ("action_values", self.action_values)):
            if tuple(len(r) for r in rows) != sizes:
                raise InputError(
                    f"{name}: {what} name {[len(r) for r in rows]} actions, but the payoffs are for {list(sizes)}: "
                    "give one entry for each action of each player."
                )
        if len(self.role_names) != players:
            raise InputError(f"{name}: {len(self.role_names)} role names were given for {players} players.")

    @property
    def params(self) -> Params:
        return {"payoffs": self.default_payoffs}

    @property
    def shared_meaning(self) -> bool:
        return False  # actions are names that each matrix gives anew

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        spread = jnp.max(params["payoffs"]) - jnp.min(params["payoffs"])
        return jnp.where(spread > 0, spread, 1.0)

    def joint_table(self, role: int, params: Params) -> Float[Array, "actions others"]:
        own = jnp.moveaxis(jnp.asarray(params["payoffs"])[role], role, 0)
        return own.reshape(own.shape[0], -1)

    def payoffs(self, joint_action: Int[AnyArray, " players"], params: Params) -> Float[Array, " players"]:
        return jnp.asarray(params["payoffs"])[(slice(None), *joint_action)]

    def expected_payoffs(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        strategies = jnp.asarray(strategies)
        width = strategies.shape[1]
        rows = [self._against(i, (i,), strategies, params) for i in range(self.players)]
        return jnp.stack([jnp.pad(u, (0, width - u.shape[0])) for u in rows])

    def payoff_slopes(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions roles actions"]:
        strategies = jnp.asarray(strategies)
        roles, width = strategies.shape

        def block(i, k):
            if i == k:
                return jnp.zeros((width, width), strategies.dtype)
            pair = self._against(i, (min(i, k), max(i, k)), strategies, params)
            pair = pair if i < k else pair.T
            return jnp.pad(pair, [(0, width - n) for n in pair.shape])

        return jnp.stack([jnp.stack([block(i, k) for k in range(roles)], axis=1) for i in range(roles)])

    def stakes(self, params: Params, role: int, costs: Float[Array, " roles"] | None) -> Float[Array, " numbers"]:
        """By player, beginning with one's own: each action's payoff over the first's at all that others may do,
        in nats of that player's cost (compressed), or relative to the game's spread where costs are private.

        All else in the payoffs is without consequence, and players of one network may swap seats.
        """
        order = [(role + k) % self.players for k in range(self.players)]
        if costs is None:
            scale = self.payoff_scale(params)
            return jnp.concatenate([self._gains(params, j) / scale for j in order])
        nats = jnp.concatenate([self._gains(params, j) / costs[j] for j in order])
        return jnp.concatenate([jnp.arcsinh(nats) / 3, jnp.tanh(nats / 6), jnp.tanh(nats / 2)])

    def relabel(self, params: Params) -> tuple[Params, Int[Array, "roles actions"]]:
        """Each player's actions from the best to the worst against uniform play: one of all the games that differ
        in names alone, and which action each became."""
        sizes = [len(v) for v in self.action_values]
        uniform = jnp.asarray(self.mask / np.array(sizes)[:, None], jnp.result_type(float))
        mean = jnp.where(jnp.asarray(self.mask), self.expected_payoffs(uniform, params), -jnp.inf)
        order = jnp.argsort(-mean, axis=1)
        tensor = params["payoffs"]
        for j, n in enumerate(sizes):
            tensor = jnp.take(tensor, order[j, :n], axis=j + 1)
        return {"payoffs": tensor}, jnp.argsort(order, axis=1)

    def stake_scale(self, params: Params, role: int) -> Float[Array, ""]:
        return jnp.max(jnp.abs(self._gains(params, role))) + 1e-6

    def _gains(self, params: Params, player: int) -> Float[Array, " gains"]:
        """Each of the player's actions over the first, at all that the others may do, the next player's first."""
        tensor = jnp.transpose(params["payoffs"][player], [(player + k) % self.players for k in range(self.players)])
        return jnp.ravel(tensor[1:] - tensor[:1])

    def _against(self, player: int, keep: tuple[int, ...], strategies: Array, params: Params) -> Array:
        """Player's payoff tensor averaged over the mixtures of all players but those in `keep`."""
        tensor = jnp.asarray(params["payoffs"])[player]
        for j in reversed(range(self.players)):
            if j not in keep:
                tensor = jnp.tensordot(tensor, strategies[j, : tensor.shape[j]], axes=(j, 0))
        return tensor
