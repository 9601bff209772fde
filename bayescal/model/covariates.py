"""Covariates of log cost from a formula, and the groups in which people meet."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from bayescal.errors import InputError
from bayescal.study.formula import formula_columns
from bayescal.table.decisions import Decisions

_MOST_COLUMNS = 10_000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m|[⧛⧚]")  # how formulaic marks the place in its messages


@dataclass(frozen=True)
class Covariates:
    """Columns of a design matrix without an intercept, each centred.

    Attributes:
        names: of the columns: "age", "treatment[T.b]".
        values: (participants, columns).
        sd: of each column.
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "participants columns"]
    sd: Float[np.ndarray, " columns"]


def read_covariates(formula: str, decisions: Decisions) -> Covariates:
    """The design matrix of `"~ treatment + age"` for the participants of the decisions."""
    from formulaic import model_matrix

    people, needed = decisions.people, formula_columns(formula)
    known: list[str] = [] if people is None else list(people)
    missing = [v for v in needed if v not in known]
    if missing or people is None:
        raise InputError(
            f"covariates={formula!r} needs {', '.join(missing or needed)} of every participant, but {decisions.source} "
            f"was read with {', '.join(known) or 'no covariates'}: give Decisions.from_table(…, covariates="
            f"{needed!r})."
        )
    constant = [v for v in needed if people[v].nunique() < 2]
    if constant:
        raise InputError(
            f"{decisions.source}: {', '.join(constant)} is the same for every participant, so nothing can "
            "depend on it: leave it out of the covariates."
        )
    levels = math.prod(people[v].nunique() for v in needed if not pd.api.types.is_numeric_dtype(people[v]))
    if levels > _MOST_COLUMNS and set(formula) & set(":*"):
        raise InputError(
            f"covariates={formula!r} may have {levels:,} columns, one for each combination of labels: join them by +, "
            "or put labels together."
        )
    try:
        matrix: Any = model_matrix(formula, people, context={}, na_action="raise")
    except Exception as error:  # noqa: BLE001 - whatever formulaic makes of a formula and its columns
        reason = " ".join(_COLOUR.sub("", str(error)).split()).rstrip(".")
        raise InputError(
            f"covariates={formula!r} cannot be computed from {', '.join(needed)} ({reason}): use log, center and scale "
            "for numbers and C for groups, or compute it as a column of the table."
        ) from None
    if "Intercept" in matrix:
        matrix = matrix.drop(columns="Intercept")
    values = np.asarray(matrix, float)
    if values.shape[1] == 0:
        raise InputError(f'covariates={formula!r} names no covariate: write for example "~ treatment + age".')
    values = values - values.mean(axis=0)
    if np.linalg.matrix_rank(values) < values.shape[1]:
        raise InputError(
            f"covariates={formula!r}: the columns {', '.join(matrix.columns)} are not independent of each other, so "
            "their effects are not identified: leave one out."
        )
    return Covariates(tuple(map(str, matrix.columns)), values, values.std(axis=0))


def read_groups(name: str, decisions: Decisions) -> tuple[tuple[str, ...], Int[np.ndarray, " participants"]]:
    """(labels, the group of each participant): by "group", "game" or a covariate read with the decisions."""
    participants = decisions.levels("participant")
    if decisions.people is not None and name in decisions.people:
        column = decisions.people[name].astype(str)
        labels = tuple(sorted(set(column)))
        return labels, np.array([labels.index(x) for x in column])
    if name not in ("group", "game"):
        raise InputError(
            f"groups={name!r}: {decisions.source} was read without that column: give Decisions.from_table(…, "
            f'covariates=[{name!r}]), or group by "group" or "game".'
        )
    labels = decisions.levels(name)
    pairs = decisions.cells[["participant_index", f"{name}_index"]].drop_duplicates().to_numpy()
    several = np.flatnonzero(np.bincount(pairs[:, 0], minlength=len(participants)) > 1)
    if len(several):
        some = ", ".join(participants[i] for i in several[:5]) + (" and more" if len(several) > 5 else "")
        raise InputError(
            f"groups={name!r}: {some} took part in more than one {name}, so a {name} is not a group of people."
        )
    return labels, pairs[np.argsort(pairs[:, 0]), 1]
