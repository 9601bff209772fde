"""How fast KLPPO learns: agent-steps per second over time, and its learning curve in a Cournot market beside SoftQ's.

uv run python tests/benchmarks/bench_ppo.py [picture.png] [CPU seconds of each learner]
"""

import sys
import time
from pathlib import Path

import bayescal as bc

bc.use_cores(2)

import equinox as eqx  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import matplotlib  # noqa: E402
import numpy as np  # noqa: E402

from bayescal.environments.base import Environment  # noqa: E402
from bayescal.policies.amortised import AmortisedPolicy  # noqa: E402
from bayescal.training.kl_ppo import KLPPO  # noqa: E402
from bayescal.training.points import sample_points  # noqa: E402

ACTIONS, SEEN, ROLES, WEEKS = 32, 7, 4, 36
DOMAIN = {
    "cost": (2.5, 2500.0),
    "phi.log_mean": (float(np.log(10)), float(np.log(1000))),
    "phi.log_sd": (0.1, 1.0),
}


class Chain(Environment):
    """A game of the beer game's shape: everybody orders from the next, stocks and backlogs cost money."""

    name: str = eqx.field(static=True, default="chain")
    role_names: tuple[str, ...] = eqx.field(static=True, default=tuple(f"stage {i}" for i in range(ROLES)))
    role_counts: tuple[int, ...] = eqx.field(static=True, default=(1,) * ROLES)
    action_values: tuple[tuple[float, ...], ...] = eqx.field(
        static=True, default=(tuple(map(float, range(ACTIONS))),) * ROLES
    )
    action_labels: tuple[tuple[str, ...], ...] = eqx.field(
        static=True, default=(tuple(map(str, range(ACTIONS))),) * ROLES
    )
    ordered: bool = eqx.field(static=True, default=True)
    horizon: int = eqx.field(static=True, default=WEEKS)
    discount: float = eqx.field(static=True, default=1.0)

    @property
    def params(self):
        return {}

    def reset(self, key, params):
        # (week, stocks, on the way now, on the way next week, orders received)
        return jnp.zeros((), jnp.int32), jnp.full(ROLES, 12.0), *[jnp.full(ROLES, 4.0)] * 3

    def step(self, key, state, joint_action, params):
        week, stock, near, far, _ = state
        demand = 4.0 + 4.0 * jax.random.bernoulli(key)
        orders = joint_action.astype(stock.dtype)
        asked = jnp.concatenate([demand[None], orders[:-1]])
        held = stock + near
        sent = jnp.clip(asked, 0.0, jnp.maximum(held, 0.0))
        stock = held - asked
        payoffs = -0.5 * jnp.maximum(stock, 0) - jnp.maximum(-stock, 0)
        new = week + 1, stock, far, jnp.concatenate([sent[1:], orders[-1:]]), asked
        return new, payoffs, week + 1 >= self.horizon

    def observe(self, state, player):
        week, stock, near, far, asked = state
        own = [x[player] for x in (jnp.maximum(stock, 0), jnp.maximum(-stock, 0), near, far, asked)]
        return jnp.stack([*own, jnp.sum(stock) / ROLES, week.astype(stock.dtype)]) / 16

    def replay(self, table):
        raise NotImplementedError

    def payoff_scale(self, params):
        return jnp.asarray(64.0)


def speed() -> None:
    skeleton = AmortisedPolicy(Chain(), {"cost": (0.1, 100.0)})
    trainer = KLPPO(skeleton, steps=1000, games=128, rollout=WEEKS)
    state = trainer.init(jax.random.key(0))
    start = time.perf_counter()
    step = jax.jit(lambda key, state: trainer.step(key, state)).lower(jax.random.key(1), state).compile()
    print(f"four players over time: compile {time.perf_counter() - start:.1f} s")
    jax.block_until_ready(step(jax.random.key(1), state))
    updates, seconds, cpu = 10, [], time.process_time()
    for i in range(updates):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(step(jax.random.key(i), state))
        seconds.append(time.perf_counter() - start)
    cpu = (time.process_time() - cpu) / updates
    work = trainer.games * trainer.rollout * ROLES
    middle, best = np.median(seconds), np.min(seconds)
    print(f"  {work / middle:,.0f} agent-steps/s at the median, {work / best:,.0f} at best ({cpu:.2f} CPU s an update)")


