"""Chains side by side on a CPU: JAX must be told of them before it starts."""

import os
import sys

_FLAG = "--xla_force_host_platform_device_count"


def use_cores(n: int) -> None:
    """Let up to n chains run at once; call it before anything numeric. Too late, it says so and changes nothing."""
    if "jax" in sys.modules:
        from jax._src import xla_bridge

        if xla_bridge.backends_are_initialized():
            import warnings

            warnings.warn(
                "use_cores was called after JAX had started, so chains will run one after another: call it first.",
                stacklevel=2,
            )
            return
    others = [f for f in os.environ.get("XLA_FLAGS", "").split() if not f.startswith(_FLAG)]
    os.environ["XLA_FLAGS"] = " ".join([*others, f"{_FLAG}={n}"])
