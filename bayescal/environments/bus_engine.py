"""Rust's bus engines: keep an engine, whose operating cost rises with mileage, or replace it."""

from collections.abc import Iterator, Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Number, Numbers
from bayescal.environments.base import Params, rules
from bayescal.environments.markov import Markov, states_of
from bayescal.environments.replay import Fault, Replay, previous_row
from bayescal.environments.statistics import PlayRecord, Statistic, sums
from bayescal.errors import InputError

KEEP, REPLACE = 0, 1


class BusEngine(Markov):
    """Optimal replacement of bus engines (Rust 1987, Econometrica 55:999-1033).

    Every month the superintendent of maintenance sees an engine's mileage since its last replacement, in bins
    x = 0, …, 89 of 5,000 miles, and keeps it (at an operating cost of 0.001 · theta11 · x) or replaces it (at RC;
    mileage then starts again from bin 0). By the next month mileage has grown by j bins with probability usage[j].
    The discount is 0.9999 a month. With a uniform prior and a cost of information of 1 the choice is dynamic logit.

    RC and theta11 together set the scale of all payoffs: if both are free the cost of information is not identified,
    and is fixed at 1.

    Example:
        >>> import bayescal as bc
        >>> engine = bc.BusEngine(RC=10.0, theta11=2.3)
        >>> engine.states, engine.action_labels[0]
        (90, ('keep', 'replace'))
    """

    RC: float
    theta11: float
    usage: Float[AnyArray, " bins"] = eqx.field(converter=lambda p: np.asarray(p, float))

    # Rust (1987), table IX, group 4; usage is counted in his data.
    def __init__(
        self,
        RC: Number = 10.075,
        theta11: Number = 2.293,
        usage: Numbers = (0.3919, 0.5953, 0.0128),
        *,
        discount: Number = 0.9999,
        bins: int = 90,
        horizon: int = 120,
    ):
        if not 0 <= discount < 1:
            raise InputError(f"BusEngine: the discount is {discount}; give one from 0 to below 1.")
        shares = np.asarray(usage, float)
        if shares.ndim != 1 or len(shares) < 2 or len(shares) >= bins or shares.min() < 0 or shares.sum() <= 0:
            raise InputError(
                f"BusEngine: usage is {shares.tolist()}; give the probabilities of 0, 1, 2, … bins a month (fewer than "
                f"the {bins} bins there are)."
            )
        self.RC, self.theta11, self.usage = float(RC), float(theta11), shares / shares.sum()
        labels = [("keep", "replace")]
        fields = rules(
            "bus-engine", {"superintendent": 1}, [(0.0, 1.0)], ordered=False, labels=labels, horizon=horizon,
            discount=discount,
        )  # fmt: skip
        vars(self).update(fields)
        self.states = bins
        self.start = (1.0,) + (0.0,) * (bins - 1)

    @property
    def payoff_parameters(self) -> tuple[str, ...]:
        return ("RC", "theta11")

    def payoff_table(self, params: Params) -> Float[Array, "states 1 2"]:
        keep = -0.001 * params["theta11"] * jnp.arange(self.states)
        return jnp.stack([keep, jnp.broadcast_to(-params["RC"], keep.shape)], axis=1)[:, None, :]

    def transition_table(self, params: Params) -> Float[Array, "states 2 states"]:
        usage = jnp.asarray(params["usage"])
        bins = jnp.arange(self.states)
        after = jnp.minimum(bins[:, None] + np.arange(usage.shape[0])[None, :], self.states - 1)
        keep = jnp.sum(usage[None, :, None] * (after[:, :, None] == bins[None, None, :]), axis=1)
        return jnp.stack([keep, jnp.broadcast_to(keep[0], keep.shape)], axis=1)

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        # RC, rather than the operating cost at the last bin, which few engines reach.
        return jnp.asarray(params["RC"]) + jnp.zeros(())

    def see(self, observation: Mapping[str, AnyArray], params: Params) -> Float[Array, " numbers"]:
        """Mileage, and the distance from the last bin, where mileage is cut off."""
        x = observation["state"] / (self.states - 1)
        return jnp.stack([2 * x - 1, jnp.sqrt(x), jnp.exp(-8 * (1 - x))])

    def stakes(
        self, params: Params, role: int, costs: Float[AnyArray, " roles"] | None
    ) -> Float[Array, " numbers"] | None:
        """Ratios of RC and theta11 to the cost: multiplying all three by a number changes no choice."""
        if costs is None:
            return None
        ratios = jnp.stack([params["RC"] / (10 * costs[0]), params["theta11"] / (2 * costs[0])])
        return jnp.concatenate([jnp.log(ratios), jnp.asarray(params["usage"]) - 0.3])

    @property
    def columns(self) -> Mapping[str, str]:
        return {
            "state": f"mileage since the last replacement, in bins 0 to {self.states - 1}, before the decision",
            "usage": "bins driven since the month before, -1 in an engine's first month (optional)",
        }

    def record(
        self, before: Int[Array, ""], joint_action: Int[AnyArray, " players"], after: Int[Array, ""], params: Params
    ) -> dict[str, Float[Array, " players"]]:
        return {"state": jnp.full(1, before, float)}

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """Each bus's first month is left out, as in Rust's likelihood, which is conditional on it.

        A state must be a bin, and cannot be below the month before's unless the engine was replaced.
        """
        recorded = table["state"].to_numpy(float)
        state, wrong = states_of(recorded, self.states)
        faults = [Fault(int(i), "state", float(recorded[i]), float(state[i])) for i in np.flatnonzero(wrong)]
        before = previous_row(table)
        least = np.where(table["action_index"].to_numpy()[before] == KEEP, state[before], 0)
        ran_back = (before >= 0) & np.isfinite(recorded) & np.isfinite(recorded[before]) & (state < least)
        faults += [Fault(int(i), "state", float(state[i]), float(least[i])) for i in np.flatnonzero(ran_back)]
        first = table.groupby("participant", observed=True)["round"].transform("min").to_numpy()
        later = table["round"].to_numpy() > first
        return Replay({"state": state}, np.isfinite(recorded) & ~wrong & later, faults)

    def statistics(self, record: PlayRecord) -> Iterator[Statistic]:
        """Replacements, and the mileage at which they were made."""
        state, bus = record.seen["state"], record.people
        number = lambda x: x.sum(axis=1)
        mean = lambda x: (x * state).sum(axis=1) / number(x)
        variance = lambda x: (x * state**2).sum(axis=1) / number(x) - mean(x) ** 2
        yield Statistic("replacements", "how many engines were replaced", number)
        yield Statistic("mileage at replacement", "mean bin of mileage at which engines were replaced", mean)
        yield Statistic(
            "spread of mileage at replacement",
            "standard deviation of the bin of mileage at which engines were replaced",
            lambda x: np.sqrt(np.maximum(variance(x), 0)),
        )
        if bus is not None and bus.max() > 0:
            yield Statistic(
                "spread of engines", "standard deviation, over engines, of their share of months with a replacement",
                lambda x: (sums(bus, x) / np.bincount(bus)).std(axis=1, ddof=1),
            )  # fmt: skip

    def count_chance(self, table: pd.DataFrame) -> tuple["BusEngine", float]:
        """Counts usage first, as in the first step of Rust's two-step estimates."""
        counts = self.monthly_usage(table)
        shares = counts / counts.sum()
        log_likelihood = float(np.sum(np.where(counts > 0, counts * np.log(np.maximum(shares, 1e-300)), 0.0)))
        counted = BusEngine(
            self.RC, self.theta11, shares, discount=self.discount, bins=self.states, horizon=self.horizon
        )
        return counted, log_likelihood

    def monthly_usage(self, table: pd.DataFrame) -> Int[np.ndarray, " bins"]:
        """How often 0, 1, 2, … bins were driven from one month to the next (at least three counts).

        After a replacement Rust counts a bus in bin 0 as driven by one bin; so do we, which reproduces his
        log-likelihood. A `usage` column takes precedence over the count.
        """
        before = previous_row(table)
        state = table["state"].to_numpy(float)
        was = np.where(table["action_index"].to_numpy()[before] == KEEP, state[before], -1.0)
        driven = np.where(before >= 0, state - was, np.nan)
        if "usage" in table:
            written = table["usage"].to_numpy(float)
            driven = np.where(np.isfinite(written), np.where(written >= 0, written, np.nan), driven)
        driven = driven[np.isfinite(driven) & (driven >= 0)].astype(int)
        if not len(driven):
            raise InputError("The table has no two consecutive months of any bus, so usage cannot be counted.")
        return np.bincount(driven, minlength=3)
