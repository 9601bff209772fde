"""The chain of one echelon, a shop that is never kept waiting, solved in NumPy."""

import numpy as np

from bayescal.environments.supply_chain import SupplyChain


def exact_one_echelon(env: SupplyChain, cost: float, low=-300, high=600):
    """Q of the one-echelon chain with a uniform prior, by inventory position: its soft Bellman equation in NumPy.

    An order counts when it has arrived, after the whole delay; until then costs are what they are. So what an order
    is worth depends on inventory and supply line together, and the delayed week's expected cost can be charged today.
    """
    weekly = np.asarray(env.demand[1])
    lead = env.order_delay + env.shipping_delay
    total = np.ones(1)
    for _ in range(lead):
        total = np.convolve(total, weekly)
    position, orders = np.arange(low, high + 1), np.arange(len(env.action_values[0]))
    after = np.arange(low, high + len(orders))
    left = after[:, None] - np.arange(len(total))
    paid = -(env.discount**lead) * (np.where(left > 0, 0.5 * left, -left) @ total)
    then = np.clip(after[:, None] - np.arange(len(weekly)), low, high) - low
    reach = (position - low)[:, None] + orders
    value = np.zeros(len(position))
    for _ in range(3000):
        q = (paid + env.discount * value[then] @ weekly)[reach]
        best = q.max(axis=1)
        new = best + cost * np.log(np.exp((q - best[:, None]) / cost).mean(axis=1))
        change, value = np.abs(new - value).max(), new
        if change < 1e-9:
            break
    return q


def choices(env: SupplyChain, cost: float, low=-300, high=600) -> np.ndarray:
    """Probabilities of all orders, by inventory position from `low` on."""
    q = exact_one_echelon(env, cost, low, high)
    p = np.exp((q - q.max(axis=1, keepdims=True)) / cost)
    return p / p.sum(axis=1, keepdims=True)
