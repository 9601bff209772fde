"""Inference on decisions: build a NumPyro model, draw from its posterior, keep everything in a `Fit`."""

from bayescal.inference.calibrate import calibrate, estimate
from bayescal.inference.fit import Fit
from bayescal.inference.grid import Grid
from bayescal.inference.identify import Identifiability, identify
from bayescal.inference.infer import infer
from bayescal.inference.mle import Estimate, maximum_likelihood
from bayescal.inference.model import Model, build_model
from bayescal.inference.nuts import NUTS
from bayescal.inference.svi import SVI

__all__ = [
    "NUTS",
    "SVI",
    "Estimate",
    "Fit",
    "Grid",
    "Identifiability",
    "Model",
    "build_model",
    "calibrate",
    "estimate",
    "identify",
    "infer",
    "maximum_likelihood",
]
