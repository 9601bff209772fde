"""Results folders: written beside, given a manifest, and swapped in whole."""

from bayescal.results.commit import repair
from bayescal.results.hold import Held, holding
from bayescal.results.manifest import MANIFEST, Kind, Manifest, Run

__all__ = ["MANIFEST", "Held", "Kind", "Manifest", "Run", "holding", "repair"]
