"""NumPyro, loaded as a whole before any of its parts.

ArviZ registers NumPyro as a lazy module. If a part of a lazy module is imported first, Python loads that part twice,
and `numpyro.factor` fails. Packages whose modules use NumPyro import this module before them.
"""

import numpyro

assert numpyro.distributions.Distribution  # the access loads a lazy module
