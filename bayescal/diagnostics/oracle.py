"""The same model on another policy: the exact solution, a sharpened network, one that was trained from another seed."""

import dataclasses

import equinox as eqx

from bayescal._types import NumPyroModel
from bayescal.domain import Domain
from bayescal.environments.repeated import Repeated
from bayescal.errors import InputError
from bayescal.model.build import from_spec
from bayescal.model.model import Model
from bayescal.model.spec import ModelSpec, TypedSpec
from bayescal.policies.base import Policy
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import LearnedPolicy

# Of each round of a repeated game. 1e-6 moved the log-likelihood of 600 decisions by less than 4e-6; 1e-5 was not
# measured.
TOLERANCE = 1e-5


class _Inside(ExactPolicy):
    """An exact policy on a learned one's trained domain, so that models built on the two have the same hyperpriors."""

    domain: Domain = eqx.field(static=True, default=Domain(()))


def exact_twin(policy: Policy) -> ExactPolicy:
    """The exact policy of the same game, habit, population and beliefs about others, on the same domain.

    Raises:
        InputError: the policy is not a learned one, or its game cannot be solved.
    """
    if not isinstance(policy, LearnedPolicy):
        raise InputError(
            f"{type(policy).__name__} is not a learned policy: only a learned policy can be compared with the exact "
            "solution of its game."
        )
    repeated = isinstance(policy.environment, Repeated)
    others = policy.others if repeated and policy.private else "average"
    try:
        exact = ExactPolicy(policy.environment, policy.prior, policy.population, others=others)
    except InputError:
        raise InputError(
            f"{policy.environment.name} has no exact solution to compare a network with: look at the policy's "
            "certificate instead (`bayescal models`), and train longer if in doubt."
        ) from None
    return _inside(dataclasses.replace(exact, tolerance=TOLERANCE) if repeated else exact, policy.domain)


def model_on(model: NumPyroModel, policy: Policy) -> Model:
    """A model with the same arguments on another policy; an exact one takes on the trained domain of the model's.

    Raises:
        InputError: the model was not built by `build_model`, or the policy's trained domain is another one, so that
            hyperpriors would differ.
    """
    spec = spec_of(model)
    domain = getattr(spec.policy, "domain", None)
    if type(policy) is ExactPolicy and domain is not None:
        policy = _inside(policy, domain)
    changed = dataclasses.replace(spec, policy=policy)
    if isinstance(changed, ModelSpec) and changed.method == "compressed":  # not an approximation
        changed = dataclasses.replace(changed, method="marginal", evidence=None)
    built = from_spec(changed)
    ours, theirs = getattr(model, "hyperprior_text", {}), built.hyperprior_text
    if ours != theirs:
        differ = ", ".join(n for n in {**ours, **theirs} if ours.get(n) != theirs.get(n))
        raise InputError(
            f"On {type(policy).__name__} the hyperpriors of {differ} differ, since its trained domain is another one: "
            "give a policy with the same domain, or an ExactPolicy."
        )
    return built


def spec_of(model: NumPyroModel) -> ModelSpec | TypedSpec:
    """What a model was asked to be."""
    spec = getattr(model, "spec", None)
    if spec is None:
        raise InputError(
            "This model was not built by `build_model`, so it cannot be built on another policy: build it so, or give "
            "the same model built on that policy."
        )
    return spec


def _inside(exact: ExactPolicy, domain: Domain) -> ExactPolicy:
    fields = {f.name: getattr(exact, f.name) for f in dataclasses.fields(ExactPolicy)}
    return _Inside(**fields, domain=domain)
