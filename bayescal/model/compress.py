"""From a marginal model to the same on an `Evidence`: find the box that the posterior lies in, then compress."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.domain import REAL, UNIT, Domain, Interval
from bayescal.errors import InputError
from bayescal.evaluation.locate import locate
from bayescal.evaluation.sites import Sites, compile_prior, latent_sites
from bayescal.likelihood.evidence import Evidence, Unresolved
from bayescal.likelihood.surface import FEW, Surface
from bayescal.model.integrated import Integrated, given
from bayescal.precision import double_precision

_WIDE = 6.5  # sds of the posterior to either side
_PILOT = 1000  # people from whom it is located
_DRAWS = 2000
_SMALL = 0.05
_MOST, _MOST_SOLVED = 4096, 256  # nodes of the box: solved games take their time, and may jump between equilibria
_LEAST_LAPSE = 1e-4
_MANY, _STARTS = 2000, 200


def compress(integrated: Integrated, evidence: Evidence | None = None, *, seed: int = 0) -> Integrated:
    """The integrated model on its evidence; where that is not within its bounds, as it was, with a note."""
    with double_precision():
        boxed = bool(integrated.people.shared_names)
        found = _located(integrated, seed) if boxed and evidence is None else None
        if evidence is None:
            domain = Domain(()) if found is None else _box(integrated, *found)
            try:
                likelihood, nodes = integrated.likelihood, jnp.asarray(integrated.nodes)
                most = _MOST if likelihood.learned else _MOST_SOLVED
                evidence = Evidence.build(likelihood, nodes, domain, most_nodes=most, seed=seed)
            except InputError as told:
                note = str(told) if isinstance(told, Unresolved) else f"not compressed: {told}"
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
        told=" on compressed evidence",
        notes=(*integrated.notes, *evidence.notes, note),
    )
    if len(integrated.people.participants) < _MANY:
        return done
    with double_precision():  # so many people leave a posterior that is narrow, and long to find
        # A search on the evidence begins inside its box: on the steep walls around it there is nothing to be found.
        found = found or (_located(integrated, seed) if boxed else None)
        inside = None if found is None else {n: x[None] for n, x in found[1].items()}
        start = locate(done.model, _STARTS, seed, prior=inside)
        return _all_together(dataclasses.replace(done, start=start), seed)


def _all_together(integrated: Integrated, seed: int) -> Integrated:
    """On a `Surface`, where the numbers that are sampled are few and it is within its bound."""
    assert integrated.start is not None and integrated.evidence is not None
    latent = latent_sites(integrated.model)
    if sum(int(np.prod(s.shape)) for s in latent.values()) > FEW:
        return integrated
    most = integrated.evidence.most_total
    surface = Surface.build(integrated.total, {n: s.support for n, s in latent.items()}, integrated.start, most, seed)
    if surface.error > most:
        note = f"not all together: the sum over people would be {surface.error:.2g} nats off."
        return dataclasses.replace(integrated, notes=(*integrated.notes, note))
    note = f"All people together are a polynomial of {len(surface.powers)} terms, {surface.error:.1g} nats off at most."
    return dataclasses.replace(integrated, surface=surface, notes=(*integrated.notes, note))


def box_of(integrated: Integrated, seed: int = 0) -> Domain:
    """What the shared numbers are in the posterior, and a good deal around it."""
    return _box(integrated, *_located(integrated, seed)) if integrated.people.shared_names else Domain(())


def _located(integrated: Integrated, seed: int) -> tuple[Integrated, dict[str, Any], Sites]:
    """(the model of some of the people, draws from about where its posterior is, draws from the hyperpriors)."""
    count = len(integrated.likelihood.participants)
    pilot = integrated
    if count > 2 * _PILOT:
        some = np.sort(np.random.default_rng(seed).choice(count, _PILOT, replace=False))
        pilot = integrated.of_some(some)
    prior = compile_prior(pilot.model, _DRAWS)(np.random.default_rng(seed))
    return pilot, locate(pilot.model, _DRAWS, seed, prior=prior), prior


def _box(integrated: Integrated, pilot: Integrated, located: dict[str, Any], prior: Sites) -> Domain:
    people = integrated.people
    shared = jax.jit(jax.vmap(lambda values: given(pilot.people, pilot.hyperpriors, values)[2]))
    told, believed = shared(located), shared({n: x[0] for n, x in prior.items()})
    out = []
    for name in people.shared_names:
        natural = _natural(people, name)
        box = people.box.get(name, natural)
        x = np.asarray(natural.to_real(jnp.asarray(told[name]))).reshape(_DRAWS, -1)
        middle, sd = np.median(x, axis=0), np.std(x, axis=0) + 1e-6
        ends = (min((middle - _WIDE * sd).min(), x.min()), max((middle + _WIDE * sd).max(), x.max()))
        low, high = (float(natural.from_real(jnp.asarray(e))) for e in ends)
        # What is skewed reaches too far on one side: little is beyond the hyperprior's draws, unless the posterior is.
        known = np.concatenate([np.ravel(believed[name]), np.ravel(told[name])])
        low, high = max(low, float(known.min())), min(high, float(known.max()))
        if name == "lapse":  # its logarithm is what decisions depend on; less than one in ten thousand is none
            low = max(low, _LEAST_LAPSE)
        elif natural.low == 0 and low < _SMALL * high:  # even in the number itself, not in its logarithm
            low = 0.0
        out.append((name, Interval(max(low, box.low), min(high, box.high))))
    return Domain(tuple(out))


def _natural(people: Any, name: str) -> Interval:
    """Where a shared number can be by its nature."""
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
