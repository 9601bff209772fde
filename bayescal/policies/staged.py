"""A learned policy for staged games that learns only what is not known.

What an action pays, given the others' part in the outcome, and what people fall back on is known. Two networks hold the
rest: `meeting`, how the part is distributed given what was seen, and `worth`, what an action is worth beyond:

    Q(o, a; cost) = E[ u(a, part) | part ~ meeting(o) ] + worth(o, a; cost),    π(a | o) ∝ q(a | o) exp(Q / cost).

The own cost enters `worth` only, and the limits of vanishing and infinite costs are right whatever the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal._types import Actions, Costs, Index, Parameters, Seen
from bayescal.domain import Domain
from bayescal.environments.base import Environment
from bayescal.environments.staged import Mixture, Staged
from bayescal.errors import InputError
from bayescal.policies.learned import LearnedPolicy, Others, known_to_all, to_unit, trained_for
from bayescal.policies.network import Network
from bayescal.populations.base import Population
from bayescal.precision import FULL
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

PARTS = 4  # normal distributions that a meeting is mixed from


class Foreseen(eqx.Module):
    """What was learned, by role.

    Attributes:
        meeting: from what was seen to log weights, means and spreads of normal distributions of the part, to how the
            means move with the own action, and to the shares of what is held (`Staged.held`).
        worth: from what was seen and the own cost to weights of polynomials of the own action.
    """

    meeting: Network
    worth: Network

    def fresh(self, key: PRNGKeyArray) -> "Foreseen":
        """Random weights."""
        one, two = jax.random.split(key)
        return Foreseen(self.meeting.fresh_by_role(one), self.worth.fresh_by_role(two))


class StagedPolicy(LearnedPolicy):
    """A learned policy for a game whose payoffs are known, given the others' part (`Cobweb`, `SupplyChain`).

    People meet the same others all game long, of whose costs what they see says something (`others="persistent"`).

    Args:
        environment: the game.
        domain: the box of values that it answers for, by name: "cost"; "phi.NAME" and "psi.NAME" for parameters of the
            population and of the prior; "params.NAME" for parameters of the game (others stay at the game's own).
        prior: what people fall back on.
        population: others' costs are private and drawn from it; None where there is one person.
        width, depth: of all networks.
        waves: how many polynomials of the own action worth is put together from, beside a constant: few where it is
            smooth.

    Example:
        >>> import bayescal as bc
        >>> domain = {"cost": (50.0, 5000.0), "phi.log_mean": (5.0, 8.0), "phi.log_sd": (0.1, 1.0)}
        >>> policy = bc.StagedPolicy(bc.Cobweb(), domain, population=bc.populations.LogNormal(16), width=8, depth=1)
        >>> policy.others
        'persistent'
    """

    network: Foreseen
    environment: Staged
    variants: tuple[Environment, ...]
    prior: Prior
    population: Population | None
    domain: Domain = eqx.field(static=True)
    own_box: Domain | None = eqx.field(static=True)
    others: Others = eqx.field(static=True)

    def __init__(
        self,
        environment: Staged,
        domain: Domain | Mapping[str, Sequence[float]],
        *,
        prior: Prior = Uniform(),  # noqa: B008 - frozen
        population: Population | None = None,
        width: int = 64,
        depth: int = 2,
        waves: int = 5,
    ):
        if not isinstance(environment, Staged):
            raise InputError(
                "StagedPolicy is for games whose payoffs are known given the others' part (Cobweb, SupplyChain); "
                f"{environment.name} is a {type(environment).__name__}: use AmortisedPolicy."
            )
        if known_to_all(population) and environment.players > 1:
            raise InputError(
                f"StagedPolicy: {environment.name} has {environment.players} players, so the others' costs must come "
                "from a population: give population=…."
            )
        vars(self).update(trained_for((environment,), domain, prior, population))
        self.others = "persistent"
        first = jax.eval_shape(lambda: environment.observe(environment.reset(jax.random.key(0), environment.params), 0))
        seen = jax.eval_shape(lambda x: environment.see(x, environment.params), first).shape[0]
        held = jax.eval_shape(environment.held, first).shape[0]
        inputs = seen + len(self.input_box.names) - 1
        self.network = Foreseen(
            Network.of(inputs, (4 + held) * PARTS, width, depth).by_role(environment.roles),
            Network.of(inputs + 1, 1 + waves, width, depth).by_role(environment.roles),
        )

    def fresh(self, key: PRNGKeyArray) -> Foreseen:
        return self.network.fresh(key)

    @property
    def architecture(self) -> dict[str, Any]:
        layers = [list(w.shape) for net in (self.network.meeting, self.network.worth) for w in net.weights]
        return {"others": self.others, "layers": layers, **self.rescaled}

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
        inputs, own = self.inputs_of(role, observation, cost, phi, psi, params)
        met = self.meeting_at(role, inputs, self.environment.held(observation))
        return self.environment.stage(role, observation, met, params) + self.worth_at(role, inputs, own, params)

    def inputs_of(
        self,
        role: Index,
        observation: Seen,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters,
    ) -> tuple[Float[Array, " inputs"], Float[Array, ""]]:
        """(what was seen and the point of the domain, the own cost between -1 and 1)."""
        seen = jnp.asarray(self.environment.see(observation, params), jnp.result_type(float))
        inputs = jnp.concatenate([seen, self.point_inputs(phi, psi, params)])
        own = self._costs(cost)[role] / self.unit_of(params)
        return inputs, to_unit(own, self.input_costs)

    def meeting_at(self, role: Index, inputs: Float[Array, " inputs"], held: Float[Array, " numbers"]) -> Mixture:
        """How the part is distributed.

        Args:
            held: see `Staged.held`.
        """
        low, high = self.environment.part_range
        weight, mean, spread, slope, *shares = self.network.meeting.of_role(role)(inputs).reshape(-1, PARTS)
        # They start side by side, from one that contains nothing of what is held and ordered to one that contains most.
        start = np.linspace(-4, 2, PARTS)
        mean = (low + high) / 2 + (high - low) / 4 * (mean + np.linspace(-1, 1, PARTS))
        for number, share in zip(held, shares, strict=True):
            mean = mean + number * jax.nn.sigmoid(share + start)
        sd = (high - low) / 8 * jax.nn.softplus(spread)
        slope = jax.nn.sigmoid(slope + start) if self.environment.part_moves else 0 * slope
        return Mixture(jax.nn.log_softmax(weight), mean, slope, jnp.sqrt(sd**2 + (0.01 * (high - low)) ** 2))

    def worth_at(
        self, role: Index, inputs: Float[Array, " inputs"], own: Float[Array, ""], params: Parameters
    ) -> Actions:
        """What each own action is worth beyond what it pays."""
        env = self.environment
        weights = self.network.worth.of_role(role)(jnp.concatenate([inputs, own[None]]))
        waves = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, len(env.action_values[0])), len(weights) - 1)
        # The level moves no choice. Without discounting it is as large as all rounds to come, and left out.
        waves[:, 0] *= 1 / (1 - env.discount) if self.has_level else 0.0
        scale = 0.1 * env.payoff_scale(params).astype(weights.dtype)
        return scale * jnp.matmul(jnp.asarray(waves, weights.dtype), weights, precision=FULL)

    @property
    def has_level(self) -> bool:
        """Whether values of different observations can be compared."""
        return self.environment.discount < 1
