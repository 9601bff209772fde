"""Laws that every rival model obeys. A rival is tested here as soon as it is registered.

Each law takes a model (or a rival) and raises AssertionError where it is broken; at the end of the file every law is
shown a rival that breaks it.
"""

import contextlib
import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpyro import handlers

import bayescal as bc
from bayescal.cli import main
from bayescal.comparison.rivals import RIVALS, Field, NotApplicable, Rival, build_rivals
from bayescal.comparison.rivals.base import LAPSES, lapse_hyperprior
from bayescal.environments.base import Environment
from bayescal.environments.newsvendor import Newsvendor
from bayescal.likelihood.choices import Choices
from bayescal.likelihood.one_shot import OneShotCommon
from bayescal.policies.base import Policy
from bayescal.precision import double_precision
from bayescal.study.load import Study

GAME = bc.VolunteersDilemma(4)  # of three players, being rational and being on any level is a coin flip
TIMES = 3  # decisions of each person
WAYS = np.array([1, 3, 3, 1])  # orders in which somebody can volunteer 0 to 3 times
SEEDS = 3  # draws from the hyperpriors
PLAYS = 200  # simulations at each of them


def everything(names=("a", "b", "c", "d"), games=1):
    """A study with one person for each number of times that somebody can volunteer, in each of some games."""
    rows = [
        {
            "game": f"game {g}",
            "group": f"group {g}",
            "participant": f"{g}{name}",
            "action": "volunteer" if t < k else "wait",
        }
        for g in range(games)
        for k, name in enumerate(names)
        for t in range(TIMES)
    ]
    played = {f"game {g}": GAME for g in range(games)}
    decisions = bc.Decisions.from_table(pd.DataFrame(rows), played)
    return Study("everything", "Everything that a person can do", decisions, played)


@cache
def untrained():
    """A learned policy, for rivals that need one."""
    return bc.AmortisedPolicy(GAME, {"cost": (0.5, 5.0)}, width=4, depth=1)


