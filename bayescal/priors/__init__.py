"""Behaviours that people fall back on."""

from bayescal.priors.anchored import Anchored
from bayescal.priors.base import Prior
from bayescal.priors.centre import Centre
from bayescal.priors.empirical import Empirical, load_prior_file
from bayescal.priors.focal import Focal
from bayescal.priors.log_linear import LogLinear
from bayescal.priors.mixture import Mixture
from bayescal.priors.near import Adaptive, Naive, Previous, Usual
from bayescal.priors.product import Product
from bayescal.priors.repeat import Repeat
from bayescal.priors.uniform import Uniform

__all__ = [
    "Adaptive",
    "Anchored",
    "Centre",
    "Empirical",
    "Focal",
    "LogLinear",
    "Mixture",
    "Naive",
    "Previous",
    "Prior",
    "Product",
    "Repeat",
    "Uniform",
    "Usual",
    "load_prior_file",
]
