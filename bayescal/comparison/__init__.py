"""Which explanation predicts people best."""

from bayescal.comparison.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
