"""Inference on decisions: build a NumPyro model, draw from its posterior, keep everything in a `Fit`."""

from bayescal.inference.calibrate import calibrate
from bayescal.inference.fit import Fit
from bayescal.inference.infer import infer
from bayescal.inference.model import Model, build_model
from bayescal.inference.nuts import NUTS

__all__ = ["NUTS", "Fit", "Model", "build_model", "calibrate", "infer"]
