"""Rival models: their policies against enumeration, their likelihoods against sums over everything possible."""

import dataclasses
import itertools

import jax
import numpy as np
import pandas as pd
import pytest
from numpyro import handlers

import bayescal as bc
from bayescal.comparison.rivals import rivals
from bayescal.comparison.rivals.ablation import ablation
from bayescal.environments.newsvendor import Newsvendor
from bayescal.environments.repeated_dilemma import repeated_dilemma
from bayescal.errors import InputError
from bayescal.policies.level_k import LevelKPolicy, dominant
from bayescal.policies.rational import RationalPolicy
from bayescal.priors.empirical import Empirical
from bayescal.study.load import Study

DILEMMA = bc.VolunteersDilemma(3)


def study(rows, game, **settings):
    decisions = bc.Decisions.from_table(pd.DataFrame(rows), {"game": game})
    return Study("small", "A small set", decisions, {"game": game}, **settings)


def everything(decisions=3, game=DILEMMA):
    """As many people as there are ways to volunteer so many times: their likelihoods add up to one."""
    rows = [
        {"participant": f"p{k}", "action": "volunteer" if d < k else "wait"}
        for k in range(decisions + 1)
        for d in range(decisions)
    ]
    return study(rows, game)


def told(model, seed=0):
    """(log-likelihood by participant, values of the sites) at a draw from the prior."""

    def at_a_draw():
        trace = handlers.trace(handlers.seed(model, seed)).get_trace()
        return trace["decisions"]["fn"].log_prob(0.0), {n: s["value"] for n, s in trace.items() if n != "decisions"}

    with jax.enable_x64(True):  # compiled as a whole: one operation at a time compiles far more
        log_p, values = jax.jit(at_a_draw)()
    return np.asarray(log_p), values


def imagined(env, kind, cost, tau, levels):
    """GR2 by enumeration: (levels, players, actions)."""
    roles = [r for r, n in enumerate(env.role_counts) for _ in range(n)]
    sizes, n = [len(env.action_values[r]) for r in roles], env.players
    joint = np.array(list(itertools.product(*map(range, sizes))))
    pay = np.asarray(jax.jit(jax.vmap(lambda j: env.payoffs(j, env.params)))(joint)).reshape(*sizes, n)
    weight = np.array([tau**k / np.prod(np.arange(1.0, k + 1)) for k in range(levels + 1)])
    found = [[np.full(a, 1 / a) for a in sizes]]
    for k in range(1, levels + 1):
        lower = [
            found[k - 1][i] if kind == "GR2-L" else sum(weight[j] * found[j][i] for j in range(k)) / weight[:k].sum()
            for i in range(n)
        ]
        row = []
        for i in range(n):
            others = [j for j in range(n) if j != i]
            p = np.zeros(sizes[i])
            for b in itertools.product(*[range(sizes[j]) for j in others]):
                chance = np.prod([lower[j][action] for j, action in zip(others, b, strict=True)])
                at = list(b)
                at.insert(i, slice(None))
                u = pay[(*at, i)]
                reply = np.exp((u - u.max()) / cost)
                p += chance * reply / reply.sum()
            row.append(p)
        found.append(row)
    return found, roles


RNG = np.random.default_rng(0)
GAMES = {
    "two players": bc.NormalForm(RNG.normal(size=(2, 3, 4))),
    "three players": bc.NormalForm(RNG.normal(size=(3, 2, 3, 2))),
    "firms": bc.Cournot(3, np.linspace(0, 60, 5)),
    "volunteers": bc.VolunteersDilemma(4),
    "guesses": bc.BeautyContest(3, guesses=np.linspace(0, 100, 6)),
}


@pytest.mark.parametrize("name", GAMES)
def test_replies_to_what_is_imagined_are_those_of_enumeration(name):
    env = GAMES[name]
    policies = [LevelKPolicy(env, kind, levels=3) for kind in ("GR2-L", "GR2-M", "cognitive hierarchy")]
    with jax.enable_x64(True):
        cost = 0.1 * float(env.payoff_scale(env.params))
        play = jax.jit(lambda cost, tau: [p.log_prob_by_level(cost, {"tau": tau}, None, None) for p in policies])
        *found, other = map(np.exp, play(cost, 1.7))
        for kind, levels in zip(("GR2-L", "GR2-M"), found, strict=True):
            expected, roles = imagined(env, kind, cost, 1.7, 3)
            for k, i in itertools.product(range(4), range(env.players)):
                np.testing.assert_allclose(levels[k, roles[i], : len(expected[k][i])], expected[k][i], atol=1e-13)
            # Replying to expected payoffs, as the cognitive hierarchy does, is something else, and would be seen.
            assert np.abs(other[1] - levels[1]).max() > 1e-3


