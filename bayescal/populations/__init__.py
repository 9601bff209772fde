"""Distributions of costs over people."""

from bayescal.populations.base import Population
from bayescal.populations.discrete import Discrete
from bayescal.populations.gamma import Gamma
from bayescal.populations.homogeneous import Homogeneous
from bayescal.populations.log_normal import LogNormal
from bayescal.populations.mixture import Mixture
from bayescal.populations.truncated_normal import TruncatedNormal

__all__ = ["Discrete", "Gamma", "Homogeneous", "LogNormal", "Mixture", "Population", "TruncatedNormal"]
