"""Mutated files hold values of wrong types: what is tested is that our own checks find them, without beartype's."""

import pytest


@pytest.fixture(autouse=True)
def types_are_not_checked(unchecked):
    with unchecked():
        yield