def test_levels_of_reasoning_climb_and_share_ties():
    guess = LevelKPolicy(bc.BeautyContest(12), "level-k", levels=3)
    log_p = np.asarray(guess.log_prob_by_level(None, {}, None, None))[:, 0]
    best = 2 / 3 * 11 / (12 - 2 / 3)  # p (n - 1) / (n - p), of the others' mean
    m = 50.0
    for level in log_p[1:]:
        m *= best
        assert abs(level.argmax() - m) <= 1  # on a grid of whole numbers, from level to level
        m = float(level.argmax())
    flat = bc.NormalForm([[[1, 1], [1, 1], [0, 0]], [[1, 0], [0, 1], [0, 0]]])
    tied = np.exp(LevelKPolicy(flat, "level-k", levels=1).log_prob_by_level(None, {}, None, None))[1, 0]
    np.testing.assert_allclose(tied, [0.5, 0.5, 0.0], atol=1e-6)


def test_levels_are_differentiable_in_cost_and_tau():
    policy = LevelKPolicy(GAMES["two players"], "GR2-M", levels=4)
    at = lambda x: policy.log_prob_all(x[0], {"tau": x[1]}, None, None)[0, 1]
    with jax.enable_x64(True):
        x, h = np.array([0.4, 1.3]), 1e-5
        at = jax.jit(at)
        slope = np.asarray(jax.jit(jax.grad(at))(x))
        expected = [(at(x + h * e) - at(x - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_nash_equilibria_of_selten_and_chmura_are_the_published_ones():
    """Selten & Chmura (2008), table 1: the probabilities of U and L in games 1 to 6; 7 to 12 have the same."""
    published = [(0.091, 0.909), (0.182, 0.727), (0.273, 0.909), (0.364, 0.818), (0.364, 0.727), (0.455, 0.636)] * 2
    games = [bc.get_game(f"selten-chmura-{i:02d}") for i in range(1, 13)]
    payoffs = np.stack([g.params["payoffs"] for g in games])
    policy = RationalPolicy(games[0])
    with jax.enable_x64(True):
        solve = jax.jit(jax.vmap(lambda u: policy.log_prob_all(None, None, None, {"payoffs": u})))
        found = np.exp(np.asarray(solve(payoffs)))[:, :, 0]
    np.testing.assert_allclose(found, published, atol=6e-4)  # three digits were printed


def test_the_rational_order_is_at_the_critical_fractile_and_ties_are_shared():
    shop = Newsvendor(discount=0.0)  # price 12, cost 3, demand 1 to 100: 75 and 76 bring the same
    seen = shop.observe(shop.reset(jax.random.key(0), shop.params), 0)
    with jax.enable_x64(True):
        rational = lambda policy, seen: np.exp(jax.jit(lambda s: policy.log_prob((0, s), None, None, None, None))(seen))
        p = rational(RationalPolicy(shop), seen)
        np.testing.assert_allclose(p[[74, 75, 76, 77]], [0, 0.5, 0.5, 0], atol=1e-12)
        defect = rational(RationalPolicy(repeated_dilemma()), {"state": 1})
    np.testing.assert_allclose(defect, [0, 1], atol=1e-6)
    with pytest.raises(InputError, match="beer-game cannot be solved"):
        RationalPolicy(bc.get_game("beer-game"))


def test_a_level_is_kept_over_all_decisions():
    """Against a sum over types by hand; were levels drawn anew for each decision, it would be seen."""
    game = bc.VolunteersDilemma(8)
    few = everything(game=game)
    model = rivals(few, only=["cognitive hierarchy"]).models["cognitive hierarchy"]
    log_m, at = told(model, seed=3)
    with jax.enable_x64(True):
        policy = LevelKPolicy(game)
        p = np.exp(policy.log_prob_by_level(float(at["cost"]), {"tau": float(at["tau"])}, None, None))[:, 0, 0]
        shares = np.exp(policy.log_shares({"tau": float(at["tau"])}))
    ways = [1, 3, 3, 1]
    expected = [ways[k] * np.sum(shares * p**k * (1 - p) ** (3 - k)) for k in range(4)]
    np.testing.assert_allclose(np.exp(log_m), expected, rtol=1e-12)
    anew = [ways[k] * (shares @ p) ** k * (1 - shares @ p) ** (3 - k) for k in range(4)]
    assert np.abs(np.exp(log_m) - anew).max() > 1e-3


def test_many_situations_give_what_few_do():
    """Above 64 situations the sum goes another way."""
    games = {f"g{i}": bc.NormalForm(RNG.normal(size=(2, 2, 2)), name=f"g{i}") for i in range(70)}
    rows = [
        {"participant": f"p{i % 5}", "game": g, "role": "player 1", "action": str(RNG.integers(2))}
        for i, g in enumerate(games)
    ]

    def likelihood(names):
        table = pd.DataFrame([r for r in rows if r["game"] in names])
        decisions = bc.Decisions.from_table(table, {n: games[n] for n in names})
        made = rivals(Study("s", "s", decisions, games), only=["level-k"]).models["level-k"].integrated.likelihood
        at = {"lapse": 0.2, "phi.weight_1": 0.5, "phi.weight_2": 0.1, "phi.weight_3": -1.0}
        with jax.enable_x64(True):
            return np.asarray(made.by_person(at))

    whole = likelihood(list(games))
    parts = likelihood(list(games)[:35]) + likelihood(list(games)[35:])
    np.testing.assert_allclose(whole, parts, rtol=1e-12)


def test_one_round_of_a_game_over_time_adds_up_to_one():
    shop = Newsvendor(discount=0.0, rounds=2)
    rows = [{"participant": f"p{a}", "round": 1, "action": a, "demand": 50} for a in range(101)]
    found = rivals(study(rows, shop, prior=bc.priors.Product((bc.priors.Centre(), bc.priors.Focal(10)))))
    assert list(found.models) == [
        "choice shares", "logit without payoffs, people differ", "random play", "prior only", "rational", "common cost",
        "common cost, inferred prior", "different costs", "different costs, inferred prior",
    ]  # fmt: skip
    for name, model in found.models.items():
        log_m, _ = told(model)
        np.testing.assert_allclose(np.exp(log_m).sum(), 1, rtol=1e-5 if "costs" in name else 1e-12, err_msg=name)
    assert "over time" in found.left_out["level-k"]
    assert "bayescal train" in found.left_out["plain RL"]


def test_decisions_of_nobody_in_particular_are_averaged_over_levels():
    game = bc.get_game("selten-chmura-01")
    rows = [
        {"role": r, "action": a, "n": n} for r, a, n in [("row", "Up", 3), ("row", "Down", 7), ("column", "Left", 5)]
    ]
    few = study(rows, game)
    model = rivals(few, only=["GR2-L"]).models["GR2-L"]

    def both():
        trace = handlers.trace(handlers.seed(model, 0)).get_trace()
        at = {n: trace[n]["value"] for n in ("tau", "cost")}
        expected = LevelKPolicy(game, "GR2-L").log_prob_all(at["cost"], {"tau": at["tau"]}, None, None)
        return trace["choices"]["fn"].log_probs, expected

    with jax.enable_x64(True):
        np.testing.assert_allclose(*jax.jit(both)(), rtol=1e-10)
    assert model.integrated is None


def test_a_prior_that_rules_out_what_was_done_is_refused():
    never = dataclasses.replace(everything(), prior=Empirical(((1.0, 0.0),)))
    with pytest.raises(InputError, match="probability zero to choices in the data: game, role player, action wait"):
        rivals(never, only=["prior only"])


def test_what_is_left_out_says_why():
    given = study([{"participant": "a", "action": 5}, {"participant": "b", "action": 0}], bc.PublicGoods(4))
    assert dominant(bc.PublicGoods(4))
    assert not dominant(DILEMMA)
    found = rivals(given, only=["GR2-L", "GR2-M", "plain RL"])
    assert not found.models
    assert "the best reply is the same whatever the others do" in found.left_out["GR2-L"]
    many = study([{"participant": "a", "action": 5}], bc.BeautyContest(800))
    assert "more than 1,000,000" in rivals(many, only=["GR2-M"]).left_out["GR2-M"]
    with pytest.raises(InputError, match="There is no rival model 'telepathy'"):
        rivals(given, only=["telepathy"])


def test_the_size_of_a_public_goods_game_changes_no_choice():
    """They are solved as games of two."""
    rows = [{"participant": f"p{a}", "action": a} for a in (0, 3, 7)]
    game = bc.PublicGoods(7, mpcr=0.3)
    log_m, at = told(rivals(study(rows, game), only=["common cost"]).models["common cost"])
    with jax.enable_x64(True):
        log_p = bc.ExactPolicy(game).log_prob_all(float(at["cost"]), None, None, None)[0]
    np.testing.assert_allclose(log_m, log_p[np.array([0, 3, 7])], rtol=1e-8)


@pytest.mark.slow
def test_the_ablation_crosses_costs_with_priors():
    built = ["truncated normal costs, study's prior", "log-normal costs by group, uniform prior"]
    decision = bc.NormalForm([[0.0, 1.0, 3.0]], action_values=[[0, 1, 2]])  # has no equilibrium to compile
    alone = study([{"participant": p, "action": a} for p, a in zip("ab", "12", strict=True)], decision)
    found = ablation(alone, only=built)
    assert list(found.models) == built[:1] and "groups" in found.left_out[built[1]]
    with pytest.raises(InputError) as refused:
        ablation(alone, only=["no such costs"])
    kinds = ["common", "log-normal", "truncated normal", "gamma", "two classes of"]
    for prior in ("uniform prior", "study's prior"):
        assert all(f"{kind} cost{'s' * (kind != 'common')}, {prior}" in str(refused.value) for kind in kinds)


def test_a_fit_draws_everybodys_level():
    """Ten who always wait, ten who always volunteer: different levels, and each person's likelihood is in the fit."""
    rows = [
        {"participant": f"{who}{i}", "action": action}
        for who, action in (("a", "wait"), ("b", "volunteer"))
        for i in range(10)
        for _ in range(8)
    ]
    model = rivals(study(rows, bc.VolunteersDilemma(12)), only=["level-k"]).models["level-k"]
    fit = bc.infer(model, bc.NUTS(draws=100, warmup=150, chains=2, seed=1))
    level = fit.tree["posterior"]["level"].to_numpy().reshape(-1, 20)
    first, second = level[:, :10], level[:, 10:]
    assert (first != second).mean() > 0.95
    assert fit.tree["log_likelihood"]["by_participant"].shape == (2, 100, 20)
    assert fit.tree["log_likelihood"]["choices"].shape == (2, 100, 20)
    ranks = bc.sbc(model, replicates=20, warmup=100, kept=19, seed=0)
    assert ranks.ranks.shape[0] == 20


def test_one_product_of_matrices_gives_what_going_row_by_row_does(monkeypatch):
    """Where values are the same everywhere, Z of all situations is worked out at once."""
    shop = Newsvendor(discount=0.0, rounds=3)
    rows = [
        {"participant": p, "round": t, "action": 40 + 7 * t + 5 * i, "demand": 50 - 9 * t}
        for i, p in enumerate("ab")
        for t in (1, 2, 3)
    ]
    habits = bc.priors.Product((bc.priors.Repeat(), bc.priors.Naive()))
    model = rivals(study(rows, shop, prior=habits, lapse=True), only=["different costs, inferred prior"])
    likelihood = model.models["different costs, inferred prior"].integrated.likelihood
    shared = {"psi.bonus_0": 1.3, "psi.pull_1": 4.0, "lapse": 0.03}
    log_cost = np.linspace(-6, 9, 25)
    with jax.enable_x64(True):
        quick = np.asarray(jax.jit(likelihood.curves)(log_cost, shared))
        monkeypatch.setattr(type(likelihood), "_values_everywhere", lambda *_: None)
        slow = np.asarray(jax.jit(lambda *x: likelihood.curves(*x))(log_cost, shared))
    np.testing.assert_allclose(quick, slow, rtol=1e-10)
