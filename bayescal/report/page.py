"""The page of a report, from its numbers and figures."""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup, escape

from bayescal.comparison.compare import Comparison
from bayescal.diagnostics.check import Checks
from bayescal.report import formulas, tables
from bayescal.report.numbers import Numbers
from bayescal.report.pictures import Pictures
from bayescal.report.verdict import tally
from bayescal.report.words import Explained, glossary, question

_CONTENTS = {
    "comparison": "Comparison",
    "people": "Costs",
    "predictions": "Predictions",
    "checks": "Checks",
    "data": "Data",
    "models": "Models",
    "reproduce": "Reproduce",
    "words": "Glossary",
}


def render(
    numbers: Numbers,
    pictures: Pictures,
    people: str | None,
    pooled: bool,
    comparison: Comparison | None,
    checks: Mapping[str, Checks],
) -> str:
    """
    Args:
        people: the fit whose people are shown.
        pooled: whether there is a fit with one cost for all.
    """
    script, study, main = _text("script.js"), numbers.study, numbers.main
    provenance = {name: fit.provenance for name, fit in numbers.fits.items()}
    content: dict[str, Any] = {
        "numbers": numbers,
        "pictures": pictures.by_name,
        "who": pictures.who,
        "main": main,
        "trusted": comparison is not None or numbers.fits[main].converged,
        "tally": tally(checks, main),
        "question": question(study.decisions, compared=comparison is not None),
        "contents": [(k, v) for k, v in _CONTENTS.items() if k != "comparison" or comparison is not None],
        "people": None if people is None else tables.people(numbers.fits[people], people),
        "pooled": pooled,
        "compared": None if comparison is None else tables.comparison(comparison),
        "comparison": comparison,
        "checks": {name: tables.checks(found) for name, found in checks.items()},
        "predictive": tables.predictive(checks[main]).to_dict("records") if main in checks else [],
        "facts": tables.facts(study),
        "models": [Explained.of(name, p) for name, p in provenance.items()],
        "aim": formulas.AIM,
        "choice": formulas.CHOICE[study.over_time],
        "settings": {name: tables.settings(p) for name, p in provenance.items()},
        "versions": tables.versions(provenance),
        "glossary": glossary(study.units, compared=comparison is not None),
        "style": Markup(_text("style.css")),
        "script": Markup(script),
        # Only this script may run, and nothing may be loaded.
        "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode(),
    }
    return _environment().get_template("report.html").render(content)


def _text(name: str) -> str:
    return files("bayescal.report").joinpath("templates", name).read_text(encoding="utf-8")


def _code(text: str) -> Markup:
    """What stands between backticks is code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    env.filters |= {"num": tables.number, "sig": tables.significant, "code": _code}
    return env
