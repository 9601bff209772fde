"""People who are not there: simulated experiments, and populations for somebody else's simulation."""

from bayescal.simulation.agents import Agents
from bayescal.simulation.play import simulate

__all__ = ["Agents", "simulate"]
