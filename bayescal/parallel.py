"""Chains in parallel on a CPU: JAX must know how many devices to offer before it starts."""

import os
import sys

_FLAG = "--xla_force_host_platform_device_count"


def use_cores(n: int) -> bool:
    """Let up to n chains run in parallel. Call it before anything numeric.

    Returns whether it took effect. Once JAX has started it is too late, and chains run as they would have without it.

    Example:
        >>> import bayescal as bc
        >>> bc.use_cores(1)  # False if JAX has started with fewer devices
        True
    """
    if _has_started():
        return sys.modules["jax"].local_device_count() >= n
    others = [f for f in os.environ.get("XLA_FLAGS", "").split() if not f.startswith(_FLAG)]
    os.environ["XLA_FLAGS"] = " ".join([*others, f"{_FLAG}={n}"])
    return True


def _has_started() -> bool:
    """Whether JAX has started: from then on it refuses another number of CPU devices. The setting stays as it is."""
    jax = sys.modules.get("jax")
    if jax is None:
        return False
    before = jax.config.jax_num_cpu_devices
    try:
        jax.config.update("jax_num_cpu_devices", 1 if before != 1 else 2)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", before)
    return False
