"""What a reader who has not read the papers needs to be told: the models, their formulae, and a few words."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from bayescal.posterior.psis import K_HAT
from bayescal.posterior.status import ESS, R_HAT
from bayescal.report import formulas

MODELS: dict[str, tuple[str, tuple[Markup, ...]]] = {
    "prior only": (
        "People do what they are used to, whatever it pays: every action comes from the prior.",
        (formulas.formula("π(a|o)=q(a|o)"),),
    ),
    "rational": (
        "Everybody plays the equilibrium, or what is best where nobody else is met, save for lapses: with "
        "probability ε a decision is any action, all alike.",
        (formulas.LAPSE,),
    ),
    "plain RL": (
        "What a learning machine arrives at that pays nothing for information: the learned policy at the smallest cost "
        "that it was trained for, with lapses.",
        (formulas.LAPSE,),
    ),
    "common cost": (
        "Everybody pays the same price λ for information and falls back on all actions alike. In a game of one round "
        "this is the logit quantal response equilibrium of precision 1/λ.",
        (),
    ),
    "different costs": (
        "People differ in what information costs them: log costs are normally distributed, and the prior is uniform.",
        (formulas.POPULATION,),
    ),
    "different costs, inferred prior": (
        "People differ in what information costs them, and depart from habits whose strength ψ is inferred as well.",
        (formulas.POPULATION,),
    ),
    "level-k": (
        "A person of level k plays the best reply to level k − 1; level 0 plays any action. Levels are people's own "
        "and are summed out; there are lapses.",
        (formulas.REPLY, formulas.LAPSE),
    ),
    "cognitive hierarchy": (
        "A person of level k replies, with noise, to a Poisson mixture of all lower levels. Levels are people's own "
        "and are summed out.",
        (formulas.HIERARCHY,),
    ),
    "GR2-L": (
        "A person of level k imagines what a person of level k − 1 does, again and again, and replies softly to each "
        "imagined action; the replies are averaged.",
        (formulas.GR2_L,),
    ),
    "GR2-M": (
        "As GR2-L, but those imagined are a Poisson mixture of all lower levels.",
        (formulas.GR2_M,),
    ),
}  # fmt: skip


def explained(name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """A model in words and formula, with what was assumed of its numbers before the data."""
    words, shown = MODELS.get(name, ("", ()))
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
