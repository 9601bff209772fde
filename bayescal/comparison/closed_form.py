"""Left-out densities that are known exactly, so that nothing is weighted or fitted again.

Shares of actions that are all equally likely beforehand are a Dirichlet distribution, and so are they after decisions
were seen: what is left out follows Pólya's urn.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

from bayescal.comparison.rivals.choice_shares import Shares
from bayescal.likelihood.one_shot_data import OneShotData
from bayescal.likelihood.without_payoffs import WithoutPayoffs
from bayescal.model.model import Model
from bayescal.model.spec import TypedSpec


def closed_form(
    model: Model, unit: str, units: Sequence[str], unit_of_person: Mapping[str, str]
) -> Float[np.ndarray, " units"] | None:
    """The log predictive density of each unit's decisions, in their order, given all other units'; None if there is no
    formula for it.

    Args:
        unit_of_person: the unit of each participant.
    """
    spec = model.spec
    if not isinstance(spec, TypedSpec) or spec.likelihood is None:
        return None
    likelihood = spec.likelihood(spec.decisions)
    if not (isinstance(likelihood, WithoutPayoffs) and isinstance(likelihood.leaning, Shares)):
        return None
    counts = _counts(likelihood, unit, units, unit_of_person)
    if counts is None:
        return None
    sizes = np.array([len(p.values) for p in likelihood.leaning.places])
    return _urn(counts, np.arange(counts.shape[2]) < sizes[:, None])


def _counts(
    likelihood: WithoutPayoffs, unit: str, units: Sequence[str], unit_of_person: Mapping[str, str]
) -> Float[np.ndarray, "units places actions"] | None:
    """None where it is not known which unit a decision belongs to."""
    data, index = likelihood.data, {u: i for i, u in enumerate(units)}
    if not isinstance(data, OneShotData):
        if not set(data.participants) <= set(unit_of_person):
            return None
        by_person = np.swapaxes(likelihood.counts, 0, 1)
        of = np.array([index[unit_of_person[p]] for p in data.participants])
        counts = np.zeros((len(units), *by_person.shape[1:]))
        np.add.at(counts, of, by_person)
        return counts
    if unit in data.labels:
        labels = np.asarray(data.labels[unit]).astype(str)
    elif unit_of_person and "participant" in data.labels:
        labels = [unit_of_person[str(p)] for p in data.labels["participant"]]
    else:
        return None
    each = np.asarray(data.counts)
    counts = np.zeros((len(units), len(data.sizes), each.shape[1]))
    np.add.at(counts, (np.array([index[u] for u in labels]), data.situation), each)
    return counts


def _urn(counts: Float[np.ndarray, "units places actions"], possible: np.ndarray) -> Float[np.ndarray, " units"]:
    """Pólya's urn, which begins with one ball for each possible action."""
    others = np.where(possible, 1.0 + counts.sum(axis=0) - counts, 0.0)
    actions = np.where(possible, gammaln(others + counts) - gammaln(np.where(possible, others, 1.0)), 0.0)
    balls = others.sum(axis=2)
    return actions.sum(axis=(1, 2)) - (gammaln(balls + counts.sum(axis=2)) - gammaln(balls)).sum(axis=1)
