"""How weights move: Muon with a warm-up and a cosine decay, and a running average that is the policy that is kept."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import PRNGKeyArray

from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.network import Network


def optimiser(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) for matrices, Adam for biases: in trials on these small regressions it left about half
    the error that Adam did after as many steps."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, max(1, min(100, steps // 10)), max(2, steps), learning_rate * 1e-3
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.contrib.muon(rate))


def average(kept: Any, new: Any, count: Any, steps: int) -> Any:
    """The running average of the weights; it forgets over a hundredth of the training."""
    share = jnp.minimum(1 - 1 / (1 + count / 10.0), 1 - 1 / max(10.0, steps / 100))
    return jax.tree.map(lambda a, n: share * a + (1 - share) * n, kept, new)


def fresh_network(skeleton: AmortisedPolicy, key: PRNGKeyArray) -> Network:
    """Random weights of the skeleton's shape."""
    if skeleton.roles == "separate":
        return jax.vmap(Network.fresh)(skeleton.network, jax.random.split(key, skeleton.environment.roles))
    return skeleton.network.fresh(key)
