"""NumPyro's NUTS kernel (Hoffman & Gelman 2014) of a potential: the only place that wires it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree
from numpyro.infer import NUTS
from numpyro.infer.hmc import HMCState

from bayescal._types import Key

PLATEAU = 1e15  # a potential above that of any data


@dataclass(frozen=True, eq=False)
class Kernel:
    """A Markov chain whose stationary density is exp(-potential).

    Attributes:
        potential: of a point, which is any tree of unconstrained arrays.
        warmup: iterations in which step size and metric are adapted.
        target_accept: acceptance probability that the step size is adapted to.
        dense: whether the metric has all covariances, rather than variances only.
        step_size: before adaptation.
        adapt_metric: whether the metric is adapted.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from bayescal.posterior.kernel import Kernel
        >>> kernel = Kernel(lambda x: 0.5 * x @ x, warmup=100)
        >>> draws, diverging = kernel.walk(kernel.init(jax.random.key(0), jnp.zeros(2)), 400)
        >>> draws.shape, bool(abs(draws.mean()) < 0.3)
        ((400, 2), True)
    """

    potential: Callable[[PyTree], Float[Array, ""]]
    warmup: int
    target_accept: float = 0.8
    dense: bool = False
    step_size: float = 1.0
    adapt_metric: bool = True

    def _nuts(self, potential: Callable[[PyTree], Float[Array, ""]]) -> NUTS:
        return NUTS(
            potential_fn=potential,
            target_accept_prob=self.target_accept,
            dense_mass=self.dense,
            step_size=self.step_size,
            adapt_mass_matrix=self.adapt_metric,
        )

    @cached_property
    def _kernel(self) -> NUTS:
        return self._nuts(self.potential)

    @cached_property
    def _on_plateau(self) -> NUTS:
        return self._nuts(lambda at: PLATEAU + 0.0 * sum(x.sum() for x in jax.tree.leaves(at)))

    def init(self, key: Key, at: PyTree) -> HMCState:
        """The state of a chain that starts at a point."""
        return self._kernel.init(key, self.warmup, at, (), {})

    def init_on_plateau(self, key: Key, at: PyTree) -> HMCState:
        """The same without the potential's gradient at the point, whose second compilation would take seconds. The
        chain starts on a plateau so high that its first step down to the potential, in warm-up, is always accepted."""
        jax.eval_shape(self.init, key, at)  # sets up `step`
        return self._on_plateau.init(key, self.warmup, at, (), {})

    def step(self, state: HMCState) -> HMCState:
        """One iteration. Call `init` or `init_on_plateau` before."""
        return self._kernel.sample(state, (), {})

    def walk(self, state: HMCState, draws: int) -> tuple[PyTree, Bool[Array, " draws"]]:
        """(draws after warm-up, whether each transition diverged) of a chain from its first state on."""

        def step(state: HMCState, _: None) -> tuple[HMCState, tuple[PyTree, Bool[Array, ""]]]:
            state = self.step(state)
            return state, (state.z, state.diverging)

        _, visited = jax.lax.scan(step, state, None, length=self.warmup + draws)
        return jax.tree.map(lambda x: x[self.warmup :], visited)


def statistics(state: HMCState) -> dict[str, Array]:
    """What the kernel reports of an iteration, under ArviZ's names."""
    return {
        "diverging": state.diverging,
        "energy": state.energy,
        "lp": -state.potential_energy,
        "n_steps": state.num_steps,
        "tree_depth": jnp.ceil(jnp.log2(state.num_steps + 1.0)).astype(jnp.int32),
        "acceptance_rate": state.accept_prob,
        "step_size": state.adapt_state.step_size,
    }
