"""Small games over time with solutions that a few lines of NumPy can find."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayescal.environments.base import Environment


class Walk(Environment):
    """One player on a ring of places: stay or step on; places pay rent, steps cost a toll, and some slip."""

    rents: tuple[float, ...] = eqx.field(static=True, default=(0.0, 1.0, -0.5, 2.0))
    toll: float = eqx.field(static=True, default=0.3)
    name: str = eqx.field(static=True, default="walk")
    role_names: tuple[str, ...] = eqx.field(static=True, default=("walker",))
    role_counts: tuple[int, ...] = eqx.field(static=True, default=(1,))
    action_values: tuple[tuple[float, ...], ...] = eqx.field(static=True, default=((0.0, 1.0),))
    action_labels: tuple[tuple[str, ...], ...] = eqx.field(static=True, default=(("stay", "step"),))
    ordered: bool = eqx.field(static=True, default=False)
    horizon: int = eqx.field(static=True, default=20)
    discount: float = eqx.field(static=True, default=0.8)

    @property
    def params(self):
        return {}

    def payoff_scale(self, params):
        return jnp.asarray(max(self.rents) - min(self.rents))

    def reset(self, key, params):
        return jax.random.randint(key, (), 0, len(self.rents))

    def step(self, key, state, joint_action, params):
        slip = jax.random.bernoulli(key, 0.1)  # one step in ten goes nowhere
        moved = (joint_action[0] == 1) & ~slip
        after = (state + moved.astype(state.dtype)) % len(self.rents)
        # The walk ends by chance, which the discount stands for: no round is the last.
        return after, (jnp.asarray(self.rents)[after] - self.toll * (joint_action[0] == 1))[None], jnp.asarray(False)

    def observe(self, state, player):
        return jax.nn.one_hot(state, len(self.rents))

    def replay(self, table):
        raise NotImplementedError

    def exact(self, cost):
        """(places, actions) choice probabilities by soft value iteration with a uniform prior."""
        rents, n = np.asarray(self.rents), len(self.rents)
        v = np.zeros(n)
        for _ in range(500):
            stay = rents + self.discount * v
            on = np.roll(stay, -1)
            q = np.stack([stay, 0.9 * on + 0.1 * stay - self.toll], axis=1)
            best = q.max(axis=1)
            v = best + cost * np.log(np.mean(np.exp((q - best[:, None]) / cost), axis=1))
        weights = np.exp((q - q.max(axis=1, keepdims=True)) / cost)
        return weights / weights.sum(axis=1, keepdims=True), q
