"""Which explanation predicts people best."""

from bayescal.comparison.compare import Comparison, compare
from bayescal.comparison.study import compare_study

__all__ = ["Comparison", "compare", "compare_study"]
