"""Equilibrium of people who know others' play from a small sample: what the two kinds of sampling share."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal._types import Costs, Parameters, RoleActions
from bayescal.domain import Interval
from bayescal.environments.base import OneShot
from bayescal.errors import InputError
from bayescal.policies.eager import in_double_precision
from bayescal.policies.samples import Samples, number_of_samples, samples_of
from bayescal.policies.stationary import StationaryPolicy, log_mixtures, one_shot_of_several, stationary_mixtures

LARGEST = 15  # draws
_TIE = 1e-9  # sums of payoffs tie if they differ by less than this share of the largest difference


class SamplingPolicy(StationaryPolicy):
    """People draw a sample of what others do and choose the action that did best in it, ties being split equally. In
    equilibrium the others' play, from which samples are drawn, is what such people choose.

    With several others a draw is of what they do together: a column of the game's `joint_table`.

    Args:
        environment: a one-shot game of at least two players.
        size: of the sample; None if it is inferred.
        largest: the largest sample, if the size is inferred.

    An inferred size is phi, {"sample_size": n} from 1 to `largest`. With a fraction f over a whole number n, a share f
    of people are those of the equilibrium with n + 1 draws and the rest those of the equilibrium with n draws.
    """

    size: eqx.AbstractVar[int | None]
    largest: eqx.AbstractVar[int]

    types_are_fixed = True  # phi changes the shares of the sample sizes, and nobody's play
    _MOST = 1_000_000  # entries of a table

    def __check_init__(self) -> None:
        name = type(self).__name__
        env = one_shot_of_several(name, self.environment)
        most = self.largest if self.size is None else self.size
        if most < 1:
            raise InputError(f"{name}: the sample has {most} draws; it has at least 1.")
        fits = self.most_draws(env, most)
        if fits < most:
            raise InputError(
                f"{name}: {env.name} has too many outcomes for all samples of {most} draws to be listed: "
                f"give at most {fits}."
                if fits
                else f"{name}: {env.name} has too many outcomes for samples to be listed."
            )

    @classmethod
    def most_draws(cls, environment: OneShot, largest: int = LARGEST) -> int:
        """The largest number of draws, up to `largest`, at which the tables of the game are not too large."""
        sizes = [(len(v), environment.joint_size(r) // len(v)) for r, v in enumerate(environment.action_values)]
        fits = lambda n: all(cls._entries(a, c, number_of_samples(n, c)) <= cls._MOST for a, c in sizes)
        return next((n for n in range(largest, 0, -1) if fits(n)), 0)

    @staticmethod
    @abstractmethod
    def _entries(actions: int, outcomes: int, samples: int) -> int:
        """The size of the largest table for one role."""

    @staticmethod
    @abstractmethod
    def _replies(table: Float[Array, "actions outcomes"], samples: Samples, largest: int) -> Any:
        """The choice probabilities of a role as a function of the chances of the outcomes.

        Args:
            table: payoffs.
            largest: size of a sample.
        """

    @property
    def parameters(self) -> dict[str, Interval]:
        """phi: the size of the sample, if it is inferred."""
        return {} if self.size is not None else {"sample_size": Interval(1.0, float(self.largest))}

    @property
    def levels(self) -> int:
        """Types of people beside the first: a type for each size of sample."""
        return 0 if self.size is not None else self.largest - 1

    def log_shares(self, phi: Any) -> Float[Array, " sizes"]:
        """Log-probabilities of the sizes 1, 2, …."""
        if self.size is not None:
            return jnp.zeros(1)
        if phi is None:
            raise InputError(f'{type(self).__name__}: give a size, or phi as {{"sample_size": …}}.')
        between = 1 - jnp.abs(jnp.asarray(phi["sample_size"], jnp.result_type(float)) - jnp.arange(1, self.largest + 1))
        return jnp.log(jnp.maximum(between, 1e-30))

    @in_double_precision
    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """Log-probabilities of a person whose sample is of unknown size."""
        by_size = jnp.exp(self.log_prob_by_level(cost, phi, psi, params))
        return log_mixtures(self.environment, jnp.tensordot(jnp.exp(self.log_shares(phi)), by_size, axes=1))

    @in_double_precision
    @eqx.filter_jit  # so that a game that is solved in several places is traced once
    def log_prob_by_level(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> Float[Array, "sizes roles actions"]:
        """Log-probabilities of people with samples of each size."""
        env, params = self.environment, self.all_params(params)
        tables = [env.joint_table(role, params) for role in range(env.roles)]
        sizes = range(1, self.largest + 1) if self.size is None else [self.size]
        samples = [samples_of(sizes, table.shape[1]) for table in tables]

        def of_size(samples):
            replies = [self._replies(*given, sizes[-1]) for given in zip(tables, samples, strict=True)]

            def reply(p, _):
                rows = [of_role(env.joint_chances(role, p)) for role, of_role in enumerate(replies)]
                return jnp.stack([jnp.pad(row, (0, p.shape[1] - len(row))) for row in rows])

            return log_mixtures(env, stationary_mixtures(env, reply, None))

        return jax.lax.map(of_size, [Samples(*map(jnp.asarray, s)) for s in samples])


def roundoff(table: Float[Array, "actions outcomes"], draws: int) -> Float[Array, ""]:
    """Differences between sums of that many payoffs that count as ties."""
    share = max(_TIE, 100 * float(jnp.finfo(table.dtype).eps))
    return share * draws * (jnp.max(table) - jnp.min(table))
