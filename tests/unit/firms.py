"""A few firms with costs of their own, in a small Cournot market, for tests of models of people."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpyro import handlers
from numpyro.infer.util import log_density

import bayescal as bc
from bayescal.policies.base import tilt
from bayescal.populations import LogNormal

PEOPLE, ROUNDS = 8, 6
POPULATION = LogNormal(12)
MARKET = bc.Cournot(3, np.linspace(0, 60, 7))


class Replies(bc.ExactPolicy):
    """Values against people who reply to the habit, instead of an equilibrium: as smooth, and they change with the same
    numbers, but there is no solver to compile."""

    def values(self, cost, phi, psi, params):
        params, log_q = self.all_params(params), self.log_prior(psi)
        worth = self.environment.expected_payoffs(jnp.exp(log_q), params)
        known = self.population is None
        costs, weights = (jnp.reshape(cost, 1), jnp.ones(1)) if known else self.population.quadrature(phi)
        replies = jax.vmap(lambda c: jnp.exp(jax.vmap(lambda q, u: tilt(q, u, c))(log_q, worth)))(costs)
        return self.environment.expected_payoffs(jnp.tensordot(weights, replies, axes=1), params)

    def log_prob_all(self, cost, phi, psi, params):
        """Of people of one cost, which everybody knows."""
        return jax.vmap(lambda q, u: tilt(q, u, cost))(self.log_prior(psi), self.values(cost, phi, psi, params))


def table(seed=0, rounds=ROUNDS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(PEOPLE), rounds)
    return pd.DataFrame(
        {
            "participant": person,
            "round": np.tile(np.arange(1, rounds + 1), PEOPLE),
            "action": rng.choice([10, 20, 30, 40], len(person), p=[0.2, 0.4, 0.3, 0.1]),
            "treatment": np.where(person < 3, "a", "b"),
            "age": 20.0 + person,
        }
    )


def drawn(model, seed=0, sites=()):
    """(values of every latent site drawn from its prior, the values of these sites). Compiled, so that what nobody asks
    for, above all the equilibrium, is not computed."""

    def values():
        trace = handlers.trace(handlers.seed(model, seed)).get_trace()
        sampled = {n: s for n, s in trace.items() if s["type"] == "sample" and not s["is_observed"]}
        return {n: s["value"] for n, s in sampled.items()}, {n: trace[n]["value"] for n in sites}

    return jax.jit(values)()


def log_likelihood(model, values):
    """log p(decisions | values), by person, of a model that integrates costs out."""

    def at(values):
        trace = handlers.trace(handlers.substitute(handlers.seed(model, 0), data=values)).get_trace()
        return trace["decisions"]["fn"].log_prob(0.0)

    return jax.jit(at)(values)


def density(model):
    """The model's log-density as a compiled function of its values: one operation at a time compiles far more."""
    return jax.jit(lambda values: log_density(model, (), {}, values)[0])
