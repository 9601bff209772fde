"""Which model predicts best out of sample."""

from bayescal.comparison.compare import Comparison, compare
from bayescal.comparison.study import compare_study

__all__ = ["Comparison", "compare", "compare_study"]
