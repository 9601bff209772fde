"""bayescal: what information costs people, inferred from their decisions in economic games.

Everything public is on this page. Importing the package loads nothing numeric: a name is loaded when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayescal.comparison import Comparison, compare, compare_study
    from bayescal.data.study import Study, load_study
    from bayescal.data.where import study_names
    from bayescal.decisions import Decisions
    from bayescal.diagnostics import Checks, check
    from bayescal.domain import Domain
    from bayescal.environments.base import Environment, OneShot
    from bayescal.environments.beauty_contest import BeautyContest
    from bayescal.environments.bus_engine import BusEngine
    from bayescal.environments.capacity_allocation import CapacityAllocation
    from bayescal.environments.cobweb import Cobweb
    from bayescal.environments.cournot import Cournot
    from bayescal.environments.cournot_repeated import RepeatedCournot
    from bayescal.environments.extensive import ExtensiveForm
    from bayescal.environments.markov import MarkovGame
    from bayescal.environments.named import game_names, get_game, load_game_file
    from bayescal.environments.newsvendor import Newsvendor
    from bayescal.environments.normal_form import NormalForm
    from bayescal.environments.public_goods import PublicGoods
    from bayescal.environments.repeated_dilemma import repeated_dilemma
    from bayescal.environments.supply_chain import SupplyChain, beer_game
    from bayescal.environments.symmetric import request_game, travelers_dilemma
    from bayescal.environments.volunteers_dilemma import VolunteersDilemma
    from bayescal.errors import DomainError, InputError
    from bayescal.inference import NUTS, SVI, Fit, Grid, build_model, calibrate, estimate, infer, maximum_likelihood
    from bayescal.inference.evidence import Evidence
    from bayescal.inference.identify import identify
    from bayescal.inference.recover import recover
    from bayescal.inference.reweight import reweight
    from bayescal.inference.rivals import ablation, rivals
    from bayescal.inference.sbc import sbc
    from bayescal.parallel import use_cores
    from bayescal.policies.amortised import AmortisedPolicy
    from bayescal.policies.exact import ExactPolicy, Solution, equilibrium
    from bayescal.report import write_report
    from bayescal.report.priors import prior_picture
    from bayescal.simulation import Agents, simulate
    from bayescal.training import (
        KLPPO,
        Recipe,
        SoftQ,
        SoftQExpected,
        SoftQMarkov,
        certify,
        load_model,
        model_names,
        train,
    )

_HOME = {
    # games
    "Environment": "bayescal.environments.base",
    "OneShot": "bayescal.environments.base",
    "NormalForm": "bayescal.environments.normal_form",
    "Cournot": "bayescal.environments.cournot",
    "BeautyContest": "bayescal.environments.beauty_contest",
    "VolunteersDilemma": "bayescal.environments.volunteers_dilemma",
    "PublicGoods": "bayescal.environments.public_goods",
    "repeated_dilemma": "bayescal.environments.repeated_dilemma",
    "SupplyChain": "bayescal.environments.supply_chain",
    "beer_game": "bayescal.environments.supply_chain",
    "CapacityAllocation": "bayescal.environments.capacity_allocation",
    "Newsvendor": "bayescal.environments.newsvendor",
    "Cobweb": "bayescal.environments.cobweb",
    "RepeatedCournot": "bayescal.environments.cournot_repeated",
    "BusEngine": "bayescal.environments.bus_engine",
    "MarkovGame": "bayescal.environments.markov",
    "ExtensiveForm": "bayescal.environments.extensive",
    "travelers_dilemma": "bayescal.environments.symmetric",
    "request_game": "bayescal.environments.symmetric",
    "game_names": "bayescal.environments.named",
    "get_game": "bayescal.environments.named",
    "load_game_file": "bayescal.environments.named",
    # policies
    "ExactPolicy": "bayescal.policies.exact",
    "Solution": "bayescal.policies.exact",
    "equilibrium": "bayescal.policies.exact",
    "AmortisedPolicy": "bayescal.policies.amortised",
    "Domain": "bayescal.domain",
    # learning
    "SoftQ": "bayescal.training",
    "SoftQExpected": "bayescal.training",
    "SoftQMarkov": "bayescal.training",
    "KLPPO": "bayescal.training",
    "Recipe": "bayescal.training",
    "train": "bayescal.training",
    "certify": "bayescal.training",
    "load_model": "bayescal.training",
    "model_names": "bayescal.training",
    # data
    "Decisions": "bayescal.decisions",
    "Study": "bayescal.data.study",
    "load_study": "bayescal.data.study",
    "study_names": "bayescal.data.where",
    # inference
    "build_model": "bayescal.inference",
    "infer": "bayescal.inference",
    "calibrate": "bayescal.inference",
    "estimate": "bayescal.inference",
    "maximum_likelihood": "bayescal.inference",
    "NUTS": "bayescal.inference",
    "SVI": "bayescal.inference",
    "Grid": "bayescal.inference",
    "Evidence": "bayescal.inference.evidence",
    "identify": "bayescal.inference.identify",
    "reweight": "bayescal.inference.reweight",
    "sbc": "bayescal.inference.sbc",
    "recover": "bayescal.inference.recover",
    # which explanation wins
    "rivals": "bayescal.inference.rivals",
    "ablation": "bayescal.inference.rivals",
    "compare": "bayescal.comparison",
    "compare_study": "bayescal.comparison",
    "Comparison": "bayescal.comparison",
    "check": "bayescal.diagnostics",
    "Checks": "bayescal.diagnostics",
    "prior_picture": "bayescal.report.priors",
    "Fit": "bayescal.inference",
    "use_cores": "bayescal.parallel",
    # simulation
    "simulate": "bayescal.simulation",
    "Agents": "bayescal.simulation",
    # reports and errors
    "write_report": "bayescal.report",
    "InputError": "bayescal.errors",
    "DomainError": "bayescal.errors",
}
# Kinds that come in several, by module: bayescal.populations.LogNormal, bayescal.priors.Uniform.
_MODULES = ("populations", "priors")

__all__ = [
    "KLPPO",
    "NUTS",
    "SVI",
    "Agents",
    "AmortisedPolicy",
    "BeautyContest",
    "BusEngine",
    "CapacityAllocation",
    "Checks",
    "Cobweb",
    "Comparison",
    "Cournot",
    "Decisions",
    "Domain",
    "DomainError",
    "Environment",
    "Evidence",
    "ExactPolicy",
    "ExtensiveForm",
    "Fit",
    "Grid",
    "InputError",
    "MarkovGame",
    "Newsvendor",
    "NormalForm",
    "OneShot",
    "PublicGoods",
    "Recipe",
    "RepeatedCournot",
    "SoftQ",
    "SoftQExpected",
    "SoftQMarkov",
    "Solution",
    "Study",
    "SupplyChain",
    "VolunteersDilemma",
    "ablation",
    "beer_game",
    "build_model",
    "calibrate",
    "certify",
    "check",
    "compare",
    "compare_study",
    "equilibrium",
    "estimate",
    "game_names",
    "get_game",
    "identify",
    "infer",
    "load_game_file",
    "load_model",
    "load_study",
    "maximum_likelihood",
    "model_names",
    "prior_picture",
    "recover",
    "repeated_dilemma",
    "request_game",
    "reweight",
    "rivals",
    "sbc",
    "simulate",
    "study_names",
    "train",
    "travelers_dilemma",
    "use_cores",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("bayescal")
    if name in _MODULES:
        return import_module(f"bayescal.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'bayescal' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *_MODULES, "__version__"]
