"""Compressed likelihoods: everybody's decisions as a polynomial of the shared numbers."""

from bayescal.likelihood.evidence.error import Error, Unresolved
from bayescal.likelihood.evidence.evidence import Evidence

__all__ = ["Error", "Evidence", "Unresolved"]
