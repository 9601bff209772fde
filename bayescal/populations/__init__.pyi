# Everything public. `__init__.py` reads this list and loads each name when it is first used.
import bayescal.registry

from .base import Population as Population
from .discrete import Discrete as Discrete
from .gamma import Gamma as Gamma
from .homogeneous import Homogeneous as Homogeneous
from .log_normal import LogNormal as LogNormal
from .mixture import Mixture as Mixture
from .truncated_normal import TruncatedNormal as TruncatedNormal

POPULATIONS: bayescal.registry.Registry[type[Population]]
