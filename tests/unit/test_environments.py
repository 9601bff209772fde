"""Games: expected payoffs against enumeration, slopes against derivatives, named games against their sources."""

import itertools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.environments.base import role_of_player
from bayescal.environments.beauty_contest import BeautyContest
from bayescal.environments.cournot import Cournot
from bayescal.environments.named import GAMES as NAMED
from bayescal.environments.named import NamedGame, game_names, get_game
from bayescal.environments.normal_form import NormalForm
from bayescal.environments.symmetric import request_game, travelers_dilemma
from bayescal.environments.volunteers_dilemma import VolunteersDilemma
from bayescal.errors import InputError

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


GAMES = {
    "2x3": NormalForm(np.random.default_rng(0).normal(size=(2, 2, 3))),
    "2x3x2": NormalForm(np.random.default_rng(1).normal(size=(3, 2, 3, 2))),
    "2x2x2x3": NormalForm(np.random.default_rng(2).normal(size=(4, 2, 2, 2, 3))),
    "cournot": Cournot(3, np.linspace(10, 40, 4)),
    "beauty": BeautyContest(3, 0.7, np.linspace(0, 100, 5)),
    "beauty, winner": BeautyContest(4, 2 / 3, np.linspace(0, 100, 4), payoff="winner"),
    "volunteer": VolunteersDilemma(4),
    "traveller": travelers_dilemma(180, 220),
    "request": request_game(),
}
each_game = pytest.mark.parametrize("name", GAMES)


def mixtures(game, seed=0):
    p = np.random.default_rng(seed).gamma(1.0, size=game.mask.shape) * game.mask
    return p / p.sum(axis=1, keepdims=True)


@each_game
def test_expected_payoffs_are_averages_over_joint_actions(name):
    game = GAMES[name]
    p = mixtures(game)
    roles = role_of_player(game.role_counts)
    sizes = [len(game.action_values[r]) for r in roles]
    joint = np.array(list(itertools.product(*map(range, sizes))))
    pay = np.asarray(jax.vmap(lambda a: game.payoffs(a, game.params))(jnp.asarray(joint)))
    expected = np.asarray(game.expected_payoffs(jnp.asarray(p), game.params))
    for role in range(game.roles):
        me = roles.index(role)
        others = [i for i in range(game.players) if i != me]
        weight = np.prod([p[roles[i], joint[:, i]] for i in others], axis=0)
        for action in range(sizes[me]):
            mine = joint[:, me] == action
            np.testing.assert_allclose(
                expected[role, action], (weight * pay[:, me])[mine].sum(), rtol=1e-10, atol=1e-12
            )


