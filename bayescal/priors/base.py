"""What people fall back on: q_psi(a | o), the behaviour that costs nothing."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
from numpyro import distributions as dist

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.domain import Interval

ABSENT = -1e30  # log-probability of an action that cannot be played, finite so that gradients stay so


class Prior(eqx.Module):
    """A prior behaviour over the grid of one role, with parameters psi (a dict of scalars; {} when it has none).

    Example:
        >>> import bayescal as bc
        >>> habit = bc.priors.Adaptive()
        >>> isinstance(habit, bc.priors.Prior), habit.defaults
        (True, {'gain': 0.5, 'pull': 1.0})
    """

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Interval]:
        """Names of the parameters psi and the interval each lives in."""

    @property
    @abstractmethod
    def defaults(self) -> dict[str, float]:
        """A value for each parameter, used when none is given."""

    @abstractmethod
    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        """The hyperprior of each parameter, used when none is given.

        Args:
            payoff_scale: the spread of payoffs. A parameter in units of money must be scaled with it.
        """

    @property
    def flat_parameters(self) -> dict[str, float] | None:
        """The values of psi at which q is uniform whatever was seen; parameters left out may have any value.

        None: q is never uniform, or not known to be.
        """
        return None

    @property
    def flat(self) -> bool:
        """Whether q is uniform at every psi."""
        return self.flat_parameters == {}

    @property
    def words(self) -> str:
        """The habit in a few words, for descriptions of a model."""
        return type(self).__name__

    @classmethod
    def example(cls) -> "Prior":
        """An instance without options: what a study means by the name alone, and what the laws are tested on."""
        return cls()

    @abstractmethod
    def log_prob(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        """Normalised log q over the whole grid of this role (its real actions only, no padding)."""

    def log_weight(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        """log q but for a constant: all that is needed where habits multiply and their product is normalised."""
        return self.log_prob(observation, psi, role=role, action_values=action_values)

    def terms(self, psi: Parameters, *, role: int, action_values: Grid) -> list[Callable[[Observation], Actions]]:
        """Functions of the observation that add up to log q but for a constant: more than one where habits multiply."""
        return [lambda observation: self.log_prob(observation, psi, role=role, action_values=action_values)]


class Known(Prior):
    """A prior without parameters: nothing of it is left to be inferred."""

    @property
    def parameters(self) -> dict[str, Interval]:
        return {}

    @property
    def defaults(self) -> dict[str, float]:
        return {}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {}


class Tilt(Prior):
    """A prior that is given by its weights: q(a | o) ∝ exp(log_weight)."""

    @abstractmethod
    def log_weight(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        """log q but for a constant."""

    def log_prob(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        return jax.nn.log_softmax(self.log_weight(observation, psi, role=role, action_values=action_values))
