"""Sharpening over time: a policy that is wrong, trained on where the posterior is, leads to the right posterior.

The shop of one echelon is solved exactly in NumPy (tests/unit/shops.py); decisions are drawn from that solution.
"""

import equinox as eqx
import numpy as np
import pandas as pd
import pytest

import bayescal as bc
from bayescal.diagnostics.neighbourhood import neighbourhood
from tests.unit import shops

COST = 1.5
TRAINER = bc.LookAhead.example()
SHOP = TRAINER.skeleton.environment


@pytest.fixture(scope="module")
def wrong():
    """Trained, and then its values are tilted towards large orders."""
    policy = bc.train(TRAINER).policy
    last = policy.network.worth.biases[-1].at[:, 1].add(8.0)
    return eqx.tree_at(lambda p: p.network.worth.biases, policy, (*policy.network.worth.biases[:-1], last))


@pytest.fixture(scope="module")
def table():
    """Orders of forty shops for twelve weeks, from the exact solution."""
    rng, rows = np.random.default_rng(0), []
    chances = shops.choices(SHOP, COST, -60, 60)
    for shop in range(40):
        stock, on_order = SHOP.inventory, [SHOP.flow, SHOP.flow]
        for week in range(12):
            demand = rng.choice(3, p=SHOP.demand[1])
            stock += on_order.pop(0) - demand
            position = round(stock + sum(on_order))
            order = rng.choice(3, p=chances[position + 60])
            rows.append(
                {"participant": f"s{shop}", "group": f"s{shop}", "round": week + 1, "role": "retailer", "action": order,
                 "demand": demand}
            )  # fmt: skip
            on_order.append(float(order))
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_a_wrong_policy_is_mended_where_the_posterior_is(wrong, table):
    decisions = bc.Decisions.from_table(table, {"shop": SHOP})
    model = bc.build_model(wrong, bc.populations.Homogeneous(), decisions)
    fit = bc.infer(model, bc.Grid(draws=1000, seed=0))
    log_cost = lambda fit: np.log(np.asarray(fit.tree["posterior"]["cost"]))
    off = lambda fit: abs(log_cost(fit).mean() - np.log(COST)) / log_cost(fit).std()
    assert off(fit) > 20
    found = bc.sharpen(fit, model, steps=400)
    assert off(found.fit) < 0.2 * off(fit) and found.settled is False
    again = bc.sharpen(found.fit, found.model, steps=400)
    assert off(again.fit) < 2.5
    box = dict(neighbourhood(again.fit, again.model.spec).intervals)["cost"]
    draws = np.exp(log_cost(again.fit))
    assert 0.5 < box.low < draws.mean() < box.high < 5.0
