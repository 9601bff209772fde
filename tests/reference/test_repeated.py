"""Repeated games against dynamic programming of our own, over every state, in plain NumPy."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.policies.learned import LearnedPolicy, with_network
from bayescal.policies.rounds.solve import Types, play_at
from bayescal.policies.rounds.stage import DEPTH, Continuation, chain_of, stage_of
from bayescal.precision import double_precision
from bayescal.training.certificate.exact_reply import reply_gains
from bayescal.training.points import Points

HABIT = bc.priors.Product((bc.priors.Previous(), bc.priors.Naive()))
PEOPLE = bc.populations.LogNormal(5)
PHI, PSI = {"log_mean": 4.5, "log_sd": 0.6}, {"pull_0": 3.0, "pull_1": 1.5}
ROUNDS = 3


def market(firms):
    return bc.RepeatedCournot(firms, quantities=range(0, 61, 15), rounds=ROUNDS)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def habit(game, own, seen, began):
    """log q of the product of both habits: distances to the own and to the others' last quantity, rounded at 0."""
    grid = np.array(game.action_values[0])
    span = grid[-1] - grid[0]
    near = lambda c: np.sqrt(((grid - c) / span) ** 2 + 1e-4)
    x = -began * (PSI["pull_0"] * near(own) + PSI["pull_1"] * near(seen))
    return x - np.log(np.exp(x).sum())


def totals(p, rivals):
    out = np.array([1.0])
    for _ in range(rivals):
        out = np.convolve(out, p)
    return out


def by_hand(firms, costs, weights, own_costs):
    """{(own index, index of the others' total, round): log-probabilities by own cost}, by brute force.

    A state is the own action and the others' total, which is known to lie on a grid. With more than two firms others
    are believed to have played the mean, which may lie off it: their play there is found recursively, each state
    asking for the play in the next, and the last one for its own.
    """
    game = market(firms)
    grid = np.array(game.action_values[0])
    rivals = firms - 1
    means = grid[0] + (grid[1] - grid[0]) * np.arange(rivals * (len(grid) - 1) + 1) / rivals
    pay = (np.maximum(100 - grid[:, None] - rivals * means[None], 0) - 1) * grid[:, None]
    everybody = np.concatenate([costs, own_costs])
    worth = np.zeros((len(everybody), len(grid), len(means)))
    mirror = lambda own, seen: (seen, (own + (firms - 2) * seen) / rivals)
    out = {}
    for t in reversed(range(ROUNDS)):
        q_of = lambda p, worth=worth: totals(p, rivals) @ (pay[None] + worth).transpose(0, 2, 1)

        def average(own, seen, met, t=t, q_of=q_of):
            log_q = habit(game, own, seen, float(t > 0))
            q = q_of(met)[: len(costs)]
            return weights @ softmax(log_q + q / costs[:, None])

        def play(own, seen, t=t, average=average):
            """The population's play in a state: a chain of states, each of which others saw in the one before."""
            chain = [(own, seen)]
            while len(chain) < (2 if firms == 2 else DEPTH - 1):
                chain.append(mirror(*chain[-1]))
            asked = [1, 0] if firms == 2 else [*range(1, len(chain)), len(chain) - 1]
            now = [np.full(len(grid), 1 / len(grid))] * len(chain)
            for _ in range(2000):
                new = [average(*s, now[i]) for s, i in zip(chain, asked, strict=True)]
                if max(np.abs(a - b).max() for a, b in zip(now, new, strict=True)) < 1e-12:
                    break
                now = [0.7 * a + 0.3 * b for a, b in zip(now, new, strict=True)]
            return now[0]

        before = np.zeros_like(worth)
        states = [(i, j) for i, j in product(range(len(grid)), range(len(means)))] if t else [(0, 0)]
        for i, j in states:
            own, seen = (grid[i], means[j]) if t else (0.0, 0.0)
            q = q_of(play(*mirror(own, seen)))
            logits = habit(game, own, seen, float(t > 0)) + q / everybody[:, None]
            top = logits.max(-1, keepdims=True)
            before[:, i, j] = everybody * (top[:, 0] + np.log(np.exp(logits - top).sum(-1)))
            out[i, j, t] = np.log(softmax(logits))[len(costs) :]
        worth = before
    return out, grid, means


