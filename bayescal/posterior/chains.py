"""Map a function over chains: on as many devices at once as divide their number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import PyTree


def side_by_side(chains: int) -> int:
    """How many chains run at once, each on a device: see `bayescal.use_cores`."""
    return max(n for n in range(1, jax.local_device_count() + 1) if chains % n == 0)


def over_chains(chains: int) -> Callable[[Callable[[PyTree], PyTree]], Any]:
    """A transformation: the function of one chain becomes a compiled function of trees with a leading axis of chains.

    Chains run in parallel on devices and one after another on each device. Vectorised chains would wait for the longest
    trajectory among them, which is slower on a CPU.
    """
    devices = side_by_side(chains)
    if devices == 1:
        return lambda f: jax.jit(lambda x: jax.lax.map(f, x))

    def parallel(f: Callable[[PyTree], PyTree]) -> _Parallel:
        run = jax.pmap(lambda x: jax.lax.map(f, x), devices=jax.local_devices()[:devices])
        return _Parallel(run, devices, chains)

    return parallel


@dataclass(frozen=True)
class _Parallel:
    """A pmapped function of trees with a leading axis of chains, with the `lower(…).compile()` of a jitted one."""

    run: Any  # pmapped, lowered or compiled: JAX has no public type for it
    devices: int
    chains: int

    def _split(self, tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: x.reshape(self.devices, self.chains // self.devices, *x.shape[1:]), tree)

    def __call__(self, tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: x.reshape(self.chains, *x.shape[2:]), self.run(self._split(tree)))

    def lower(self, tree: PyTree) -> "_Parallel":
        return _Parallel(self.run.lower(jax.eval_shape(self._split, tree)), self.devices, self.chains)

    def compile(self) -> "_Parallel":
        return _Parallel(self.run.compile(), self.devices, self.chains)
