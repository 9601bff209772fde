"""People who are not there: simulated experiments, and populations for somebody else's simulation."""

from bayescal.simulation.play import simulate

__all__ = ["simulate"]
