"""Populations: distributions of costs over people.

`POPULATIONS` holds the kinds that a study asks for by name. A kind of your own joins them with one line:

    POPULATIONS.register("exponential", Exponential)

Example:
    >>> import bayescal as bc
    >>> from bayescal.populations import POPULATIONS
    >>> POPULATIONS["gamma"] is bc.populations.Gamma
    True
"""

import lazy_loader

from bayescal.registry import Registry

POPULATIONS = Registry(
    "population",
    {
        "homogeneous": "bayescal.populations.homogeneous:Homogeneous",
        "log-normal": "bayescal.populations.log_normal:LogNormal",
        "truncated-normal": "bayescal.populations.truncated_normal:TruncatedNormal",
        "gamma": "bayescal.populations.gamma:Gamma",
        "two-classes": "bayescal.populations.mixture:Mixture",
    },
)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
