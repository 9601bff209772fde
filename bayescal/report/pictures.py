"""Which figures a report has, drawn."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from bayescal.comparison.compare import Comparison
from bayescal.diagnostics.check import Checks
from bayescal.environments.base import Environment, shape_key
from bayescal.policies.rational import RationalPolicy
from bayescal.posterior.fit import Fit
from bayescal.report import check_figures, figures, rival_figures, tables
from bayescal.report.labels import labels_of
from bayescal.report.picture import Picture, draw
from bayescal.report.priors import prior_picture
from bayescal.report.verdict import pooled_fit
from bayescal.study.load import Study


@dataclass(frozen=True)
class Pictures:
    """The figures that can be drawn.

    Attributes:
        by_name: the figures.
        who: what the figure "who" shows, as a sentence; empty where it is not drawn.
    """

    by_name: Mapping[str, Picture]
    who: str


def draw_all(
    study: Study | None,
    fits: Mapping[str, Fit],
    main: str,
    people: str | None,
    comparison: Comparison | None,
    checks: Mapping[str, Checks],
    units: str,
) -> Pictures:
    """
    Args:
        main: the fit that the report is mainly about.
        people: the fit whose people are shown.
        units: of payoffs.
    """
    drawn: dict[str, tuple[Figure | None, str]] = {}
    who = ""
    if comparison is not None:
        drawn["advantages"] = (
            rival_figures.advantages(comparison),
            f"How far models are behind the best. {comparison.verdict}",
        )
        drawn["ingredients"] = (
            rival_figures.ingredients(comparison),
            "What each ingredient is worth out of sample; the numbers are in the table below.",
        )
        if (leads := rival_figures.leads(comparison)) is not None:
            picture, who = leads
            drawn["who"] = (picture, f"By how much each is better predicted. {who}")
        drawn["calibration"] = (
            rival_figures.calibration(comparison),
            "Shares of actions taken, by their predicted probability.",
        )
    if people is not None:
        pooled = pooled_fit(fits)
        drawn["population"] = (
            figures.population_of_costs(fits[people], units),
            "The density of costs in the population.",
        )
        drawn["cost"] = (
            figures.cost_forest(fits[people], fits[pooled] if pooled else None, units),
            "Each one's cost with its 90% interval; the numbers are in the table below.",
        )
    if main in checks:
        table = tables.predictive(checks[main])
        drawn["predictive"] = (
            check_figures.predictive(table) if len(table) else None,
            "Statistics of the data beside those of replications; the numbers are in the table below.",
        )
        drawn["pit"] = (
            check_figures.pit(checks[main].pit),
            "The ECDF of the PIT minus that of a uniform distribution, with its band.",
        )
    drawn["choices"] = (_choices(study, fits[main]), "What was chosen, beside what the fitted model predicts.")
    drawn["beliefs"] = (
        prior_picture(fits[main], units=units, actions=None if study is None else labels_of(study.environments))
        if "prior" in fits[main].tree.children
        else None,
        "Parameters before and after the data, and choices that the assumptions alone predict.",
    )
    by_name = {name: draw(name, figure, alt) for name, (figure, alt) in drawn.items() if figure is not None}
    return Pictures(by_name, who)


def _choices(study: Study | None, fit: Fit) -> Figure | None:
    """What people did beside what was predicted of them."""
    if "posterior_predictive" not in fit.tree.children:
        return None
    if "choices" in fit.tree["observed_data"]:
        people = "cell_participant" in fit.tree["constant_data"]  # whose cells are not those of the decisions
        nash = None if people or study is None else rational_play(study)
        return figures.observed_and_predicted(fit, nash, None if study is None else labels_of(study.environments))
    if study is None or "choice" not in fit.tree["observed_data"]:
        return None
    game = next(iter(study.decisions.environments.values()))
    return figures.play_and_predicted(fit, np.asarray(game.action_values[0]), game.action_labels[0], game.ordered)


def rational_play(study: Study) -> Float[np.ndarray, "cells actions"] | None:
    """Each cell's strategy at a cost near zero (a Nash equilibrium), or None where one is not found."""
    decisions = study.decisions
    first: dict[Hashable, Environment] = {}  # games of one shape share a compiled solver
    strategies = []
    for game in decisions.environments.values():
        nash = RationalPolicy(first.setdefault(shape_key(game), game))
        strategies.append(np.asarray(nash.probabilities(game.params)))
    out = np.full(decisions.counts.shape, np.nan)
    for cell, (g, r) in enumerate(zip(decisions.cells["game_index"], decisions.cells["role_index"], strict=True)):
        out[cell, : strategies[g].shape[1]] = strategies[g][r]
    return None if np.isnan(out[decisions.mask]).any() else out
