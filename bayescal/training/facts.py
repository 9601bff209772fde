"""What the JSON files of a learned policy must hold: policy.json and certificate.json."""

from enum import StrEnum

from bayescal import schema


class Verdict(StrEnum):
    """PASS: a gain above the limit is ruled out. FAIL: there is one, or values are shown to be wrong. UNDECIDED:
    neither could be shown, or no reply was found."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


FIGURES = (
    "kl", "worst_decision_kl", "total_variation", "corner_kl", "corner_total_variation", "nats_per_decision",
    "soft_exploitability", "bellman_residual", "ensemble_disagreement_kl",
)  # fmt: skip

_SPREAD = schema.either(
    "mean, median, q95 and max",
    schema.record(dict.fromkeys(("mean", "median", "q95", "max"), schema.number)),
    schema.record({}),  # of nothing
)
_SLOPE = schema.record(dict.fromkeys(("relative error", "q95 error"), schema.number))
_BUDGET = schema.record(dict.fromkeys(("median", "worst 5%"), schema.number))
_MEASURED_ONCE = schema.record(dict.fromkeys(("mean", "standard error"), schema.number))
_SDS = schema.record(dict.fromkeys(("median", "q95"), schema.number))
_VERDICTS = tuple(verdict.value for verdict in Verdict)
_CELL = {
    **dict.fromkeys(("role", "at", "reply"), schema.text),
    **dict.fromkeys(("cost", "information", "p"), schema.number),
    **dict.fromkeys(("gain", "scale", "played"), _MEASURED_ONCE),
    "sds": schema.map_of(schema.number),
}
_IN_PLAY = {
    "verdict": schema.one_of(_VERDICTS),
    "limit": schema.number,
    "cells": schema.list_of(schema.record({**_CELL, "verdict": schema.one_of(_VERDICTS)})),
}
_MEASURED = {
    **dict.fromkeys(FIGURES, _SPREAD),
    **dict.fromkeys(("points_solved", "corners", "corners_solved"), schema.count),
    "slope_of_log_probability": schema.map_of(_SLOPE),
    "decisions_below_a_tenth_of_sd": schema.map_of(_BUDGET),
    **_IN_PLAY,
    "best_reply_nats": schema.map_of(schema.map_of(_SPREAD)),  # by own cost, inside the domain and at its corners
    "bias_in_sds_at_1000_decisions": schema.map_of(_SDS),
    "bias_limit": schema.number,
    "best_reply_gain": _MEASURED_ONCE,  # of earlier versions, whose test could hardly fail
}
_COMPARED = schema.record(
    dict.fromkeys(("points_solved", "corners", "corners_solved", "kl", "total_variation", "corner_kl",
                   "decisions_below_a_tenth_of_sd"), schema.anything),
    others=True,
)  # fmt: skip
_MEASUREMENT = {"oracle": schema.maybe(schema.text), "games": schema.list_of(schema.text), "points": schema.count}


def certificate_of_fit(value: object, place: str) -> schema.Faults:
    """What a fit keeps of the certificate of its policy. Fits of earlier versions have none of `_IN_PLAY`."""
    yield from schema.record(_MEASUREMENT, _MEASURED, others=True)(value, place)
    if isinstance(value, dict) and value.get("oracle") is not None:  # measured against an exact policy
        yield from _COMPARED(value, place)


def kept_cells(value: object, place: str) -> schema.Faults:
    """What an interrupted certificate has measured so far."""
    fields = {"format": schema.whole, "identity": schema.text, "seed": schema.whole, "settings": schema.section}
    yield from schema.record({**fields, "cells": schema.list_of(schema.record(_CELL))})(value, place)


def certificate(value: object, place: str) -> schema.Faults:
    """The content of certificate.json."""
    own = {"title": schema.text, "weights_sha256": schema.sha256, "environment_hash": schema.sha256}
    yield from schema.record({**own, "seconds": schema.number, **_MEASUREMENT}, _MEASURED)(value, place)
    if isinstance(value, dict) and value.get("oracle") is not None:
        yield from _COMPARED(value, place)
    elif isinstance(value, dict) and "best_reply_gain" not in value:  # measured in play
        yield from schema.record(dict.fromkeys(_IN_PLAY, schema.anything), others=True)(value, place)
