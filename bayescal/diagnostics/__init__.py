"""What to look at before a fit is believed."""

from bayescal.diagnostics.base import Check
from bayescal.diagnostics.check import Checks, check
from bayescal.diagnostics.pit import loo_pit
from bayescal.diagnostics.predictive import predictive
from bayescal.diagnostics.sensitivity import sensitivity

__all__ = ["Check", "Checks", "check", "loo_pit", "predictive", "sensitivity"]
