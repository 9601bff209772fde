# Everything public. `__init__.py` reads this list and loads each name when it is first used.
import bayescal.registry

from .anchored import Anchored as Anchored
from .base import Prior as Prior
from .centre import Centre as Centre
from .empirical import Empirical as Empirical
from .empirical import load_prior_file as load_prior_file
from .focal import Focal as Focal
from .log_linear import LogLinear as LogLinear
from .mixture import Mixture as Mixture
from .near import Adaptive as Adaptive
from .near import Naive as Naive
from .near import Previous as Previous
from .near import Usual as Usual
from .product import Product as Product
from .repeat import Repeat as Repeat
from .uniform import Uniform as Uniform

HABITS: bayescal.registry.Registry[type[Prior]]
