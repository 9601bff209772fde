"""Whether JAX traces is known whatever came first: a solution inside a program, or one outside."""

import jax

from bayescal.policies import eager


def test_what_is_traced_does_not_depend_on_what_came_first(monkeypatch):
    monkeypatch.setattr(eager, "_outside", [])
    seen = []

    def look():
        seen.append(eager.traced())

    for _ in range(2):
        jax.jit(lambda: look())()
        look()
    assert seen == [True, False, True, False]
