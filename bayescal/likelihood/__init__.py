import bayescal._numpyro  # noqa: F401 - before any part of NumPyro
