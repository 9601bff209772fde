"""SoftQ on three-firm Cournot: seconds of training against divergence from the exact policy, and how roles are told.

uv run python tests/benchmarks/bench_soft_q.py
"""

import numpy as np

import bayescal as bc
from bayescal.training.certificate import oracle_kl
from bayescal.training.soft_q import SoftQ


def main() -> None:
    market = bc.AmortisedPolicy(
        bc.Cournot(3, np.linspace(0, 60, 31)),
        {"cost": (2.5, 2500.0), "phi.log_mean": (np.log(10.0), np.log(1000.0)), "phi.log_sd": (0.1, 1.0)},
        population=bc.populations.LogNormal(16),
    )
    kl = oracle_kl(market, points=200)
    print("Cournot, 3 firms, 31 quantities, costs over a factor of 1,000; mean KL(exact, learned) over the box")
    for name, trainer in (
        ("Newton targets, 5,000 steps", bc.SoftQExpected(market, steps=5000, batch=128)),
        ("Newton targets, 20,000 steps", bc.SoftQExpected(market, steps=20_000, batch=128)),
        ("plain replies, 5,000 steps", bc.SoftQExpected(market, steps=5000, batch=128, newton=False)),
        ("from play, 5,000 steps", SoftQ(market, steps=5000, games=256)),
    ):
        trained = bc.train(trainer)
        print(
            f"  {name}: {trained.seconds_training:.1f} s (compilation {trained.seconds_compiling:.1f} s), "
            f"KL {kl(trained.policy):.1e}"
        )
    print("2x2 games, 4,000 steps; median and 95% total variation over the box")
    game = bc.NormalForm(np.zeros((2, 2, 2)), name="2x2 game")
    for roles in ("shared", "embedded", "separate"):
        policy = bc.AmortisedPolicy(game, {"cost": (0.1, 100.0), "params.payoffs": (-25.0, 25.0)}, roles=roles, depth=3)
        trained = bc.train(bc.SoftQExpected(policy, steps=4000, batch=512, curriculum=0.3, outlier=1e-4))
        tv = bc.certify(trained.policy, points=1000)["total_variation"]
        print(f"  roles {roles}: {trained.seconds_training:.1f} s, {tv['median']:.1e}, {tv['q95']:.1e}")


if __name__ == "__main__":
    main()
