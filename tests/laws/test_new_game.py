"""A game of one's own is one class and one registration: everything that plays games then plays it.

The class is a Tullock contest (Tullock 1980): contestants choose efforts, and each wins the prize with a probability of
its share of all efforts. Its author writes the payoffs of a joint action, and nothing else.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_environment_laws import LAWS, ONE_SHOT_LAWS, Facts, bad_arguments_are_refused

import bayescal as bc
from bayescal.environments.base import symmetric_fields
from bayescal.environments.joint import LARGEST_TABLE
from bayescal.environments.named import GAMES, NamedGame
from bayescal.policies.level_k import LevelKPolicy
from bayescal.precision import double_precision

# --- What a user writes ----------------------------------------------------------------------------------------------


class Tullock(bc.OneShot):
    """n contestants; payoff = prize · effort / (sum of all efforts) - effort; the prize is shared if nobody tries."""

    prize: float

    def __init__(self, players: int = 3, prize: float = 16.0, efforts: tuple[float, ...] = tuple(range(0, 17, 2))):
        self.prize = float(prize)
        vars(self).update(symmetric_fields("tullock", "contestant", players, efforts, ordered=True))

    def payoffs(self, joint_action, params):
        effort = jnp.asarray(self.action_values[0])[joint_action]
        total = jnp.sum(effort)
        share = jnp.where(total > 0, effort / jnp.where(total > 0, total, 1.0), 1 / self.players)
        return params["prize"] * share - effort


ENTRY = NamedGame("Tullock contest of three", "Tullock (1980)", 3, "9 efforts", Tullock, small={"efforts": (0, 4, 16)})


# --- What follows from it --------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def float64():
    with double_precision():
        yield


def payoff(own: float, others: tuple[float, ...], prize: float = 16.0) -> float:
    total = own + sum(others)
    return prize * (own / total if total else 1 / (1 + len(others))) - own


EFFORTS = np.arange(0, 17, 2.0)


def expected(p: np.ndarray) -> np.ndarray:
    """Expected payoff of each effort against two others who play p."""
    pairs = list(itertools.product(range(9), repeat=2))
    return np.array([sum(p[i] * p[j] * payoff(e, (EFFORTS[i], EFFORTS[j])) for i, j in pairs) for e in EFFORTS])


def logit(u: np.ndarray, cost: float) -> np.ndarray:
    weight = np.exp((u - u.max()) / cost)
    return weight / weight.sum()


@pytest.mark.parametrize("law", ONE_SHOT_LAWS, ids=lambda law: law.__name__)
def test_it_keeps_the_laws_of_one_shot_games(law):
    law(Facts(ENTRY.example()))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_it_keeps_the_laws_of_games(law):
    law(ENTRY.example())


def test_it_refuses_bad_arguments():
    bad_arguments_are_refused(Tullock, {})


def test_it_has_a_name_while_it_is_registered():
    with GAMES.scope():
        GAMES.register("tullock", ENTRY)
        assert "tullock" in bc.game_names() and bc.get_game("tullock", prize=32.0).prize == 32.0
        with pytest.raises(bc.InputError, match="already a game called 'tullock'"):
            GAMES.register("tullock", ENTRY)
    with pytest.raises(bc.InputError, match="no game called 'tullock'"):
        bc.get_game("tullock")


def test_a_study_may_name_it(tmp_path):
    (tmp_path / "dataset.toml").write_text('[meta]\ntitle = "Contests"\n[games]\ntullock = "tullock"\n')
    (tmp_path / "decisions.csv").write_text("participant,action\na,4\nb,16\n")
    with GAMES.scope():
        GAMES.register("tullock", ENTRY)
        study = bc.load_study(tmp_path)
    assert isinstance(study.environments["tullock"], Tullock) and study.decisions.total == 2


def test_its_equilibrium_is_the_fixed_point_of_brute_force():
    p = np.full(9, 1 / 9)
    for _ in range(300):
        p = 0.5 * p + 0.5 * logit(expected(p), 2.0)
    solved = bc.equilibrium(Tullock(), 2.0)
    assert solved.converged
    np.testing.assert_allclose(solved.strategies[0], p, atol=1e-9)


def imagined(p: np.ndarray, cost: float) -> np.ndarray:
    """The reply to every pair of the others' efforts, averaged."""
    pairs = itertools.product(range(9), repeat=2)
    replies = ((i, j, np.array([payoff(e, (EFFORTS[i], EFFORTS[j])) for e in EFFORTS])) for i, j in pairs)
    return sum(p[i] * p[j] * logit(u, cost) for i, j, u in replies)


@pytest.mark.parametrize("kind", ["level-k", "quantal level-k", "cognitive hierarchy", "GR2-L", "GR2-M"])
def test_its_levels_of_reasoning_are_those_of_brute_force(kind):
    policy, cost, tau = LevelKPolicy(Tullock(), kind, levels=2), 2.0, 1.5
    phi = {"tau": tau} if "tau" in policy.parameters else dict.fromkeys(policy.parameters, 0.0)
    levels = np.exp(jax.jit(lambda: policy.log_prob_by_level(cost, phi, None, None))())[:, 0]
    flat = np.full(9, 1 / 9)
    reply = imagined if kind.startswith("GR2") else lambda p, cost: logit(expected(p), cost)
    if kind == "level-k":
        reply = lambda p, cost: np.eye(9)[np.argmax(expected(p))]
    first = reply(flat, cost)
    mixed = kind in ("cognitive hierarchy", "GR2-M")
    below = (flat + tau * first) / (1 + tau) if mixed else first
    np.testing.assert_allclose(levels, [flat, first, reply(below, cost)], atol=1e-9)


def test_a_table_that_is_too_large_is_refused_in_a_sentence():
    large = Tullock(8)
    with pytest.raises(bc.InputError, match=f"43,046,721 payoffs, more than {LARGEST_TABLE:,}: use fewer actions"):
        bc.equilibrium(large, 2.0)
    with pytest.raises(bc.InputError, match="tullock with 8 players has 43,046,721 payoffs"):
        LevelKPolicy(large, "GR2-L")
