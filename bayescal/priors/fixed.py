"""A habit whose strength is known."""

import equinox as eqx

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.priors.anchored import Anchored
from bayescal.priors.base import Known, Prior


class Fixed(Known):
    """Another prior at these parameters, none of which is left to be inferred.

    `Fixed(Anchored(), {"anchor": 0.5, "pull": 0.0})` is uniform for everybody, and a learned policy that knows
    anchored priors still answers for it.
    """

    prior: Prior
    psi: tuple[tuple[str, float], ...] = eqx.field(
        static=True, converter=lambda psi: tuple((str(n), float(x)) for n, x in dict(psi).items())
    )

    @property
    def defaults(self) -> dict[str, float]:
        return dict(self.psi)

    @property
    def flat_parameters(self) -> dict[str, float] | None:
        wanted, psi = self.prior.flat_parameters, dict(self.psi)
        return None if wanted is None or any(psi[name] != x for name, x in wanted.items()) else {}

    @property
    def words(self) -> str:
        return "uniform" if self.flat else self.prior.words

    @classmethod
    def example(cls) -> "Fixed":
        return cls(Anchored(), {"anchor": 0.4, "pull": 2.0})

    def log_prob(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        return self.prior.log_prob(observation, dict(self.psi), role=role, action_values=action_values)
