"""Learning policies: trainers, the loop around them, certificates, and the zoo."""

from bayescal.training.base import Trainer
from bayescal.training.certificate import certify
from bayescal.training.kl_ppo import KLPPO
from bayescal.training.recipe import Recipe, list_models, load_model, model_names, train_model
from bayescal.training.soft_q import SoftQ
from bayescal.training.soft_q_expected import SoftQExpected
from bayescal.training.soft_q_markov import SoftQMarkov
from bayescal.training.train import Trained, train

__all__ = [
    "KLPPO",
    "Recipe",
    "SoftQ",
    "SoftQExpected",
    "SoftQMarkov",
    "Trained",
    "Trainer",
    "certify",
    "list_models",
    "load_model",
    "model_names",
    "train",
    "train_model",
]
