"""Chains side by side on a CPU: JAX must be told of them before it starts."""

import os
import sys

_FLAG = "--xla_force_host_platform_device_count"


def use_cores(n: int) -> bool:
    """Let up to n chains run at once; call it before anything numeric.

    Returns whether it took effect: once JAX has started it is too late, and chains run as they would have.

    Example:
        >>> import bayescal as bc
        >>> bc.use_cores(1)  # before anything numeric; False where it comes too late
        True
    """
    if "jax" in sys.modules:
        from jax._src import xla_bridge

        if xla_bridge.backends_are_initialized():
            return sys.modules["jax"].local_device_count() >= n
    others = [f for f in os.environ.get("XLA_FLAGS", "").split() if not f.startswith(_FLAG)]
    os.environ["XLA_FLAGS"] = " ".join([*others, f"{_FLAG}={n}"])
    return True
