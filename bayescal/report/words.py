"""What a reader who has not read the papers needs to know: the models, their formulas, and a glossary."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from bayescal.comparison.rivals import RIVALS
from bayescal.posterior.convergence import ESS, R_HAT
from bayescal.posterior.psis import K_HAT
from bayescal.report.meaning import meaning_of


@dataclass(frozen=True)
class Explained:
    """A model for the reader.

    Attributes:
        words, formulas: of the rival model; empty for other models.
        built: the model as it was fitted, in one sentence.
        hyperpriors: by site, in words.
    """

    name: str
    words: str
    formulas: tuple[Markup, ...]
    built: str
    hyperpriors: Mapping[str, str]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, name: str, provenance: Mapping[str, Any]) -> "Explained":
        words, shown = (RIVALS[name].description, RIVALS[name].formulas) if name in RIVALS else ("", ())
        return cls(
            name=name,
            words=words,
            formulas=shown,
            built=provenance.get("model", ""),
            hyperpriors=provenance.get("hyperpriors", {}),
            notes=tuple(provenance.get("notes", ())),
        )


def glossary(units: str, *, compared: bool) -> list[tuple[str, str]]:
    words = [
        ("cost (λ)", f"The price of information, in {units} per nat. A cost near zero is rational play; a very large "
         "cost is habit alone. It is a price, not a budget: at a high price people buy little information. For "
         f"example, {meaning_of(0.8, units)} (1 / (1 + exp(−1/0.8))), where there is no habit for either."),
        ("nat", "A unit of information. To tell two equally likely actions apart takes 0.69 nats (one bit). In a "
         "comparison, a model that is 1 nat better gave the observed decisions 2.7 times the probability."),
        ("habit (q)", "The default choice distribution: what a person does without processing information. Departing "
         "from it costs information. In the code it is called the prior."),
        ("precision", "1/λ: how sharply people distinguish good from bad actions, as in quantal response equilibrium."),
        ("hyperprior", "What was assumed about a parameter of the model before seeing the data."),
        ("90% interval", "A credible interval: given the model and the data, the parameter lies in it with probability "
         "90%."),
        ("R-hat, ESS", "Convergence of the sampler. R-hat compares independent chains, which agree if it is below "
         f"{R_HAT}, or a little above where the largest of many is looked at. ESS, the effective sample size, is "
         f"how many independent draws the draws are worth; it should be at least {ESS}."),
    ]  # fmt: skip
    if compared:
        words += [
            ("out of sample", "Each unit (a person, a group or a game) is predicted by a fit to all the others; log "
             "probabilities are summed, in nats. Additional parameters alone do not help a model here."),
            ("weight", "Stacking weight: the mixture of models that predicts best out of sample gives each model this "
             "share."),
            ("k-hat", "Whether a unit can be left out by reweighting the draws (PSIS). Above "
             f"{K_HAT}, or a little less of few draws, it cannot, and the model is fitted again without that unit."),
            ("noise floor", "The best that a model without knowledge of who decides can do, estimated from the "
             "entropy of what was done in each situation. It is limited because people in the same situation differ."),
        ]  # fmt: skip
    return words


def question(decisions: int, *, compared: bool) -> str:
    if compared:
        return f"Which model predicts these {decisions:,} decisions best out of sample?"
    return f"What did information cost the people who made these {decisions:,} decisions?"