def cournot() -> tuple[bc.Cournot, AmortisedPolicy]:
    market = bc.Cournot(3, tuple(np.linspace(0, 60, 31)))
    return market, AmortisedPolicy(market, DOMAIN, population=bc.populations.LogNormal(16))


def yardstick(market: bc.Cournot, skeleton: AmortisedPolicy, n: int = 200):
    """n random points, and the mean divergence of a policy from the exact one over them, each at one own cost."""
    with jax.enable_x64(True):
        points = sample_points(skeleton, jax.random.key(123), n)
        exact = bc.ExactPolicy(market, population=bc.populations.LogNormal(16))
        solve = jax.jit(jax.vmap(lambda phi: exact.solve(phi=phi).expected_payoffs))
        payoffs = solve(points.phi)
        log_exact = np.asarray(jax.nn.log_softmax(payoffs[:, 0] / points.cost[:, None]))
    points = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), points)
    kept = np.all(np.isfinite(log_exact), axis=1)
    print(f"  {kept.sum()} of {n} points solved")

    @eqx.filter_jit
    def answers(policy):
        return jax.vmap(lambda p: policy.log_prob(0, p.cost, p.phi, p.psi, p.params))(points)

    def divergences(policy):
        log_p = np.asarray(answers(policy), float)
        return np.sum(np.exp(log_exact) * (log_exact - log_p), axis=1)[kept]

    return divergences


def curve(trainer, divergences, *, seconds: float, looks: int = 25):
    """[(CPU seconds, mean divergence)] of a training that ends after all its steps or some CPU seconds."""
    block = max(1, trainer.steps // looks)
    state = trainer.init(jax.random.key(0))
    go = jax.jit(lambda state, keys: jax.lax.scan(lambda s, k: (trainer.step(k, s)[0], None), state, keys)[0])
    keys = jax.random.split(jax.random.key(1), (looks, block))
    start = time.perf_counter()
    go = go.lower(state, keys[0]).compile()
    print(f"  {type(trainer).__name__}: compile {time.perf_counter() - start:.1f} s")
    spent, out = 0.0, [(0.0, divergences(trainer.policy(state)))]
    for block_keys in keys:
        start = time.process_time()
        state = jax.block_until_ready(go(state, block_keys))
        spent += time.process_time() - start
        out.append((spent, divergences(trainer.policy(state))))
        if spent > seconds:
            break
    last = out[-1][1]
    print(f"    {spent:.0f} CPU s: mean {last.mean():.5f} nats, median {np.median(last):.5f}, worst {last.max():.4f}")
    return [(t, float(np.mean(d))) for t, d in out]


def learning_curves(picture: Path, seconds: float) -> None:
    from bayescal.training.soft_q_expected import SoftQExpected

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    print("Cournot, three firms, 31 quantities, private costs")
    market, skeleton = cournot()
    divergences = yardstick(market, skeleton)
    learners = {
        "KLPPO": KLPPO(skeleton, steps=1500, games=512, rollout=4),
        "SoftQExpected": SoftQExpected(skeleton, steps=2000),
    }
    figure, axes = plt.subplots(figsize=(6, 4))
    for name, trainer in learners.items():
        t, kl = zip(*curve(trainer, divergences, seconds=seconds), strict=True)
        axes.plot(np.maximum(t, 0.1), kl, marker="o", markersize=3, label=name)
    axes.set(xscale="log", yscale="log", xlabel="CPU seconds (without compilation)", ylabel="mean KL(exact || learned)")
    axes.legend()
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=150, bbox_inches="tight")
    print(f"  {picture}")


def main() -> None:
    picture = Path(sys.argv[1] if len(sys.argv) > 1 else "bayescal-out/learning_curves.png")
    speed()
    learning_curves(picture, float(sys.argv[2]) if len(sys.argv) > 2 else 120.0)


if __name__ == "__main__":
    main()
