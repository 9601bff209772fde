"""Learning policies: trainers, the loop around them, certificates, and the shipped models."""

from bayescal.registry import Registry
from bayescal.training.base import GradientTrainer, Trainer
from bayescal.training.certificate import certify
from bayescal.training.distil import Distil
from bayescal.training.distil_one_shot import DistilOneShot
from bayescal.training.kl_ppo import KLPPO
from bayescal.training.look_ahead import LookAhead
from bayescal.training.recipe import Recipe, list_models, load_model, model_names, train_model
from bayescal.training.soft_q import SoftQ
from bayescal.training.soft_q_expected import SoftQExpected
from bayescal.training.soft_q_markov import SoftQMarkov
from bayescal.training.train import Trained, train

TRAINERS: Registry[type[Trainer]] = Registry(
    "trainer",
    {
        "SoftQ": "bayescal.training.soft_q:SoftQ",
        "SoftQExpected": "bayescal.training.soft_q_expected:SoftQExpected",
        "SoftQMarkov": "bayescal.training.soft_q_markov:SoftQMarkov",
        "LookAhead": "bayescal.training.look_ahead:LookAhead",
        "Distil": "bayescal.training.distil:Distil",
        "DistilOneShot": "bayescal.training.distil_one_shot:DistilOneShot",
        "KLPPO": "bayescal.training.kl_ppo:KLPPO",
    },
)

__all__ = [
    "KLPPO",
    "TRAINERS",
    "GradientTrainer",
    "Recipe",
    "SoftQ",
    "SoftQExpected",
    "SoftQMarkov",
    "Distil",
    "DistilOneShot",
    "LookAhead",
    "Trained",
    "Trainer",
    "certify",
    "list_models",
    "load_model",
    "model_names",
    "train",
    "train_model",
]
