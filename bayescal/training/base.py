"""A trainer improves a policy step by step; the loop around it belongs to `train`."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.policies.amortised import AmortisedPolicy

Info = dict[str, Float[Array, ""]]


class Trainer(eqx.Module):
    """`init(key)` makes a state, a pytree of arrays; `step(key, state)` a better one. Both are pure, may be jitted,
    scanned and vmapped over keys, and depend on nothing else: a run that is resumed ends as if it had not been
    interrupted."""

    skeleton: eqx.AbstractVar[AmortisedPolicy]

    @abstractmethod
    def init(self, key: PRNGKeyArray) -> Any: ...

    @abstractmethod
    def step(self, key: PRNGKeyArray, state: Any) -> tuple[Any, Info]: ...

    @abstractmethod
    def policy(self, state: Any) -> AmortisedPolicy:
        """What has been learned so far."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many steps a whole training has."""
