"""Habits: behaviours that people fall back on.

`HABITS` holds the kinds that a study asks for by name. A kind of your own joins them with one line:

    HABITS.register("Imitation", Imitation)

Example:
    >>> import bayescal as bc
    >>> from bayescal.priors import HABITS
    >>> HABITS["Previous"] is bc.priors.Previous
    True
"""

import lazy_loader

from bayescal.registry import Registry

HABITS = Registry(
    "habit",
    {
        "Adaptive": "bayescal.priors.near:Adaptive",
        "Anchored": "bayescal.priors.anchored:Anchored",
        "Centre": "bayescal.priors.centre:Centre",
        "Focal": "bayescal.priors.focal:Focal",
        "LogLinear": "bayescal.priors.log_linear:LogLinear",
        "Naive": "bayescal.priors.near:Naive",
        "Previous": "bayescal.priors.near:Previous",
        "Repeat": "bayescal.priors.repeat:Repeat",
        "Uniform": "bayescal.priors.uniform:Uniform",
        "Usual": "bayescal.priors.near:Usual",
    },
)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