def build(rival, names=("a", "b", "c", "d")):
    """The model of a rival; with a learned policy or two games if it needs them."""
    fields = (Field.of(everything(names)), Field.of(everything(names), untrained()), Field.of(everything(names, 2)))
    for field in fields:
        with contextlib.suppress(NotApplicable):
            return rival.build(field)
    raise AssertionError(f"{rival.name} applies to none of the studies")


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A model at draws from its hyperpriors.

    Attributes:
        log_likelihood: of each person, (draws, people).
        probabilities: of the actions, (draws, plays, people, actions), for levels and costs drawn anew in each play.
        played: simulated choices, of the same shape.
    """

    log_likelihood: np.ndarray
    probabilities: np.ndarray
    played: np.ndarray


def on_draws(of_draw):
    """A function of a key, at the keys of all draws from the hyperpriors."""
    with double_precision():
        run = jax.jit(lambda keys: jax.lax.map(of_draw, keys))
        return jax.tree.map(np.asarray, run(jax.random.split(jax.random.key(7), SEEDS)))


def of_people(traced):
    """The log-likelihood of each person, who has one row of counts where nothing is integrated out."""
    if "decisions" in traced:
        return traced["decisions"]["fn"].log_prob(0.0)
    return traced["choices"]["fn"].log_prob(traced["choices"]["value"])


def log_likelihood(model):
    return on_draws(lambda key: of_people(handlers.trace(handlers.seed(model, key)).get_trace()))


def evaluate(model):
    whole = model.evaluated or model

    def of_draw(key):
        traced = handlers.trace(handlers.seed(model, key)).get_trace()
        latent = {n: s["value"] for n, s in traced.items() if s["type"] == "sample" and not s["is_observed"]}

        def play(key):
            sites = handlers.trace(handlers.seed(handlers.substitute(whole, data=latent), key)).get_trace()
            choices = sites["choices"]["fn"]
            return choices.log_probs, jnp.broadcast_to(choices.totals, choices.batch_shape)

        return of_people(traced), *jax.lax.map(play, jax.random.split(key, PLAYS))

    log_likelihood, log_probs, totals = on_draws(of_draw)
    played = Choices(log_probs, totals).draw(np.random.default_rng(7))  # as a fit draws replicates
    return Evaluated(log_likelihood, np.exp(log_probs), played)


@cache
def evaluated(name):
    return evaluate(build(RIVALS[name]))


# --- The laws -------------------------------------------------------------------------------------------------------


def probabilities_add_up(found):
    assert np.all(found.probabilities >= 0)
    np.testing.assert_allclose(found.probabilities.sum(axis=-1), 1, rtol=1e-10)


def likelihood_is_finite(found):
    """At draws from the hyperpriors: else no sampler can start."""
    assert np.isfinite(found.log_likelihood).all()


def likelihoods_add_up(found):
    """Over all that a person can do: a brute-force check of what is summed or integrated out."""
    # Integrals over costs are exact to about 1e-5 (bayescal/likelihood/marginal.py).
    by_game = np.exp(found.log_likelihood).reshape(SEEDS, -1, TIMES + 1)
    np.testing.assert_allclose(by_game.sum(axis=-1), 1, rtol=5e-5)


def simulated_play_has_the_likelihood(found):
    """Frequencies of simulated play are those of the likelihood, in which types and costs are integrated out."""
    expected = np.exp(found.log_likelihood).reshape(SEEDS, -1, TIMES + 1)
    times = found.played[..., 0].reshape(SEEDS, PLAYS, *expected.shape[1:])  # that each simulated person volunteered
    frequency = np.stack([(times == k).mean(axis=(1, 3)) for k in range(TIMES + 1)], axis=-1)
    error = np.sqrt(expected * (1 - expected) / (PLAYS * (TIMES + 1)))
    # Twelve comparisons for each of a dozen rivals: 4.5 standard errors are exceeded by chance once in a thousand runs.
    assert np.all(np.abs(frequency - expected) <= 4.5 * error + 1e-6)


def names_do_not_matter(rival, under_other_names):
    """People under other names, in another order, have the same likelihoods.

    Args:
        under_other_names: log-likelihoods of the people "a" to "d".
    """
    names = "wzyx"
    order = np.argsort(list(names))  # participants are in the order of their names, game by game
    expected = under_other_names.reshape(SEEDS, -1, TIMES + 1)[..., order].reshape(under_other_names.shape)
    np.testing.assert_allclose(log_likelihood(build(rival, names)), expected, rtol=1e-8, atol=1e-8)


def describes_itself(rival):
    """One or two sentences for the report, and formulas as MathML."""
    assert rival.description[0].isupper() and rival.description.endswith(".")
    assert all(str(formula).startswith("<math") for formula in rival.formulas)


def reason_is_a_clause(name, reason):
    """It reads well in "Not applicable: NAME (REASON)." and does not repeat the name."""
    assert len(reason.split()) >= 4 and "\n" not in reason
    assert not reason.endswith(".") and not reason.startswith(f"{name}:")


# --- On every rival -------------------------------------------------------------------------------------------------

# Their builders are those of rivals that are tested here, with another habit or another pooling.
VARIANTS = {
    "logit without payoffs", "logit without payoffs, people differ", "logit without payoffs, by game", "random play",
    "common cost, inferred prior", "common cost, by game, inferred prior", "different costs, by game, inferred prior",
    "different costs, by group, inferred prior", "level-k, inferred prior", "cognitive hierarchy, inferred prior",
    "GR2-L, inferred prior", "GR2-M, inferred prior",
}  # fmt: skip
# Slow to compile, and compared with brute force in tests/reference (test_nulls, test_other_equilibria).
COMPARED = {"common cost, by game", "impulse balance", "Luce", "noisy introspection"}
SLOW = {"different costs, by group", "cognitive hierarchy, different costs", "payoff sampling", "quantal level-k"}
every_rival = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in SLOW else []) for n in RIVALS if n not in VARIANTS | COMPARED],
)


@every_rival
@pytest.mark.parametrize(
    "law", [probabilities_add_up, likelihood_is_finite, likelihoods_add_up, simulated_play_has_the_likelihood]
)
def test_laws_of_the_model(name, law):
    law(evaluated(name))


# Names are a matter of how decisions are read and added up: one rival for each way.
@pytest.mark.parametrize("name", ["choice shares", "common cost", "different costs", "level-k", "GR2-M"])
def test_names_do_not_matter(name):
    names_do_not_matter(RIVALS[name], evaluated(name).log_likelihood)


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_describes_itself(name):
    assert RIVALS[name].name == name
    describes_itself(RIVALS[name])


@pytest.mark.parametrize("game", ["over time", "dominated", "matrix"])
def test_a_rival_that_does_not_apply_says_why(game, monkeypatch):
    # Nothing is solved before it is needed, and nobody asks which nodes of cost are close enough.
    monkeypatch.setattr(OneShotCommon, "_solve_now", lambda self: self)
    monkeypatch.setattr("bayescal.model.integrated.close_enough", lambda people, likelihood, hyperpriors, nodes: nodes)
    games = {
        "over time": Newsvendor(discount=0.0, rounds=2, orders=range(0, 101, 10)),
        "dominated": bc.PublicGoods(4, contributions=(0, 5, 20)),
        "matrix": matrix(),
    }
    rows = {
        "over time": {"participant": "a", "round": 1, "action": 50, "demand": 50},
        "dominated": {"participant": "a", "action": 5},
        "matrix": {"participant": "a", "role": "player 1", "action": "0"},
    }
    decisions = bc.Decisions.from_table(pd.DataFrame([rows[game]]), {"game": games[game]})
    field = Field.of(Study("small", "Small", decisions, {"game": games[game]}))
    reasons = {}
    for name in set(RIVALS) - SLOW - VARIANTS - COMPARED:
        try:
            RIVALS[name].build(field)
        except NotApplicable as reason:
            reasons[name] = str(reason)
    assert reasons
    for name, reason in reasons.items():
        reason_is_a_clause(name, reason)


def matrix():
    """A game whose actions are names without a meaning, so that there is no habit to infer."""
    return bc.NormalForm(np.arange(18.0).reshape(2, 3, 3))


# --- A rival of one's own: one class and one registration -----------------------------------------------------------


class AlwaysFirst(Policy):
    """Plays the first action."""

    environment: Environment
    share: float = 1.0  # of all probability, that is given out: anything but 1 is a planted error

    def log_prob(self, observation, cost, phi, psi, params):
        size = self.environment.mask.shape[1]
        return jnp.log(self.share) + jnp.where(jnp.arange(size) == 0, 0.0, -1e5)

    def log_prior(self, psi=None):
        return jnp.zeros(self.environment.mask.shape)


def always_first(policy=AlwaysFirst):
    return Rival(
        "always first",
        "Everybody takes the first action, except for lapses.",
        lambda field: field.typed(policy(field.game), lapse_hyperprior(), f"The first action{LAPSES}"),
    )


@pytest.fixture
def registered(monkeypatch):
    """A rival of one's own beside those of the package, for one test."""
    for of in ("_where", "_kinds"):
        monkeypatch.setattr(RIVALS, of, dict(getattr(RIVALS, of)))
    rival = always_first()
    RIVALS.register(rival.name, rival)
    return rival


