"""Trained domains: intervals, and boxes of named intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.errors import DomainError


@dataclass(frozen=True)
class Interval:
    """low < x < high; either end may be infinite."""

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise DomainError(f"The interval from {self.low} to {self.high} is empty: low must be below high.")

    @property
    def _finite(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def logarithmic(self) -> bool:
        """Whether it is scaled by its logarithm: positive ends, a factor of ten or more apart."""
        return self.low > 0 and math.isfinite(self.high) and self.high >= 10 * self.low

    def at(self, share: Any) -> Any:
        """The point at a share of the way from the lower end to the upper, in logarithms where it is logarithmic."""
        if self.logarithmic:
            return self.low * (self.high / self.low) ** share
        return self.low + (self.high - self.low) * share

    def contains(self, x: Any) -> bool:
        # With a tolerance: rounding to float32 may put an end of the box just outside it.
        x, slack = np.asarray(x, float), 1e-6 * (abs(self.low) + abs(self.high)) if self._finite else 0.0
        return bool(np.all((x >= self.low - slack) & (x <= self.high + slack)))

    def to_real(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """A smooth bijection from the interior of the interval to the real line."""
        match math.isfinite(self.low), math.isfinite(self.high):
            case True, True:
                u = (x - self.low) / (self.high - self.low)
                return jnp.log(u) - jnp.log1p(-u)
            case True, False:
                return jnp.log(x - self.low)
            case False, True:
                return -jnp.log(self.high - x)
            case _:
                return jnp.asarray(x)

    def from_real(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        match math.isfinite(self.low), math.isfinite(self.high):
            case True, True:
                return self.low + (self.high - self.low) * jax.nn.sigmoid(z)
            case True, False:
                return self.low + jnp.exp(z)
            case False, True:
                return self.high - jnp.exp(-z)
            case _:
                return jnp.asarray(z)

    def __str__(self) -> str:
        return f"[{self.low:g}, {self.high:g}]"


REAL = Interval()
POSITIVE = Interval(0.0)
UNIT = Interval(0.0, 1.0)


def towards_ends(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Numbers between 0 and 1, moved towards these ends: near the faces of a box interpolation is hardest."""
    return 0.5 * u + 0.25 * (1 - jnp.cos(jnp.pi * u))


@dataclass(frozen=True)
class Domain:
    """A box of named intervals, such as a trained domain. Hashable; stored in the file of a learned policy.

    Example:
        >>> import bayescal as bc
        >>> box = bc.Domain.of(cost=(0.1, 10.0))
        >>> box.contains({"cost": 1.0}), box.contains({"cost": 100.0})
        (True, False)
    """

    intervals: tuple[tuple[str, Interval], ...]

    @classmethod
    def of(cls, **ranges: tuple[float, float]) -> "Domain":
        """`Domain.of(cost=(0.01, 10.0), mean=(-1.0, 1.0))`."""
        return cls(tuple((name, Interval(*ends)) for name, ends in ranges.items()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.intervals)

    def contains(self, values: Mapping[str, Any]) -> bool:
        return not self._offences(values)

    def check(self, values: Mapping[str, Any]) -> None:
        """Raises DomainError if values are outside the box, with one sentence for each such parameter."""
        if offences := self._offences(values):
            raise DomainError(" ".join(offences))

    def _offences(self, values: Mapping[str, Any]) -> list[str]:
        out = [f"{name} is missing: the box has {', '.join(self.names)}." for name in self.names if name not in values]
        for name, interval in self.intervals:
            if name in values and not interval.contains(values[name]):
                low, high = (float(f(np.asarray(values[name], float))) for f in (np.min, np.max))
                found = f"{low:g}" if low == high else f"{low:g} to {high:g}"
                out.append(
                    f"{name} is {found}, outside the trained domain {interval} of this policy: "
                    "choose a value inside, or a policy with a larger domain."
                )
        return out

    def clip(self, values: Mapping[str, Any]) -> dict[str, Float[Array, "..."]]:
        return {name: jnp.clip(jnp.asarray(values[name]), box.low, box.high) for name, box in self.intervals}

    def sample(
        self,
        key: PRNGKeyArray,
        shape: tuple[int, ...] = (),
        *,
        sizes: Mapping[str, tuple[int, ...]] | None = None,
        faces: bool = False,
    ) -> dict[str, Float[Array, "..."]]:
        """Uniform in the box (log-uniform if both ends are positive and a factor of ten or more apart).

        Args:
            shape: shape of the sample; `sizes` adds dimensions to names that are arrays.
            faces: more often near the faces of the box (`towards_ends`).
        """
        out = {}
        for (name, box), k in zip(self.intervals, jax.random.split(key, len(self.intervals)), strict=True):
            if not (math.isfinite(box.low) and math.isfinite(box.high)):
                raise DomainError(f"{name} is unbounded, {box}, so it cannot be sampled uniformly: give finite ends.")
            u = jax.random.uniform(k, shape + tuple((sizes or {}).get(name, ())))
            u = towards_ends(u) if faces else u
            out[name] = box.at(u)
        return out

    def to_real(self, values: Mapping[str, Any]) -> dict[str, Float[Array, "..."]]:
        return {name: box.to_real(jnp.asarray(values[name])) for name, box in self.intervals}

    def from_real(self, values: Mapping[str, Any]) -> dict[str, Float[Array, "..."]]:
        return {name: box.from_real(jnp.asarray(values[name])) for name, box in self.intervals}

    def as_dict(self) -> dict[str, list[float]]:
        return {name: [box.low, box.high] for name, box in self.intervals}

    @classmethod
    def from_dict(cls, ranges: Mapping[str, Any]) -> "Domain":
        return cls(tuple((name, Interval(*map(float, ends))) for name, ends in ranges.items()))
