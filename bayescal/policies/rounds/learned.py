"""A learned policy for repeated games that learns only what is not known.

What a round pays and what people fall back on is known. Two networks hold the rest: `worth`, what a state is worth
afterwards to somebody with a cost, and `meeting`, how the others play in a state. Then, as in the exact solution,

    Q(s, a; cost) = E[ u(a, b) + worth(a, b; cost) ],  b ~ meeting(s),    π(a | s) ∝ q(a | s) exp(Q / cost).

The own cost enters `worth` only and the state `meeting` only, and the limits of vanishing and infinite costs are right
whatever the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bayescal._types import Actions, AnyArray, Costs, Parameters, Seen
from bayescal.domain import Domain
from bayescal.environments.base import Environment
from bayescal.environments.repeated import Repeated
from bayescal.errors import InputError
from bayescal.policies.learned import LearnedPolicy, Others, to_unit, trained_for
from bayescal.policies.network import Network
from bayescal.policies.rounds.stage import Continuation, action_values, chances, stage_of
from bayescal.populations.base import Population
from bayescal.precision import FULL
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

NODES = 24
Played = Float[AnyArray, ""] | Int[AnyArray, ""]  # a number of rounds


class Learned(eqx.Module):
    """What was learned.

    Attributes:
        worth: from a point of the domain, an own cost and the rounds left to weights of `shapes`.
        meeting: from a point, a state and the rounds left to log-probabilities of the others' actions, beside those
            of their habit.
        shapes: functions of the state, by their values at the nodes.
    """

    worth: Network
    meeting: Network
    shapes: Float[Array, "shapes own seen"]

    def fresh(self, key: PRNGKeyArray) -> "Learned":
        """Random weights; the shapes stay."""
        one, two = jax.random.split(key)
        return Learned(self.worth.fresh(one), self.meeting.fresh(two), self.shapes)


class RepeatedPolicy(LearnedPolicy):
    """A learned policy for a repeated game (`RepeatedCournot`, `RepeatedGame`), whose payoffs it knows.

    In every state people meet the population's average: others' costs are drawn anew (`others="average"`).

    Args:
        environment: the game.
        domain: the box of values that it answers for, by name: "cost"; "phi.NAME" and "psi.NAME" for parameters of the
            population and of the prior; "params.NAME" for parameters of the game (others stay at the game's own).
        prior: what people fall back on.
        population: others' costs are private and drawn from it; None where everybody has the same, known cost.
        width, depth: of both networks.
        nodes: in how many states the worth of what comes later is held, in each of two directions.
        shapes: how many functions of the state it is put together from.

    Example:
        >>> import bayescal as bc
        >>> game = bc.RepeatedGame(bc.PublicGoods(4, mpcr=0.4), rounds=10)
        >>> policy = bc.RepeatedPolicy(game, {"cost": (0.5, 50.0)}, width=8, depth=1)
        >>> policy.domain.names, policy.others
        (('cost',), 'average')
    """

    network: Learned
    environment: Repeated
    variants: tuple[Environment, ...]
    prior: Prior
    population: Population | None
    domain: Domain = eqx.field(static=True)
    own_box: Domain | None = eqx.field(static=True)
    nodes: int = eqx.field(static=True)
    others: Others = eqx.field(static=True)

    def __init__(
        self,
        environment: Repeated,
        domain: Domain | Mapping[str, Sequence[float]],
        *,
        prior: Prior = Uniform(),  # noqa: B008 - frozen
        population: Population | None = None,
        width: int = 128,
        depth: int = 3,
        nodes: int = NODES,
        shapes: int = 64,
    ):
        if not isinstance(environment, Repeated):
            raise InputError(
                f"RepeatedPolicy is for repeated games (RepeatedCournot, RepeatedGame); {environment.name} is a "
                f"{type(environment).__name__}: use AmortisedPolicy."
            )
        vars(self).update(trained_for((environment,), domain, prior, population))
        self.nodes, self.others = nodes, "average"
        stage = stage_of(environment, environment.params, nodes)
        held = (len(stage.own.at), len(stage.seen.at))
        shapes = min(shapes, held[0] * held[1])
        point = len(self.input_box.names) - 1
        self.network = Learned(
            Network.of(point + 1 + 3, shapes, width, depth),
            Network.of(point + (0 if self.private else 1) + 3 + 3, len(environment.action_values[0]), width, depth),
            jnp.zeros((shapes, *held), jnp.float32),
        )

    def fresh(self, key: PRNGKeyArray) -> Learned:
        return self.network.fresh(key)

    @property
    def architecture(self) -> dict[str, Any]:
        layers = [list(w.shape) for net in (self.network.worth, self.network.meeting) for w in net.weights]
        return {"nodes": self.nodes, "others": self.others, "layers": layers, **self.rescaled}

    def values_of(
        self,
        role: int,
        observation: Seen,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        params = self.all_params(params)
        point = self.point_inputs(phi, psi, params)
        unit, (_, rescaled) = self.unit_of(params), self.in_own_unit(None, params)
        own = self._costs(cost)[role] / unit
        met = chances(self.environment, jnp.exp(self.log_meeting(point, observation, own, psi, params))[None])
        total = Continuation(
            stage_of(self.environment, rescaled, self.nodes), self.worth_of(point, own, observation["round"])[None]
        )
        return unit * action_values(total, met)[0, 0]

    def worth_of(
        self, point: Float[Array, " inputs"], cost: Float[AnyArray, ""], played: Played
    ) -> Float[Array, "own seen"]:
        """What states are worth after the round that follows `played` others: at nodes, zero after the last.

        Args:
            cost: in the game's own unit, which is that of the worth too.
        """
        learned, left = self.network, self._left(played)
        shapes = learned.shapes.astype(point.dtype)
        weights = learned.worth(self.worth_inputs(point, cost, played))
        return jnp.where(left > 0, 1.0, 0.0) * jnp.tensordot(weights, shapes, 1, precision=FULL)

    def worth_inputs(
        self, point: Float[Array, " inputs"], cost: Float[AnyArray, ""], played: Played
    ) -> Float[Array, " numbers"]:
        own = to_unit(cost, self.input_costs)
        return jnp.concatenate([point, own[None], self._timing(jnp.maximum(self._left(played), 1.0))])

    def log_meeting(
        self,
        point: Float[Array, " inputs"],
        seen: Seen,
        cost: Float[AnyArray, ""],
        psi: Parameters | None,
        params: Parameters,
    ) -> Actions:
        """log of the others' average play after an observation."""
        inputs = self.meeting_inputs(point, seen, cost)
        return self.log_meeting_from(inputs, self.mirrored_habit(seen, psi, params))

    def log_meeting_from(self, inputs: Float[Array, " numbers"], log_q: Actions) -> Actions:
        return jax.nn.log_softmax(self.network.meeting(inputs) + log_q)

    def mirrored_habit(self, seen: Seen, psi: Parameters | None, params: Parameters) -> Actions:
        """log q of somebody who saw the round from the other side."""
        own, others = self.environment.mirrored(seen["own"], seen["seen"])
        return self.log_prior_of(0, psi, self.environment.seen_after(own, others, seen["round"], params))

    def meeting_inputs(
        self, point: Float[Array, " inputs"], seen: Seen, cost: Float[AnyArray, ""]
    ) -> Float[Array, " numbers"]:
        low, high = self.environment.action_values[0][0], self.environment.action_values[0][-1]
        played = jnp.asarray(seen["round"], point.dtype)
        began = (played > 0).astype(point.dtype)
        level = lambda x: began * (2 * (jnp.asarray(x, point.dtype) - low) / (high - low) - 1)
        own = [] if self.private else [to_unit(cost, self.input_costs)]
        state = jnp.stack([*own, level(seen["own"]), level(seen["seen"]), began])
        return jnp.concatenate([point, state, self._timing(self._left(played) + 1.0)])

    def _left(self, played: Played) -> Float[Array, ""]:
        """How many rounds follow the one that is being played."""
        return jnp.asarray(self.environment.horizon - 1 - jnp.asarray(played), jnp.result_type(float))

    def _timing(self, left: Float[Array, ""]) -> Float[Array, "3"]:
        """A number of rounds, one or more, in three ways: the last few matter most."""
        span = max(2, self.environment.horizon)
        return jnp.stack([2 * left / span - 1, 2 / left - 1, 2 * jnp.exp(-(left - 1) / (0.1 * span)) - 1])
