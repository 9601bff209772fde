"""A habit known in advance: fixed probabilities, by role and action."""

from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.environments.base import Environment, role_of_player
from bayescal.errors import InputError
from bayescal.priors.base import Known
from bayescal.reading import read_json


class Empirical(Known):
    """q(a) = probabilities[role][a]. A zero rules the action out at any cost.

    Example:
        >>> import bayescal as bc
        >>> habit = bc.priors.Empirical([[0.7, 0.3], [0.5, 0.5]])  # by role and action
        >>> policy = bc.ExactPolicy(bc.get_game("selten-chmura-01"), habit)
        >>> [f"{p:.2f}" for p in policy.solve(1e6).strategies[0]]  # where information is very dear
        ['0.70', '0.30']
    """

    probabilities: tuple[tuple[float, ...], ...] = eqx.field(
        static=True, converter=lambda rows: tuple(tuple(map(float, row)) for row in rows)
    )

    def __check_init__(self) -> None:
        for role, row in enumerate(self.probabilities):
            if not all(np.isfinite(p) and p >= 0 for p in row) or abs(sum(row) - 1) > 1e-6:
                raise InputError(
                    f"Prior of role {role + 1}: {list(row)} are not non-negative numbers that sum to one "
                    f"(they sum to {sum(row):g})."
                )

    @property
    def flat_parameters(self) -> dict[str, float] | None:
        return {} if all(len(set(row)) == 1 for row in self.probabilities) else None

    @classmethod
    def example(cls) -> "Empirical":
        return cls([[0.5, 0.3, 0.2]])

    def log_prob(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        row = np.asarray(self.probabilities[role])
        with np.errstate(divide="ignore"):
            return jnp.asarray(np.log(row / row.sum()), jnp.result_type(float))


def load_prior_file(path: str | Path, environment: Environment) -> Empirical:
    """A prior from a JSON file: a list of probabilities for each player (or one list for each role).

    Example:
        >>> import bayescal as bc
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "habit.json"
        ...     _ = path.write_text("[[0.7, 0.3], [0.5, 0.5]]")
        ...     habit = bc.priors.load_prior_file(path, bc.get_game("selten-chmura-01"))
        >>> habit.probabilities
        ((0.7, 0.3), (0.5, 0.5))
    """
    rows = read_json(Path(path), "give a JSON list of probabilities by player")
    return prior_from_rows(rows, environment, str(path))


def prior_from_rows(rows: object, environment: Environment, where: str) -> Empirical:
    """A prior from what a JSON file holds: probabilities by player or role, checked against the environment's grid."""
    sizes = [len(v) for v in environment.action_values]
    shape = f"one list for each of {environment.players} players, with {sizes} probabilities by role"
    if isinstance(rows, dict) and len(rows) == 1:
        rows = rows.get("prior", rows.get("priors", []))
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise InputError(f"{where}: a prior is a list of lists of probabilities: {shape}.")
    if len(rows) == environment.players != environment.roles:
        roles = role_of_player(environment.role_counts)
        if any(row != rows[roles.index(r)] for row, r in zip(rows, roles, strict=True)):
            raise InputError(f"{where}: players of one role share their prior, but their rows differ.")
        rows = [rows[roles.index(r)] for r in range(environment.roles)]
    if [len(row) for row in rows] != sizes:
        raise InputError(f"{where}: found rows of length {[len(row) for row in rows]}; a prior is {shape}.")
    if not all(isinstance(p, int | float) and not isinstance(p, bool) for row in rows for p in row):
        raise InputError(f"{where}: some entries are not numbers; a prior is {shape}.")
    try:
        return Empirical(rows)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
