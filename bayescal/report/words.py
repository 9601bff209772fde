"""What a reader who has not read the papers needs to be told: the models, their formulae, and a few words."""

from collections.abc import Mapping
from typing import Any

from bayescal.comparison.rivals import RIVALS
from bayescal.posterior.psis import K_HAT
from bayescal.posterior.status import ESS, R_HAT


def explained(name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """A model in words and formula, with what was assumed of its numbers before the data."""
    words, shown = (RIVALS[name].description, RIVALS[name].formulas) if name in RIVALS else ("", ())
    return {
        "name": name,
        "words": words,
        "formulas": shown,
        "built": provenance.get("model", ""),
        "hyperpriors": provenance.get("hyperpriors", {}),
        "notes": provenance.get("notes", []),
    }


def glossary(units: str, *, compared: bool) -> list[tuple[str, str]]:
    words = [
        ("cost (λ)", f"The price of information, in {units} per nat. A cost near zero is rational play; a very large "
         "one is habit alone. It is a price, not a budget: at a high price little is bought."),
        ("nat", "A unit of information. To tell two equally likely actions apart takes 0.69 nats (one bit). Of a "
         "comparison: a model that is 1 nat better gave what people did 2.7 times the probability."),
        ("prior (q)", "What a person falls back on without thinking: the habit that it costs information to leave."),
        ("precision", "1/λ: how sharply people tell good from bad actions, as in quantal response equilibrium."),
        ("hyperprior", "What was assumed of a number of the model before the data were seen."),
        ("90% interval", "Given the model and the data, the number lies in it with probability 90%."),
        ("R-hat, ESS", f"Whether the sampler has converged: independent chains agree where R-hat is below {R_HAT}; ESS "
         f"is how many independent draws the draws are worth, and {ESS} are wanted."),
    ]  # fmt: skip
    if compared:
        words += [
            ("out of sample", "How well each unit (a person, a group or a game) is predicted by a fit to all others: "
             "the sum of log probabilities, in nats. What fits only because it has many numbers does not win here."),
            ("weight", "Of stacking: the mixture of models that predicts best out of sample gives each this share."),
            ("k-hat", f"Whether leaving a unit out can be had by reweighting the draws (PSIS): above {K_HAT} it "
             "cannot, and draws are made anew without that unit."),
            ("noise floor", "What nobody can beat who does not know who decides: people in the same situation differ "
             "by so much."),
        ]  # fmt: skip
    return words


def question(decisions: int, *, compared: bool) -> str:
    if compared:
        return f"Which explanation of these {decisions:,} decisions predicts best what it has not seen?"
    return f"What did information cost the people who made these {decisions:,} decisions?"
