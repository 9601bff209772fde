"""Noisy introspection (Goeree & Holt 2004)."""

import numpy as np
from numpyro import distributions as dist

from bayescal.comparison.mathml import formula, power, sub
from bayescal.comparison.rivals.base import Field, Rival
from bayescal.comparison.rivals.stationary import equilibrium_model, games_with_others
from bayescal.model.model import Model
from bayescal.policies.noisy_introspection import NoisyIntrospectionPolicy


def build(field: Field) -> Model:
    game = games_with_others(field)[0]
    return equilibrium_model(
        field,
        lambda: NoisyIntrospectionPolicy(game),
        field.cost_hyperprior() | {"growth": dist.LogNormal(np.log(3.0), 1.0)},
        "Noisy introspection: everybody replies at a common cost of information to a belief about others, who reply at "
        "a higher cost to a belief of theirs, and so on; the cost grows by one factor from belief to belief",
    )


NOISY_INTROSPECTION = Rival(
    "noisy introspection",
    "Everybody gives a noisy reply to what others are believed to do, which is a noisier reply to what they are "
    "believed to believe, and so on: the cost of information grows by a factor t = 1 + growth from belief to belief.",
    build,
    (formula("π=", sub("R", "λ"), "(", sub("R", "λt"), "(", sub("R", power("λt", "2")), "(…)))"),),
    usual=False,
)