@each_game
def test_slopes_are_derivatives(name):
    game = GAMES[name]
    p = jnp.asarray(mixtures(game, 1))
    exact = jax.jacfwd(lambda p: game.expected_payoffs(p, game.params))(p)
    real = game.mask[:, :, None, None] & game.mask[None, None]
    np.testing.assert_allclose(game.payoff_slopes(p, game.params) * real, exact * real, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("game", [GAMES["beauty"], BeautyContest(6, 1.3, range(2, 9), prize=4.0)])
def test_factors_of_slopes_are_slopes_but_for_what_all_actions_share(game):
    left, right = game.slope_factors(game.params)
    slopes = game.payoff_slopes(jnp.asarray(mixtures(game, 1)), game.params)
    shared = slopes - jnp.einsum("mra,msb->rasb", left, right)
    np.testing.assert_allclose(shared, jnp.broadcast_to(shared[:, :1], shared.shape), atol=1e-12)
    assert float(jnp.ptp(slopes, axis=1).max()) > 1e-3  # or nothing has been tested


@pytest.mark.parametrize("name", [n for n in GAMES if n != "beauty"])
def test_other_games_have_no_factors(name):
    assert GAMES[name].slope_factors(GAMES[name].params) is None


@each_game
def test_one_round(name):
    game = GAMES[name]
    state = game.reset(jax.random.key(0), game.params)
    state, pay, over = game.step(jax.random.key(1), state, jnp.zeros(game.players, int), game.params)
    assert pay.shape == (game.players,) and bool(over)
    assert game.observe(state, game.players - 1) == game.roles - 1


@pytest.mark.parametrize("name", ["cournot2", "travelers_R5", "beauty3", "volunteers_dilemma3"])
def test_against_the_tensors_that_gambit_solved(name):
    golden = np.array(json.loads((GOLDEN / "gambit_qre.json").read_text())["games"][name]["payoffs"])
    game = {
        "cournot2": Cournot(2, range(13), intercept=13.0, cost=1.0),
        "travelers_R5": travelers_dilemma(),
        "beauty3": BeautyContest(3, 2 / 3, range(0, 101, 10), prize=4.0, payoff="winner"),
        "volunteers_dilemma3": VolunteersDilemma(),
    }[name]
    scale = {"cournot2": 10.0}.get(name, 1.0)
    for joint in itertools.product(*map(range, golden.shape[1:])):
        pay = np.asarray(game.payoffs(jnp.asarray(joint), game.params)) / scale if len(golden) < 3 else None
        if pay is not None:
            np.testing.assert_allclose(pay, golden[(slice(None), *joint)], atol=1e-12)
    p = mixtures(game, 3)
    tensor = NormalForm(golden)
    repeated = jnp.asarray(np.repeat(p, game.players, axis=0))
    np.testing.assert_allclose(
        game.expected_payoffs(jnp.asarray(p), game.params)[0] / scale,
        tensor.expected_payoffs(repeated, tensor.params)[0],
        atol=1e-12,
    )


def test_selten_chmura_payoffs():
    golden = json.loads((GOLDEN / "selten_chmura_data.json").read_text())["games"]
    for number in range(1, 13):
        game = get_game(f"selten-chmura-{number:02d}")
        np.testing.assert_array_equal(game.params["payoffs"], golden[f"selten_chmura_{number:02d}"]["payoffs"])


@pytest.mark.parametrize("name", game_names())
def test_named_games_are_what_they_say(name):
    game = get_game(name)
    assert game.name == name
    assert game.players == NAMED[name].players
    assert float(game.payoff_scale(game.params)) > 0
    assert [len(v) for v in game.action_values] == [len(v) for v in game.action_labels]


def test_best_replies():
    """Closed forms: Cournot's (a - c - bQ)/2b, the beauty contest's p(n-1)m/(n-p)."""
    market = Cournot(2, range(101))
    rival = jnp.zeros((1, 101)).at[0, 33].set(1.0)
    assert int(jnp.argmax(market.expected_payoffs(rival, market.params)[0])) == 33
    contest = BeautyContest(5, 0.5, range(101))
    others = jnp.zeros((1, 101)).at[0, 90].set(1.0)
    assert int(jnp.argmax(contest.expected_payoffs(others, contest.params)[0])) == round(0.5 * 4 * 90 / 4.5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("supply-chain", {"echelons": 100_000}),
        ("beer-game", {"weeks": 10**9, "shipping_delay": 10**7}),
        ("travelers-dilemma", {"high": 2**31}),
        ("travelers-dilemma", {"step": 1e-9}),
        ("public-goods", {"players": 10**6}),
        ("public-goods", {"endowment": 1e300}),
        ("cournot-2", {"firms": 10**400}),
        ("cournot-2", {"quantities": list(range(100_000))}),
        ("cournot-repeated", {"rounds": 10**9}),
        ("capacity-allocation", {"retailers": 1e9}),
        ("cobweb-stable", {"window": 2**40}),
        ("newsvendor", {"rounds": float("inf")}),
        ("bus-engine", {"bins": 10**6}),
        ("centipede-4", {"moves": 10**5}),
        ("beauty-contest", {"players": 2**63, "payoff": "winner"}),
        ("volunteers-dilemma", {"players": 10**12}),
    ],
)
def test_options_that_would_fill_the_memory_are_refused(name, options):
    """One digit too many; in well under a second each."""
    with pytest.raises(InputError, match="at most") as refused:
        get_game(name, **options)
    assert len(str(refused.value)) < 300


def test_the_largest_possible_games_are_built():
    """The limits are not so low that they get in the way."""
    assert get_game("public-goods", players=1000, endowment=9_999).players == 1000
    assert get_game("cournot-repeated", rounds=100_000).horizon == 100_000
    assert len(get_game("supply-chain", echelons=100).role_names) == 100
    assert len(get_game("travelers-dilemma", high=1593.0, step=1.0).action_values[0]) == 1414


def test_ones_own_game_may_have_other_limits():
    game = NamedGame("A crowd", "mine", 2, "2", VolunteersDilemma, most={"players": 10**6})
    assert game.build(players=2000).players == 2000
    with pytest.raises(InputError, match="at most 1,000,000"):
        game.build(players=10**7)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Cournot(1),
        lambda: Cournot(2, [0, 1, 3]),
        lambda: BeautyContest(1),
        lambda: BeautyContest(5, payoff="winner"),
        lambda: VolunteersDilemma(1),
        lambda: NormalForm([[[1, 2]]]),
        lambda: NormalForm([[[5]], [[5]]]),
        lambda: NormalForm([[[1, 2]], [[1, 2]]], role_names=("a",)),
        lambda: NormalForm([[[1, 2]], [[1, 2]]], action_labels=(("x",), ("y",))),
        lambda: get_game("nonsense"),
    ],
)
def test_impossible_games_are_refused(build):
    with pytest.raises(InputError):
        build()