@pytest.mark.parametrize("firms", [2, 3])
def test_solution_is_that_of_brute_force(firms):
    own_costs = np.array([30.0, 200.0])
    z, w = np.polynomial.hermite_e.hermegauss(5)
    found, grid, means = by_hand(firms, np.exp(4.5 + 0.6 * z), w / w.sum(), own_costs)
    states = [(0, 0, 0), (1, 2, 1), (3, 0, 1), (2, 2, 2), (4, len(means) - 1, 2)]
    began = np.array([float(t > 0) for _, _, t in states])
    seen = {
        "own": np.array([grid[i] for i, _, _ in states]) * began,
        "seen": np.array([means[j] for _, j, _ in states]) * began,
        "began": began,
        "round": np.array([t for _, _, t in states]),
    }
    policy = bc.ExactPolicy(market(firms), HABIT, PEOPLE)
    who = np.array([0, 1, 1, 0, 1])  # each looked up at one person's cost only
    asked = (jnp.asarray(own_costs), PHI, PSI, None)
    with double_precision():
        both = jax.jit(lambda: (policy.tables_at(seen, *asked), policy.log_prob_people(seen, who, *asked)))
        ours, mine = map(np.asarray, both())
    for k, state in enumerate(states):
        np.testing.assert_allclose(np.exp(ours[:, k]), np.exp(found[state]), atol=1e-8)
    assert np.abs(np.exp(ours[:, 1]) - np.exp(found[3, 0, 1])).max() > 1e-3  # another state is seen to differ
    np.testing.assert_allclose(np.exp(mine), np.exp(ours[who, np.arange(5)]), atol=1e-10)


