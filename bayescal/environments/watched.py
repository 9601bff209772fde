"""What of an observation a function looks at: it decides how large a state an exact solution needs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax


class _Watched(Mapping[str, Any]):
    """A mapping that remembers which of its entries were asked for."""

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
    """The names of the entries of the observation that f(observation) is computed from."""
    asked: set[str] = set()

    def look(observation):
        watched = _Watched(observation)
        out = f(watched)
        asked.update(watched.asked)
        return out

    jax.eval_shape(look, dict(observation))
    return frozenset(asked)
