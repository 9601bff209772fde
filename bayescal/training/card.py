"""A model's card: its trained domain and what its certificate measured, in words."""

from collections.abc import Mapping
from typing import Any

FIGURES = {  # keys of a certificate, and their titles on a card
    "kl": "KL(exact, learned), nats",
    "worst_decision_kl": "the same in the worst decision of a run",
    "total_variation": "total variation",
    "corner_kl": "KL at the corners",
    "corner_total_variation": "total variation at the corners",
    "nats_per_decision": "nats lost per decision",
    "soft_exploitability": "gain of a best reply, share of the payoffs' spread",
    "bellman_residual": "Bellman residual, share of the payoffs' spread",
    "ensemble_disagreement_kl": "KL between seeds",
}


def write_card(title: str, about: str, facts: Mapping[str, Any], certificate: Mapping[str, Any]) -> str:
    """The card in Markdown.

    Args:
        facts: those of policy.json.
        certificate: that of certificate.json.
    """
    sections = [
        [f"# {title}", "", about],
        trained_domain(facts["policy"]),
        measured(certificate),
        budgets(certificate),
        how_it_was_made(facts),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def trained_domain(policy: Mapping[str, Any]) -> list[str]:
    rows = [f"| {name} | {low:g} | {high:g} |" for name, (low, high) in policy["domain"].items()]
    costs = "costs that everybody knows"
    if policy["population"] is not None:
        costs = f"private costs from a {class_name(policy['population'])} population"
    return [
        "## Trained domain",
        "",
        "| parameter | from | to |",
        "|---|---|---|",
        *rows,
        "",
        f"Habit: {class_name(policy['prior'])}; {costs}. Values outside the domain are refused.",
    ]


def measured(certificate: Mapping[str, Any]) -> list[str]:
    rows = []
    for key, text in FIGURES.items():
        if figures := certificate.get(key):
            numbers = " | ".join(f"{figures[c]:.2g}" for c in ("mean", "median", "q95", "max"))
            rows.append(f"| {text} | {numbers} |")
    if rows:
        table = ["", "| | mean | median | 95% | max |", "|---|---|---|---|---|", *rows]
    return ["## Measured", "", how_it_was_measured(certificate), *(table if rows else []), *in_play(certificate)]


def in_play(certificate: Mapping[str, Any]) -> list[str]:
    """The verdict on a policy that has no exact one to be compared with, and the table behind it."""
    if "cells" not in certificate:
        return exact_replies(certificate)
    shown = lambda x: f"{x['mean']:.2g} ± {x['standard error']:.1g}"
    rows = [
        f"| {c['role']} | {c['cost']:.3g} | {c['at']} | {shown(c['gain'])} | {c['reply']}: {shown(c['played'])} | "
        f"{shown(c['scale'])} | {c['p']:.1g} | {c['sds']['1000']:.2g} | {c['verdict']} |"
        for c in certificate["cells"]
    ]
    return [
        "",
        f"**Verdict: {certificate['verdict']}** (at most {certificate['limit']:g} nats a decision may be gained).",
        "",
        "Gain: what somebody gains who sees what the player sees and deviates once, a lower bound. Best reply: the "
        "best of this game's rules of thumb and a fitted reply, played in games that it was not chosen by; one that "
        "loses was not found. Scale: by which share the values are too small. p: of first-order tests that the "
        "values are right. Bias: of log cost through the error of scale, in posterior sds at 1,000 decisions. Gains "
        "are in nats a decision, ± a standard error.",
        "",
        "| role | cost | at | gain | best reply | scale | p | bias | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def exact_replies(certificate: Mapping[str, Any]) -> list[str]:
    """What the exact best reply to a policy gains, by own cost."""
    found = certificate.get("best_reply_nats", {})
    if not found:
        return []
    number = lambda spread, name: f"{spread[name]:.2g}" if spread else "–"
    rows = [
        f"| {cost} | {number(g['inside'], 'mean')} | {number(g['inside'], 'q95')} | {number(g['inside'], 'max')} | "
        f"{number(g['corners'], 'max')} |"
        for cost, g in found.items()
    ]
    bias = [f"{n}: {b['median']:.2g} ({b['q95']:.2g})" for n, b in certificate["bias_in_sds_at_1000_decisions"].items()]
    return [
        "",
        f"**Verdict: {certificate['verdict']}** (at most {certificate['limit']:g} nats a decision may be gained, and a "
        f"parameter be off by {certificate['bias_limit']:g} posterior sds after 1,000 decisions, in 95 % of the "
        "domain).",
        "",
        "What an exact best reply to the policy gains, in nats a decision:",
        "",
        "| own cost | mean | 95% | max | worst corner |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Bias after 1,000 decisions in posterior sds, median (95 %): {'; '.join(bias)}.",
    ]


def how_it_was_measured(certificate: Mapping[str, Any]) -> str:
    if certificate["oracle"] is None:
        return "This game has no exact policy here, so the policy is measured in games that it plays with itself."
    solved, points = certificate["points_solved"], certificate["points"]
    unsolved = f"; {points - solved} more could not be solved" if points > solved else ""
    return (
        f"Compared with the {certificate['oracle']}, at {solved} points drawn evenly from the trained domain"
        f"{unsolved}, and at {certificate['corners_solved']} of {certificate['corners']} corners. "
        f"Games: {'; '.join(certificate['games'])}."
    )


def budgets(certificate: Mapping[str, Any]) -> list[str]:
    decisions = certificate.get("decisions_below_a_tenth_of_sd", {})
    rows = []
    for name, most in decisions.items():
        slope = certificate.get("slope_of_log_probability", {}).get(name)
        error = f"{slope['relative error']:.1%}" if slope else ""
        rows.append(f"| {name} | {most['median']:,.0f} | {most['worst 5%']:,.0f} | {error} |")
    return rows and [
        "The network's error moves a parameter by less than a tenth of its posterior sd up to this many decisions in a "
        "data set from one point of the domain:",
        "",
        "| parameter | median point | worst 5% of points | relative error of the score |",
        "|---|---|---|---|",
        *rows,
    ]


def how_it_was_made(facts: Mapping[str, Any]) -> list[str]:
    made = {"trainer": {"trainer": "Trainer"}, "seed": "–", "seconds_training": 0.0, "seconds_compiling": 0.0,
            "versions": {}} | facts["provenance"]  # fmt: skip
    trainer = made["trainer"]
    settings = ", ".join(f"{n} {x}" for n, x in trainer.items() if isinstance(x, bool | int | float) and n != "seed")
    versions = ", ".join(f"{n} {v}" for n, v in made["versions"].items())
    return [
        "## Made",
        "",
        f"{trainer['trainer']} ({settings}), seed {made['seed']}: {made['seconds_training']:g} s of training and "
        f"{made['seconds_compiling']:g} s of compilation. {versions}.",
        "",
        f"Weights {facts['weights_sha256'][:16]}…, game {facts['environment_hash'][:16]}….",
    ]


def class_name(described: Mapping[str, Any]) -> str:
    """The name of the class of a prior or population in policy.json."""
    return described["class"].rsplit(".", 1)[1]