def test_one_round_is_the_one_shot_game():
    game = bc.RepeatedCournot(2, quantities=range(0, 61, 10), rounds=1)
    once = bc.ExactPolicy(game.market, population=PEOPLE)
    seen = {"own": np.zeros(1), "seen": np.zeros(1), "began": np.zeros(1), "round": np.zeros(1, int)}
    repeated = bc.ExactPolicy(game, population=PEOPLE)
    with double_precision():
        ours = jax.jit(lambda: repeated.log_prob_cells(0, seen, 20.0, PHI, None, None)[0])()
        theirs = jax.jit(lambda: once.log_prob_all(jnp.asarray(20.0), PHI, None, None)[0])()
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_derivatives_are_those_of_differences():
    policy = bc.ExactPolicy(market(2), HABIT, PEOPLE)
    seen = {"own": np.array([30.0]), "seen": np.array([45.0]), "began": np.ones(1), "round": np.ones(1, int)}

    def choice(theta):
        phi = {"log_mean": theta[0], "log_sd": theta[1]}
        psi = {"pull_0": theta[2], "pull_1": theta[3]}
        return policy.log_prob_cells(0, seen, jnp.exp(theta[4]), phi, psi, None)[0, 1]

    with double_precision():
        at = jnp.asarray([3.0, 0.6, 3.0, 1.5, np.log(25.0)])
        forward = jax.jit(jax.jacfwd(choice))(at)
        both = jax.jit(jax.value_and_grad(choice))
        backward = both(at)[1]
        by_differences = np.stack([(both(at + h)[0] - both(at - h)[0]) / 2e-4 for h in 1e-4 * np.eye(5)])
    np.testing.assert_allclose(forward, by_differences, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(backward, forward, rtol=1e-6, atol=1e-9)


def test_a_solution_is_found_beside_one_that_is_not_stable():
    """Both firms near the top of the grid, costs nearly alike: replies to almost equal play slowly drive the two apart.
    An iteration that does not take whole steps there is still off by 0.017 after 1,500."""
    firms, people = bc.RepeatedCournot(), bc.populations.LogNormal(16)
    policy = bc.ExactPolicy(firms, HABIT, people, tolerance=1e-5)
    psi = {"pull_0": 2.65, "pull_1": 3.22}
    with double_precision():
        costs, weights = people.quadrature({"log_mean": jnp.asarray(5.2), "log_sd": jnp.asarray(0.2276)})
        stage = stage_of(firms, firms.params, 4)
        last = Continuation(stage, jnp.zeros((16, 4, 4)))
        chain = chain_of(firms, np.array([94.0]), np.array([88.65]))
        types, log_prior = Types(costs, weights), lambda seen: policy.log_prior_of(0, psi, seen)
        met, log_q = jax.jit(
            lambda: play_at(firms, last, types, log_prior, chain, 24, policy.all_params(None), tolerance=1e-5)
        )()
    play, grid = np.asarray(met.play), np.arange(101.0)
    pay = (np.maximum(100 - grid[:, None] - grid[None], 0) - 1) * grid[:, None]
    for here, there in ((0, 1), (1, 0)):
        logits = np.asarray(log_q[here]) + (pay @ play[there]) / np.asarray(costs)[:, None]
        assert np.abs(np.asarray(weights) @ softmax(logits) - play[here]).sum() < 1e-4


class Wrapped(LearnedPolicy):
    """The exact policy where a learned one is asked for; `wrong` scales its values."""

    exact: bc.ExactPolicy
    network: None
    environment: bc.RepeatedCournot
    variants: tuple
    prior: bc.priors.Prior
    population: bc.populations.Population
    domain: bc.Domain
    own_box: None
    others: str
    wrong: float | jax.Array

    def __init__(self, exact, wrong=1.0):
        self.exact, self.network, self.environment, self.variants = exact, None, exact.environment, (exact.environment,)
        self.prior, self.population, self.wrong = exact.prior, exact.population, wrong
        self.others, self.own_box = "average", None
        self.domain = bc.Domain.of(cost=(1.0, 1000.0))

    def fresh(self, key):
        return None

    @property
    def architecture(self):
        return {}

    def values_of(self, role, observation, cost, phi, psi, params):
        raise NotImplementedError

    def log_prob(self, observation, cost, phi, psi, params):
        log_p = self.exact.log_prob(observation, cost, phi, psi, params)
        log_q = self.log_prior_of(0, psi, observation[1])
        return jax.nn.log_softmax(log_q + self.wrong * (log_p - log_q))


def test_a_best_reply_gains_only_where_values_are_wrong():
    exact = bc.ExactPolicy(market(2), HABIT, PEOPLE)
    with double_precision():
        number = lambda x: jnp.asarray(x, float)
        point = Points(number(5.0), jax.tree.map(number, PHI), jax.tree.map(number, PSI), {})
        gains = jax.jit(lambda wrong: reply_gains(Wrapped(exact, wrong), point, jnp.asarray([50.0, 200.0])).nats)
        right, wrong = np.asarray(gains(1.0)), np.asarray(gains(1.05))
    assert np.abs(right).max() < 1e-8
    assert wrong.min() > 1e-5  # 5 % of values: second order in the error, but there


def test_distillation_learns_the_exact_solution():
    trainer = bc.Distil.example()
    policy = bc.train(trainer).policy
    exact = bc.ExactPolicy(policy.environment, policy.prior)
    seen = {"own": np.array([0.0, 20.0]), "seen": np.array([0.0, 60.0]), "began": np.array([0.0, 1.0]),
            "round": np.array([0, 1])}  # fmt: skip
    planted = with_network(policy, trainer.skeleton.network)  # nothing learned
    play = jax.jit(lambda cost: [p.log_prob_cells(0, seen, cost, None, None, None) for p in (exact, policy, planted)])
    for cost in (120.0, 600.0):
        truth, learned, untaught = play(jnp.asarray(cost))
        assert float(jnp.max(jnp.sum(jnp.exp(truth) * (truth - learned), axis=1))) < 2e-3
        assert float(jnp.max(jnp.sum(jnp.exp(truth) * (truth - untaught), axis=1))) > 2e-3
