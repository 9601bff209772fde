"""The package's one policy on precision.

Solving, inference, certification and the command line work in float64, whatever JAX's default: a log-likelihood of
thousands of decisions is so large, and values of games over time are so large beside a small cost, that float32 leaves
visible noise in differences. Networks are trained, and play, in JAX's default precision.
"""

from contextlib import AbstractContextManager

# Accelerators multiply matrices of float32 in fewer bits unless they are asked for more. Values are divided by costs,
# which may be small, so products that make values are computed at this precision.
FULL = "highest"


def double_precision(on: bool = True) -> AbstractContextManager[None]:
    """Within it JAX computes in float64.

    Example:
        >>> import jax.numpy as jnp
        >>> from bayescal.precision import double_precision
        >>> with double_precision():
        ...     print(jnp.zeros(1).dtype)
        float64
    """
    import jax

    return jax.enable_x64(on)
