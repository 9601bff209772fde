"""Checks of a fit: whether its draws can be trusted, and whether the model describes the decisions."""

import bayescal._numpyro  # noqa: F401 - before any part of NumPyro
from bayescal.diagnostics.base import Check, Outcome
from bayescal.diagnostics.check import Checks, check
from bayescal.diagnostics.pit import loo_pit
from bayescal.diagnostics.predictive import predictive
from bayescal.diagnostics.sensitivity import sensitivity

__all__ = ["Check", "Checks", "Outcome", "check", "loo_pit", "predictive", "sensitivity"]
