"""A NumPyro model of decisions, with what inference and reports need to know of it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from bayescal.domain import Interval
from bayescal.model.hyperpriors import Hyperpriors, describe
from bayescal.model.spec import ModelSpec, TypedSpec
from bayescal.policies.base import PolicyFacts


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A NumPyro model: call it (without arguments) inside any NumPyro handler, sampler or larger model.

    With private costs a call returns {"phi": …} and, where costs are sampled, "log_cost" in the order of
    `coords["participant"]`, for use in a larger model.

    Attributes:
        spec: what the model was asked to be.
        sample: the NumPyro model itself.
        coords: labels of its plates and of the grid of actions, by dimension name.
        dims: event dimensions of the observed site.
        constant_data: data that an analysis needs beside the draws, as (dims, values).
        hyperpriors: the prior distribution of each parameter, by site.
        box: bounds of the trained domain by site; empty for policies without one.
        description: the model in one sentence.
        numbers: floats computed per draw; sets the batch size.
        natural: the support of parameters that are bounded by definition.
        integrated: the model in which costs or types are integrated out; None if nothing is.
        evaluated: the same model with nothing integrated out, for predictions; None if that is the model itself.
    """

    spec: ModelSpec | TypedSpec
    sample: Callable[[], Any]
    coords: Mapping[str, Any]
    dims: Mapping[str, tuple[str, ...]]
    constant_data: Mapping[str, tuple[tuple[str, ...], Any]]
    hyperpriors: Hyperpriors
    box: Mapping[str, Interval]
    description: str
    numbers: float | int = 1.0
    natural: Mapping[str, Interval] = dataclasses.field(default_factory=dict)
    integrated: Any = None
    evaluated: "Model | None" = None

    def __call__(self) -> Any:
        return self.sample()

    @property
    def policy(self) -> PolicyFacts:
        """Which policy the model is built on."""
        return self.spec.policy.facts

    @property
    def complete(self) -> Callable[..., Any] | None:
        """Adds draws of what was integrated out; None if nothing was."""
        return None if self.integrated is None else self.integrated.complete

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how the model was built."""
        return () if self.integrated is None else self.integrated.notes

    @property
    def start(self) -> Mapping[str, Any] | None:
        """Approximate posterior draws by site, if the posterior has been located already."""
        return None if self.integrated is None else self.integrated.start

    @property
    def hyperprior_text(self) -> dict[str, str]:
        return {name: describe(d) for name, d in self.hyperpriors.items()}
