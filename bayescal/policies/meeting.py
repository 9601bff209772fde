"""A learned policy for any game of two players with private costs, that learns only what is not known.

A player's cost is drawn from a population and known to nobody else, so a player faces the *average* of what the other's
types do: the **meeting**. Given that, expected payoffs are a sum, and each type's choice is exact:

    Q_r(a) = Σ_b u_r(a, b) m_s(b),    π_r(a; cost) ∝ q_r(a) exp(Q_r(a) / cost),    m_r = E[ π_r(· ; cost) ].

The network gives m. It sees payoffs as differences between own actions in units of a typical cost, the habit, how
much costs differ, and a few rounds of fictitious play from the habit, whose last round it corrects. It commutes with
relabelling (`Equivariant`), so no name of an action or a player means anything to it but through the habit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal._types import Actions, Costs, Observation, Parameters, RoleActions
from bayescal.domain import Domain
from bayescal.environments.base import Environment
from bayescal.environments.normal_form import NormalForm
from bayescal.errors import InputError
from bayescal.policies.base import ABSENT, hide_absent
from bayescal.policies.equivariant import Equivariant
from bayescal.policies.learned import LearnedPolicy, Others, trained_for
from bayescal.populations.base import Population
from bayescal.populations.log_normal import LogNormal
from bayescal.precision import FULL
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

ROUNDS = 4  # of fictitious play
LEAST = -50.0  # log-probability of an action that is never played, as an input of the network


class MeetingPolicy(LearnedPolicy):
    """A learned policy for games of two players whose log-normal costs are private, such as all 2x2 or all 3x3 games.

    Its answer depends on payoffs through differences between own actions only, so the box of payoffs is one of games
    whose payoffs are centred: the best and the worst own action, at each action of the other, are equally far from 0.

    Args:
        environment: a game of two roles in normal form.
        domain: the box of values that it answers for, by name: "cost" (one's own), "phi.log_mean", "phi.log_sd",
            "psi.NAME" for parameters of the prior, "params.payoffs".
        prior: what people fall back on.
        population: that costs are drawn from.
        width, depth: of the network.

    Example:
        >>> import bayescal as bc
        >>> box = {"cost": (0.1, 100.0), "phi.log_mean": (0.0, 3.0), "phi.log_sd": (0.1, 1.0)}
        >>> policy = bc.MeetingPolicy(bc.get_game("stag-hunt"), box, width=8, depth=1)
        >>> play = policy.log_prob_all(1.0, {"log_mean": 0.0, "log_sd": 0.5}, None, None)  # untrained
        >>> play.shape
        (2, 2)
    """

    network: Equivariant
    environment: NormalForm
    variants: tuple[Environment, ...]
    prior: Prior
    population: Population
    domain: Domain = eqx.field(static=True)
    own_box: Domain | None = eqx.field(static=True)
    others: Others = eqx.field(static=True)

    def __init__(
        self,
        environment: NormalForm,
        domain: Domain | Mapping[str, Sequence[float]],
        *,
        prior: Prior = Uniform(),  # noqa: B008 - frozen
        population: LogNormal = LogNormal(),  # noqa: B008
        width: int = 32,
        depth: int = 3,
    ):
        if not isinstance(environment, NormalForm) or environment.roles != 2:
            raise InputError(
                f"MeetingPolicy is for games of two players in normal form; {environment.name} is a "
                f"{type(environment).__name__} of {environment.players} players: use AmortisedPolicy."
            )
        vars(self).update(trained_for((environment,), domain, prior, population))
        self.others = "average"
        inputs = jax.eval_shape(tables, *_example(environment, population))[0].shape[-1]
        self.network = Equivariant.of(inputs, width, depth)

    def fresh(self, key: PRNGKeyArray) -> Equivariant:
        return self.network.fresh(key)

    @property
    def architecture(self) -> dict[str, Any]:
        return {"layers": [list(w.shape) for w in self.network.weights]}

    def check(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> None:
        params = dict(params or {})
        inside = "params.payoffs" in self.domain.names
        if inside and "payoffs" in params and not isinstance(params["payoffs"], Tracer):
            params["payoffs"] = centred(np.asarray(params["payoffs"], float))
        super().check(cost, phi, psi, params)

    def values_of(
        self,
        role: int,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        return self.values(cost, phi, psi, params)[role]

    def values(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """Q of every role. Nobody's own cost enters: the others do not know it."""
        params = self.all_params(params)
        meeting = jnp.exp(self.log_meeting(phi, psi, params))
        return self.environment.expected_payoffs(meeting, params)

    def log_meeting(self, phi: Parameters | None, psi: Parameters | None, params: Parameters) -> RoleActions:
        """log of how a player of each role plays on average over the population; -inf where there is no action."""
        log_q = self.log_prior(psi)
        sizes = [len(values) for values in self.environment.action_values]
        payoffs = jnp.asarray(params["payoffs"], jnp.result_type(float))
        costs, weights = self.population.quadrature(phi or {})
        one, two = self.meet(
            (payoffs[0], payoffs[1].T),
            (log_q[0, : sizes[0]], log_q[1, : sizes[1]]),
            costs,
            weights,
        )
        width = log_q.shape[1]
        pad = lambda row: jnp.pad(row, (0, width - len(row)), constant_values=ABSENT)
        return hide_absent(jnp.stack([pad(one), pad(two)]))

    def meet(
        self,
        payoffs: tuple[Float[Array, "own other"], Float[Array, "other own"]],
        log_q: tuple[Float[Array, " own"], Float[Array, " other"]],
        costs: Float[Array, " types"],
        weights: Float[Array, " types"],
    ) -> tuple[Float[Array, " own"], Float[Array, " other"]]:
        """`log_meeting` of both players, from each one's payoffs by own action and the other's, and habit."""
        one, two, last, stakes = tables(payoffs, log_q, costs, weights)
        # Without stakes there is nothing to correct: all fall back on their habit.
        share = stakes / (1 + stakes)
        moves = self.network(one, two)
        return jax.nn.log_softmax(last[0] + share * moves[0]), jax.nn.log_softmax(last[1] + share * moves[1])


def tables(
    payoffs: tuple[Float[Array, "own other"], Float[Array, "other own"]],
    log_q: tuple[Float[Array, " own"], Float[Array, " other"]],
    costs: Float[Array, " types"],
    weights: Float[Array, " types"],
) -> tuple[
    Float[Array, "own other inputs"],
    Float[Array, "other own inputs"],
    tuple[Float[Array, " own"], Float[Array, " other"]],
    Float[Array, ""],
]:
    """(each player's features, the last round of fictitious play, the most that is at stake in nats)."""
    mean = weights @ jnp.log(costs)
    sd = jnp.sqrt(jnp.maximum(weights @ (jnp.log(costs) - mean) ** 2, 1e-12))
    relative = costs / jnp.exp(mean)
    in_nats = lambda u: (u - jnp.mean(u, axis=0)) / jnp.exp(mean)
    nats = in_nats(payoffs[0]), in_nats(payoffs[1])
    rounds = fictitious_play(nats, log_q, relative, weights, ROUNDS)

    def table(i: int) -> Float[Array, "own other inputs"]:
        by_cell = jnp.stack([jnp.arcsinh(nats[i]) / 3, jnp.tanh(nats[i] / 6), jnp.tanh(nats[i] / 2)], axis=2)
        rows = jnp.stack([_evenly(played[i]) for played in rounds], axis=1)
        whole = jnp.stack([sd, jnp.log(sd + 0.1)])
        spread = lambda x: jnp.broadcast_to(x, (*by_cell.shape[:2], x.shape[-1]))
        return jnp.concatenate([by_cell, spread(rows[:, None, :]), spread(whole)], axis=2)

    stakes = jnp.maximum(*(jnp.max(jnp.abs(x)) for x in nats))
    return table(0), table(1), rounds[-1], stakes


def fictitious_play(
    nats: tuple[Float[Array, "own other"], Float[Array, "other own"]],
    log_q: tuple[Float[Array, " own"], Float[Array, " other"]],
    costs: Float[Array, " types"],
    weights: Float[Array, " types"],
    rounds: int,
) -> list[tuple[Float[Array, " own"], Float[Array, " other"]]]:
    """log of each player's average play: of the habit, and after each round in which both reply to all rounds so far.

    Args:
        nats: each player's payoffs by own action and the other's, and costs in the same unit.
    """
    now = log_q
    out = [now]
    for k in range(rounds):
        reply = [average_reply(nats[i], jnp.exp(now[1 - i]), log_q[i], costs, weights) for i in range(2)]
        mix = lambda old, new, k=k: jnp.logaddexp(old + np.log(k + 1), new) - np.log(k + 2)
        now = mix(now[0], reply[0]), mix(now[1], reply[1])
        out.append(now)
    return out


def average_reply(
    nats: Float[Array, "own other"],
    other: Float[Array, " other"],
    log_q: Float[Array, " own"],
    costs: Float[Array, " types"],
    weights: Float[Array, " types"],
) -> Float[Array, " own"]:
    """log of the average over types of q exp(payoff / cost) / Z, where the other plays `other`."""
    value = jnp.matmul(nats, other, precision=FULL)
    by_type = jax.nn.log_softmax(log_q + (value - jnp.max(value)) / costs[:, None], axis=1)
    return jax.nn.logsumexp(by_type, axis=0, b=weights[:, None])


def centred(payoffs: Float[np.ndarray, "*games 2 own other"]) -> Float[np.ndarray, "*games 2 own other"]:
    """The same games with the best and the worst own action equally far from zero, at each action of the other."""
    middle = lambda u, axis: u - (u.max(axis=axis, keepdims=True) + u.min(axis=axis, keepdims=True)) / 2
    return np.stack([middle(payoffs[..., 0, :, :], -2), middle(payoffs[..., 1, :, :], -1)], axis=-3)


def _evenly(log_p: Float[Array, " actions"]) -> Float[Array, " actions"]:
    """Log-probabilities beside their average, compressed: numbers of order one."""
    log_p = jnp.maximum(log_p, LEAST)
    return jnp.arcsinh(log_p - jnp.mean(log_p)) / 2


def _example(environment: NormalForm, population: Population) -> tuple[Any, ...]:
    """Arguments of `tables`, of the right shape."""
    own, other = (len(values) for values in environment.action_values)
    costs, weights = population.quadrature({n: jnp.ones(()) for n in population.parameters})
    return (jnp.zeros((own, other)), jnp.zeros((other, own))), (jnp.zeros(own), jnp.zeros(other)), costs, weights
