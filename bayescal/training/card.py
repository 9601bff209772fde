"""A model's card: what it answers for and how well, in words, made from what was measured."""

from typing import Any


def write_card(title: str, about: str, facts: dict[str, Any], certificate: dict[str, Any]) -> str:
    """Markdown. `facts` are those of policy.json."""
    policy, made = facts["policy"], facts["provenance"]
    lines = [f"# {title}", "", about, "", "## Answers for", "", "| | from | to |", "|---|---|---|"]
    lines += [f"| {name} | {low:g} | {high:g} |" for name, (low, high) in policy["domain"].items()]
    games = ", ".join(certificate["games"])
    population = "costs that everybody knows"
    if policy["population"] is not None:
        population = f"private costs, {policy['population']['class'].rsplit('.', 1)[1]} population"
    lines += [
        "",
        f"Prior: {policy['prior']['class'].rsplit('.', 1)[1]}; {population}. Values outside are "
        "refused, not extrapolated.",
        "",
        "## Measured",
        "",
        "No exact policy of this game is known: the policy is measured against itself, in games that it plays."
        if certificate["oracle"] is None
        else f"Against the {certificate['oracle']}, at {certificate['points_solved']} points of the box (drawn evenly; "
        f"{certificate['points'] - certificate['points_solved']} more could not be solved) and "
        f"{certificate['corners_solved']} of {certificate['corners']} corners; games: {games}.",
        "",
        "| | mean | median | 95% | max |",
        "|---|---|---|---|---|",
    ]
    rows = {
        "KL(exact, learned), nats": "kl",
        "the same in the worst decision of a run": "worst_decision_kl",
        "total variation": "total_variation",
        "KL at the corners": "corner_kl",
        "total variation at the corners": "corner_total_variation",
        "nats lost per decision": "nats_per_decision",
        "gain of a best reply, share of the payoffs' spread": "soft_exploitability",
        "Bellman residual, share of the payoffs' spread": "bellman_residual",
        "KL between seeds": "ensemble_disagreement_kl",
    }
    for text, key in rows.items():
        if figures := certificate.get(key):
            lines.append(
                f"| {text} | " + " | ".join(f"{figures[c]:.2g}" for c in ("mean", "median", "q95", "max")) + " |"
            )
    if gain := certificate.get("best_reply_gain"):
        lines += [
            "",
            f"A best reply trained against the policy gains {gain['mean']:.2g} ± {gain['standard error']:.1g} of the "
            "stakes a game.",
        ]
    budgets = certificate.get("decisions_below_a_tenth_of_sd", {})
    lines += budgets and [
        "",
        "The network's error moves a parameter by less than a tenth of its posterior sd while a data set from one "
        "point of the box has at most this many decisions:",
        "",
        "| parameter | median point | worst 5% of points | relative error of the score |",
        "|---|---|---|---|",
    ]
    for name, budget in budgets.items():
        slope = certificate.get("slope_of_log_probability", {}).get(name)
        error = f"{slope['relative error']:.1%}" if slope else ""
        lines.append(f"| {name} | {budget['median']:,.0f} | {budget['worst 5%']:,.0f} | {error} |")
    trainer = made["trainer"]
    settings = ", ".join(f"{n} {x}" for n, x in trainer.items() if isinstance(x, bool | int | float) and n != "seed")
    versions = ", ".join(f"{n} {v}" for n, v in made["versions"].items())
    lines += [
        "",
        "## Made",
        "",
        f"{trainer['trainer']} ({settings}), seed {made['seed']}: {made['seconds_training']:g} s and "
        f"{made['seconds_compiling']:g} s of compilation. {versions}.",
        "",
        f"Weights {facts['weights_sha256'][:16]}…, game {facts['environment_hash'][:16]}….",
        "",
    ]
    return "\n".join(lines)
