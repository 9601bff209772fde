"""Simulated experiments, and people drawn from a posterior for a simulation of your own."""

from bayescal.simulation.agents import Agents
from bayescal.simulation.play import simulate

__all__ = ["Agents", "simulate"]
