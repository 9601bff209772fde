"""Every public name has a docstring with an example, and every example does what it says."""

import doctest
import importlib
import inspect
import pkgutil

import jax
import pytest

import bayescal as bc

PUBLIC = {name: getattr(bc, name) for name in bc.__all__}
PUBLIC |= {f"{m}.{n}": getattr(getattr(bc, m), n) for m in ("populations", "priors") for n in getattr(bc, m).__all__}
FINDER = doctest.DocTestFinder(exclude_empty=True)


def own_docstring(thing) -> str:
    """Of a dataclass without one Python writes its signature."""
    text = thing.__dict__.get("__doc__") if inspect.isclass(thing) else thing.__doc__
    return "" if text is None or text.startswith(f"{thing.__name__}(") else text


def examples():
    """All of the package, those of names that are not public too, each once."""
    found = {}
    for module in pkgutil.walk_packages(bc.__path__, "bayescal."):
        if module.name.endswith("__main__"):
            continue
        for test in FINDER.find(importlib.import_module(module.name)):
            if test.examples:
                found[test.name] = test
    return found


EXAMPLES = examples()
# Examples that train, fit or compare, of five seconds and more each.
LONG = {
    "bayescal.comparison.compare.compare",
    "bayescal.comparison.study.compare_study",
    "bayescal.diagnostics.check.check",
    "bayescal.diagnostics.recover.recover",
    "bayescal.diagnostics.reweight.reweight",
    "bayescal.likelihood.evidence.evidence.Evidence",
    "bayescal.policies.action_sampling.ActionSamplingPolicy",
    "bayescal.policies.impulse_balance.ImpulseBalancePolicy",
    "bayescal.policies.luce.LucePolicy",
    "bayescal.policies.payoff_sampling.PayoffSamplingPolicy",
    "bayescal.posterior.calibrate.calibrate",
    "bayescal.posterior.calibrate.estimate",
    "bayescal.posterior.nuts.NUTS",
    "bayescal.simulation.agents.Agents",
    "bayescal.training.certificate.certify",
    "bayescal.training.certificate.in_play.certify_in_play",
    "bayescal.training.train.train",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example(name):
    text = own_docstring(PUBLIC[name])
    assert text.strip(), f"{name} has no docstring"
    assert ">>> " in text, f"the docstring of {name} has no example"
    assert "doctest: +SKIP" not in text, f"an example of {name} is not run"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in EXAMPLES]
)
def test_the_example_does_what_it_says(name):
    jax.devices()  # examples that set JAX up must not do so for the tests
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(EXAMPLES[name], out=told.append)
    assert runner.failures == 0, "".join(told)


def test_long_examples_exist():
    assert set(EXAMPLES) >= LONG


def test_an_example_that_is_wrong_is_found():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda text: None).failed == 1


def test_a_name_without_an_example_is_found():
    class Bare:
        pass

    assert not own_docstring(Bare)
