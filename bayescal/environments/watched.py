"""Which entries of an observation a function depends on: an exact solution has only these in its state."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax


class _Watched(Mapping[str, Any]):
    """A mapping that records which of its entries were read."""

    def __init__(self, entries: Mapping[str, Any]):
        self.entries, self.asked = entries, set[str]()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return self.entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def looked_at(f: Callable[[Mapping[str, Any]], Any], observation: Mapping[str, Any]) -> frozenset[str]:
    """Names of the entries of the observation that f reads."""
    asked: set[str] = set()

    def look(observation):
        watched = _Watched(observation)
        out = f(watched)
        asked.update(watched.asked)
        return out

    jax.eval_shape(look, dict(observation))
    return frozenset(asked)
