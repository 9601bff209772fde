"""Updates of the weights: Muon with warm-up and cosine decay; the final policy uses a running average."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array, Int, PyTree


def optimiser(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) for matrices, Adam for biases: in trials on these small regressions it left about half
    the error of Adam after the same number of steps."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, max(1, min(100, steps // 10)), max(2, steps), learning_rate * 1e-3
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.contrib.muon(rate))


def average[Weights: PyTree](mean: Weights, new: Weights, count: Int[Array, ""], steps: int) -> Weights:
    """The running average of the weights after `count` steps, with a memory of a hundredth of all `steps`."""
    share = jnp.minimum(1 - 1 / (1 + count / 10.0), 1 - 1 / max(10.0, steps / 100))
    return jax.tree.map(lambda old, new: share * old + (1 - share) * new, mean, new)


def memory_of(rule: optax.GradientTransformation, network: PyTree) -> PyTree:
    """The state of the update rule before the first step."""
    return rule.init(network)


def descend(
    rule: optax.GradientTransformation, network: PyTree, slope: PyTree, memory: PyTree
) -> tuple[PyTree, PyTree]:
    """(the weights after one step against the slope, the rule's next memory)."""
    updates, memory = rule.update(slope, memory, network)
    return optax.apply_updates(network, updates), memory
