"""What a comparison would fit, and about how long that takes."""

import os
from dataclasses import asdict, dataclass

import jax
import jax.numpy as jnp
import pandas as pd

from bayescal.comparison.rivals import Rivals
from bayescal.evaluation.density import Density
from bayescal.model.model import Model
from bayescal.precision import double_precision

# Measured on two cores of a server: seconds to compile a fit, its checks and its comparison; seconds of the smallest
# gradient, and floating-point operations a second in larger ones; and steps of the sampler in an iteration.
_START = 10.0
_SMALLEST = 5e-4
_SPEED = 3e8
_STEPS = 8.0


@dataclass(frozen=True, eq=False)
class Plan:
    """Models that would be fitted.

    Attributes:
        table: by model, its ingredients and the seconds that it takes, which may be wrong by a factor of three.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.comparison.plan import plan_of
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> plan = plan_of(bc.rivals(study, only=["random play"]))
        >>> list(plan.table.index), plan.seconds > 10
        (['random play'], True)
    """

    table: pd.DataFrame

    @property
    def seconds(self) -> float:
        return float(self.table["seconds"].sum())

    def __str__(self) -> str:
        return f"about {max(round(self.seconds / 60), 1)} minutes, give or take a factor of three"


def plan_of(among: Rivals, *, draws: int = 500, warmup: int = 300, chains: int = 4) -> Plan:
    """The models of a comparison with their ingredients and estimated times.

    Args:
        among: of `rivals`.
        draws, warmup, chains: of NUTS, for every model.
    """
    rounds = -(-chains // min(chains, os.cpu_count() or 1))
    rows = {}
    for name, model in among.models.items():
        sampling = (draws + warmup) * rounds * _STEPS * (_SMALLEST + operations(model) / _SPEED)
        rows[name] = asdict(among.made_of[name]) | {"seconds": _START + sampling}
    return Plan(pd.DataFrame.from_dict(rows, orient="index"))


def operations(model: Model) -> float:
    """Floating-point operations of one gradient. Loops count once, so where games are solved there are more."""
    with double_precision():
        density = Density.of(model)
        lowered = jax.jit(jax.value_and_grad(density.potential)).lower(density.unflatten(jnp.zeros(density.size)))
        found = lowered.cost_analysis() or {}
    return float(found.get("flops", 0.0))
