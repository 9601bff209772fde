"""Left-out densities that are known exactly, so that nothing is weighted or fitted again.

Shares of actions that are all equally likely beforehand are a Dirichlet distribution, and so are they after decisions
were seen: what is left out follows Pólya's urn.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

from bayescal.comparison.refit import Rows
from bayescal.comparison.rivals.choice_shares import Shares
from bayescal.likelihood.one_shot_data import OneShotData
from bayescal.likelihood.without_payoffs import WithoutPayoffs
from bayescal.model.model import Model
from bayescal.model.spec import TypedSpec


def shares_of(model: Model) -> WithoutPayoffs | None:
    """The likelihood of a model of choice shares; None of any other model."""
    spec = model.spec
    if not isinstance(spec, TypedSpec) or spec.likelihood is None:
        return None
    likelihood = spec.likelihood(spec.decisions)
    return likelihood if isinstance(likelihood, WithoutPayoffs) and isinstance(likelihood.leaning, Shares) else None


def left_out_shares(likelihood: WithoutPayoffs, unit_of: Rows, units: int) -> Float[np.ndarray, " units"]:
    """The log predictive density of each unit's decisions, in their order, given all other units'.

    Args:
        likelihood: of `shares_of`.
        unit_of: by observed site, the unit of each of its rows, which are cells ("choices") or participants.
    """
    data, leaning, ((site, unit),) = likelihood.data, likelihood.leaning, unit_of.items()
    assert isinstance(leaning, Shares)
    sizes = np.array([len(p.values) for p in leaning.places])
    if isinstance(data, OneShotData):
        each = np.asarray(data.counts)
        counts = np.zeros((units, len(sizes), each.shape[1]))
        np.add.at(counts, (unit if site == "choices" else unit[data.person], data.situation), each)
    else:
        by_person = np.swapaxes(likelihood.counts, 0, 1)
        counts = np.zeros((units, *by_person.shape[1:]))
        np.add.at(counts, unit, by_person)
    return _urn(counts, np.arange(counts.shape[2]) < sizes[:, None])


def _urn(counts: Float[np.ndarray, "units places actions"], possible: np.ndarray) -> Float[np.ndarray, " units"]:
    """Pólya's urn, which begins with one ball for each possible action."""
    others = np.where(possible, 1.0 + counts.sum(axis=0) - counts, 0.0)
    actions = np.where(possible, gammaln(others + counts) - gammaln(np.where(possible, others, 1.0)), 0.0)
    balls = others.sum(axis=2)
    return actions.sum(axis=(1, 2)) - (gammaln(balls + counts.sum(axis=2)) - gammaln(balls)).sum(axis=1)