def test_a_rival_of_ones_own_obeys_the_laws_and_is_compared(registered):
    found = evaluate(build(registered))
    for law in (probabilities_add_up, likelihood_is_finite, likelihoods_add_up, simulated_play_has_the_likelihood):
        law(found)
    describes_itself(registered)


def volunteers():
    """People who volunteer nine times in ten, where 0.37 is rational: lapses cannot explain more than that."""
    rows = [
        {"participant": f"p{i}", "action": "wait" if (i + t) % 10 == 0 else "volunteer"}
        for i in range(30)
        for t in range(TIMES)
    ]
    decisions = bc.Decisions.from_table(pd.DataFrame(rows), {"game": GAME})
    return Study("volunteers", "Volunteers", decisions, {"game": GAME})


@pytest.mark.slow
def test_a_rival_of_ones_own_is_compared(registered):
    names = ["always first", "rational"]
    fits, comparison = bc.compare_study(volunteers(), only=names, draws=300, warmup=100, chains=2)
    assert set(fits) == set(names) and comparison.best == "always first"
    (gap,) = comparison.conclusion.behind
    assert gap.model == "rational" and gap.clear


@pytest.mark.slow
def test_a_rival_of_ones_own_works_from_the_command_line(registered, tmp_path):
    done = CliRunner().invoke(
        main,
        [
            *("compare", "selten-chmura", "--where", "game == 'selten-chmura-01'", "--unit", "decision"),
            *("--only", "always first", "--draws", "60", "--warmup", "60", "--chains", "2", "--out", str(tmp_path)),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "always first" in done.stdout
    assert "Everybody takes the first action, except for lapses." in (tmp_path / "report.html").read_text()


# --- Planted errors are caught --------------------------------------------------------------------------------------


def test_probabilities_that_do_not_add_up_are_caught():
    found = evaluate(build(always_first(lambda game: AlwaysFirst(game, share=0.9))))
    for law in (probabilities_add_up, likelihoods_add_up):
        with pytest.raises(AssertionError):
            law(found)
    with pytest.raises(AssertionError):
        likelihood_is_finite(dataclasses.replace(found, log_likelihood=found.log_likelihood - np.inf))


def test_play_of_another_model_is_caught():
    sound = evaluated("rational")
    with pytest.raises(AssertionError):
        simulated_play_has_the_likelihood(dataclasses.replace(sound, played=sound.played[..., ::-1]))


def test_a_model_that_knows_names_is_caught():
    def favours_a(field):
        model = RIVALS["rational"].build(field)
        first = field.decisions.levels("participant")[0]

        def shifted():
            site = handlers.substitute(model.sample, data={"lapse": 0.1 if first == "0a" else 0.9})
            return site()

        return dataclasses.replace(model, sample=shifted)

    unfair = Rival("unfair", "People called a lapse less.", favours_a)
    with pytest.raises(AssertionError):
        names_do_not_matter(unfair, log_likelihood(build(unfair)))


@pytest.mark.parametrize("reason", ["no", "rational: it cannot be solved here", "It does not apply to this game."])
def test_reasons_that_do_not_read_well_are_caught(reason):
    with pytest.raises(AssertionError):
        reason_is_a_clause("rational", reason)


def test_reasons_end_without_a_full_stop_whoever_writes_them():
    def refuses(field):
        raise NotApplicable("the game is too large.")

    found = build_rivals({"large": Rival("large", "Large.", refuses)}, everything(), None, None)
    assert found.left_out == {"large": "the game is too large"}
