"""Behaviours that people fall back on."""

from bayescal.priors.anchored import Anchored
from bayescal.priors.base import Prior
from bayescal.priors.empirical import Empirical, load_prior_file
from bayescal.priors.focal import Focal
from bayescal.priors.log_linear import LogLinear
from bayescal.priors.mixture import Mixture
from bayescal.priors.uniform import Uniform

__all__ = ["Anchored", "Empirical", "Focal", "LogLinear", "Mixture", "Prior", "Uniform", "load_prior_file"]
