"""Registries: kinds by name, which studies, the command line and the laws of the tests look up.

The package's own kinds are named by where they live, so that listing names imports nothing. Another kind is added by
`register`.
"""

import difflib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module

from bayescal.errors import InputError

_SOURCE: ContextVar[str] = ContextVar("source", default="")  # the file that registers kinds at the moment


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
        self._sources: dict[str, str] = {}

    def register(self, name: str, kind: Kind) -> None:
        """Add a kind. A name that is taken is refused, unless the same file registered it before (see `source`)."""
        source = _SOURCE.get()
        if name in self and not (source and self._sources.get(name) == source):
            by = f", registered by {self._sources[name]}" if self._sources.get(name) else ""
            raise InputError(f"There is already a {self.noun} called {name!r}{by}: choose another name.")
        self._kinds[name] = kind
        self._sources[name] = source

    def names_from(self, source: str) -> tuple[str, ...]:
        """The names that a file registered."""
        return tuple(name for name, by in self._sources.items() if source and by == source)

    @contextmanager
    def scope(self) -> Generator[None]:
        """Forget at the end of the block what was registered in it: the kinds that one study's game.py registers."""
        before = dict(self._kinds), dict(self._sources)
        try:
            yield
        finally:
            self._kinds, self._sources = before

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


@contextmanager
def source(name: str) -> Generator[None]:
    """While it lasts, kinds are registered on behalf of a file, which may register the same names again later."""
    token = _SOURCE.set(name)
    try:
        yield
    finally:
        _SOURCE.reset(token)
