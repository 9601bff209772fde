"""From a marginal model to one on compressed evidence: find a box around the posterior, then compress in it."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.domain import REAL, UNIT, Domain, Interval
from bayescal.errors import InputError
from bayescal.evaluation.density import Density
from bayescal.evaluation.locate import locate
from bayescal.evaluation.sites import Sites, compile_prior
from bayescal.likelihood.evidence import Evidence, Unresolved
from bayescal.likelihood.surface import FEW, Surface
from bayescal.model.integrated import Integrated
from bayescal.model.people import People, given
from bayescal.precision import double_precision

_WIDE = 6.5  # posterior sds to either side
_PILOT = 1000  # people from whom the posterior is located
_DRAWS = 2000
_SMALL = 0.05
_MOST, _MOST_SOLVED = 4096, 256  # nodes of the box: solving games takes time, and solutions may jump between equilibria
_LEAST_LAPSE = 1e-4
_MANY, _STARTS = 2000, 200


def compress(integrated: Integrated, evidence: Evidence | None = None, *, seed: int = 0) -> Integrated:
    """The model on its evidence, which is built if it is not given. If it cannot be built within its error bounds, the
    model as it was, with a note."""
    with double_precision():
        boxed = bool(integrated.people.shared_names)
        located = _located(integrated, seed) if boxed and evidence is None else None
        if evidence is None:
            domain = Domain(()) if located is None else _box(integrated, located)
            likelihood, nodes = integrated.likelihood, jnp.asarray(integrated.nodes)
            try:
                most = _MOST if likelihood.learned else _MOST_SOLVED
                evidence = Evidence.build(likelihood, nodes, domain, most_nodes=most, seed=seed)
            except InputError as error:
                note = str(error) if isinstance(error, Unresolved) else f"not compressed: {error}"
                return dataclasses.replace(integrated, notes=(*integrated.notes, note))
    _check(integrated, evidence)
    error = evidence.error
    note = (
        f"Compressed: degrees {evidence.degrees or 0}, rank {evidence.rank}, {error.person:.1g} nats off a person at "
        f"most, {error.total:.1g} in all."
    )
    done = dataclasses.replace(
        integrated,
        evidence=evidence,
        nodes=np.asarray(evidence.log_cost),
        how=" on compressed evidence",
        notes=(*integrated.notes, *evidence.notes, note),
    )
    if len(integrated.people.participants) < _MANY:
        return done
    with double_precision():  # so many people leave a narrow posterior, which takes long to find
        # A search on the evidence begins inside its box: from the steep penalty around it nothing is found.
        located = located or (_located(integrated, seed) if boxed else None)
        inside = None if located is None else {n: x[None] for n, x in located.posterior.items()}
        start = locate(done.model, _STARTS, seed, prior=inside)
        return _all_together(dataclasses.replace(done, start=start), evidence, start, seed)


def _all_together(integrated: Integrated, evidence: Evidence, start: Sites, seed: int) -> Integrated:
    """On a `Surface`, if few parameters are sampled and its error is within the evidence's bound."""
    density = Density.of(integrated.model)
    if sum(int(np.prod(s.shape)) for s in density.sites.values()) > FEW:
        return integrated
    surface = Surface.build(integrated.total, density, start, evidence.most_total, seed)
    if surface.error > evidence.most_total:
        note = f"not all together: the sum over people would be {surface.error:.2g} nats off."
        return dataclasses.replace(integrated, notes=(*integrated.notes, note))
    note = f"All people together are a polynomial of {len(surface.powers)} terms, {surface.error:.1g} nats off at most."
    return dataclasses.replace(integrated, surface=surface, notes=(*integrated.notes, note))


def box_of(integrated: Integrated, seed: int = 0) -> Domain:
    """A box of the shared numbers, well around their posterior."""
    return _box(integrated, _located(integrated, seed)) if integrated.people.shared_names else Domain(())


class _Located(NamedTuple):
    """
    Attributes:
        pilot: the model of some of the people.
        posterior: its approximate draws, (draws, …) by site.
        prior: draws from the hyperpriors, (1, draws, …) by site.
    """

    pilot: Integrated
    posterior: Sites
    prior: Sites


def _located(integrated: Integrated, seed: int) -> _Located:
    count = len(integrated.likelihood.participants)
    pilot = integrated
    if count > 2 * _PILOT:
        some = np.sort(np.random.default_rng(seed).choice(count, _PILOT, replace=False))
        pilot = integrated.of_some(some)
    prior = compile_prior(pilot.model, _DRAWS)(np.random.default_rng(seed))
    return _Located(pilot, locate(pilot.model, _DRAWS, seed, prior=prior), prior)


def _box(integrated: Integrated, located: _Located) -> Domain:
    people, pilot = integrated.people, located.pilot
    shared = jax.jit(jax.vmap(lambda values: given(pilot.people, pilot.hyperpriors, values).shared))
    after, before = shared(dict(located.posterior)), shared({n: x[0] for n, x in located.prior.items()})
    out = []
    for name in people.shared_names:
        natural = _natural(people, name)
        box = people.box.get(name, natural)
        x = np.asarray(natural.to_real(jnp.asarray(after[name]))).reshape(_DRAWS, -1)
        middle, sd = np.median(x, axis=0), np.std(x, axis=0) + 1e-6
        ends = (min((middle - _WIDE * sd).min(), x.min()), max((middle + _WIDE * sd).max(), x.max()))
        low, high = (float(natural.from_real(jnp.asarray(e))) for e in ends)
        # Clip to the range of the draws, prior and posterior: a skewed posterior would reach too far on one side.
        known = np.concatenate([np.ravel(before[name]), np.ravel(after[name])])
        low, high = max(low, float(known.min())), min(high, float(known.max()))
        if name == "lapse":  # decisions depend on its logarithm; less than one in ten thousand is none
            low = max(low, _LEAST_LAPSE)
        elif natural.low == 0 and low < _SMALL * high:  # even in the number itself, not in its logarithm
            low = 0.0
        out.append((name, Interval(max(low, box.low), min(high, box.high))))
    return Domain(tuple(out))


def _natural(people: People, name: str) -> Interval:
    """The support of a shared number."""
    kind, _, short = name.partition(".")
    if kind == "phi":
        return people.population.parameters[short]
    if kind == "psi":
        return people.prior[short]
    return UNIT if name == "lapse" else REAL


def _check(integrated: Integrated, evidence: Evidence) -> None:
    ours, theirs = integrated.likelihood.participants, evidence.participants
    if theirs != ours:
        raise InputError(
            f"The evidence is of {len(theirs)} participants ({', '.join(theirs[:3])}, …), the decisions are of "
            f"{len(ours)} ({', '.join(ours[:3])}, …): build it from these decisions, in their order."
        )
    if sorted(evidence.domain.names) != sorted(integrated.people.shared_names):
        raise InputError(
            f"The evidence is a function of {', '.join(evidence.domain.names) or 'nothing'}, the model of "
            f"{', '.join(integrated.people.shared_names) or 'nothing'}: build it for this model."
        )
