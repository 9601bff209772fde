"""Kinds by name: what a study, the command line and the laws of the tests look up.

A kind of the package is named by where it lives, so that listing names imports nothing. A kind of one's own is
registered by `register`, which is all that it takes.
"""

import difflib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from bayescal.errors import InputError


class Registry[Kind]:
    """Kinds of one noun, in the order of their registration.

    Args:
        noun: what a kind is, in messages ("habit").
        shipped: by name, where the package's own kinds live: "module:attribute".

    Example:
        >>> from bayescal.registry import Registry
        >>> shapes = Registry("shape", {"path": "pathlib:PurePosixPath"})
        >>> shapes["path"].__name__, list(shapes)
        ('PurePosixPath', ['path'])
        >>> shapes.register("square", int)
        >>> "square" in shapes
        True
    """

    def __init__(self, noun: str, shipped: Mapping[str, str]):
        self.noun = noun
        self._where = dict(shipped)
        self._kinds: dict[str, Kind] = {}

    def register(self, name: str, kind: Kind) -> None:
        """Add a kind; a name that is taken is refused."""
        if name in self._where or name in self._kinds:
            raise InputError(f"There is a {self.noun} called {name!r} already: choose another name.")
        self._kinds[name] = kind

    @contextmanager
    def scope(self) -> Generator[None]:
        """Forget at the end of the block what was registered in it: the kinds that one study's game.py registers."""
        before = dict(self._kinds)
        try:
            yield
        finally:
            self._kinds = before

    def __getitem__(self, name: str) -> Kind:
        if name in self._kinds:
            return self._kinds[name]
        if name not in self._where:
            close = difflib.get_close_matches(name, self, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(self)}."
            raise InputError(f"There is no {self.noun} called {name!r}: {hint}")
        module, _, attribute = self._where[name].partition(":")
        self._kinds[name] = getattr(import_module(module), attribute)
        return self._kinds[name]

    def __contains__(self, name: object) -> bool:
        return name in self._where or name in self._kinds

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._where, *self._kinds]))

    def __len__(self) -> int:
        return len(list(iter(self)))
