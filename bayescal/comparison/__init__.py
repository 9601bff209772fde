"""Which model predicts best out of sample."""

import bayescal._numpyro  # noqa: F401 - before any part of NumPyro
from bayescal.comparison.compare import Comparison, compare
from bayescal.comparison.study import compare_study

__all__ = ["Comparison", "compare", "compare_study"]
