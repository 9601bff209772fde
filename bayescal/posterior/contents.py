"""What a saved fit must hold, checked when it is read: the facts beside the draws, and the groups of draws.

A fit may come from somebody else. Its facts are shown and compared, never evaluated; `load_study` checks those that
name a study as if the user had typed them.
"""

from collections.abc import Iterator, Mapping

import xarray as xr

from bayescal import schema
from bayescal._types import Facts
from bayescal.errors import InputError
from bayescal.plain import joined
from bayescal.policies.base import PolicyKind
from bayescal.posterior.status import Problem
from bayescal.posterior.summary import SHARE_AT_BOUNDS
from bayescal.reading import odd_character, odd_content
from bayescal.training.facts import certificate_of_fit

_ADVICE = "it is not what `fit.save` writes, or was changed since: fit the model again"
_FRACTIONS = schema.map_of(schema.any_number)
_STATUS = schema.record(
    {
        "problems": schema.list_of(schema.one_of([p.name for p in Problem])),
        "numbers": _FRACTIONS,
        "at_bounds": _FRACTIONS,
    }
)
_POLICY = schema.record(
    {
        "kind": schema.one_of([str(kind.value) for kind in PolicyKind]),
        "name": schema.text,
        "habit": schema.text,
        "learned": schema.flag,
    }
)
_LOADED = schema.record(
    {},
    {
        "study": schema.text,
        "data": schema.maybe(schema.text),
        "where": schema.maybe(schema.text),
        "options": schema.maybe(schema.section),
        "tolerance": schema.maybe(schema.number),
        "snap": schema.maybe(schema.flag),
        "model": schema.maybe(schema.section),
    },
    others=True,
)
_COUNTS = (
    "seed", "warmup", "chains", "draws", "chains_at_once", "steps", "particles", "grid_points", "resumed_after",
    "snapped",
)  # fmt: skip
_NUMBERS = (
    "target_accept", "learning_rate", "seconds_compiling", "seconds_sampling", "pareto_k_hat", "weights_ess", "elbo",
    "steps_skipped",
)  # fmt: skip
_TEXTS = ("guide", "model", "study", "data_hash", "name", "command")
_PROVENANCE = schema.record(
    {},
    {
        **dict.fromkeys(_COUNTS, schema.count),
        **dict.fromkeys(_NUMBERS, schema.any_number),
        **dict.fromkeys(_TEXTS, schema.text),
        "method": schema.one_of(("NUTS", "SVI", "Grid")),
        "hyperpriors": schema.map_of(schema.text),
        "versions": schema.map_of(schema.text),
        "notes": schema.list_of(schema.text),
        "grids": schema.list_of(schema.text),
        "grid": schema.map_of(schema.record({"mean": schema.any_number, "sd": schema.any_number})),
        "policy": _POLICY,
        "loaded": _LOADED,
        "certificate": schema.maybe(certificate_of_fit),
        SHARE_AT_BOUNDS: _FRACTIONS,
    },
    others=True,
)
# What belongs together: if the first is there, so are the others.
_GUIDED = ("pareto_k_hat", "weights_ess", "steps_skipped")  # of variational inference
_TOGETHER = (
    ("guide", "steps", "draws"),
    ("chains", "draws", "warmup"),
    ("seconds_sampling", "seconds_compiling"),
)
_FACTS = schema.record(
    {"status": schema.either("a status", schema.text, _STATUS), "provenance": _PROVENANCE},
    {"groups": schema.list_of(schema.text)},
    others=True,
)

_SAMPLED = ("posterior", "people", "sample_stats", "log_likelihood", "log_prior", "prior", "prior_predictive",
            "posterior_predictive")  # fmt: skip
_KNOWN = ("observed_data", "constant_data")
_NEEDED = ("posterior", *_KNOWN)  # without the others, what is computed from them is left out
_CELLS = {  # what models of counted choices keep, and its dimensions
    "total": ("cell",),
    "available": ("cell", "action"),
    "cell_game": ("cell",),
    "cell_role": ("cell",),
}


def check_facts(facts: Facts, where: str) -> None:
    """An InputError that names every fact that is missing or of another kind."""
    schema.check(facts, _FACTS, where, _ADVICE)
    provenance = facts["provenance"]
    faults = [
        f"provenance.{name} is missing"
        for first, *others in _TOGETHER
        for name in others
        if first in provenance and name not in provenance
    ]
    if provenance.get("method") == "SVI":
        faults += [f"provenance.{name} is missing" for name in _GUIDED if name not in provenance]
    faults += list(odd_content(dict(facts)))
    if faults:
        raise InputError(f"{where}: {joined(faults)}: {_ADVICE}.")


def check_tree(tree: xr.DataTree, facts: Facts, where: str) -> None:
    """An InputError if groups are missing, or their arrays are not of the kind and size that belong there."""
    groups = {str(name): node.to_dataset() for name, node in tree.children.items()}
    faults = list(_faults_of(groups))
    of_chains = isinstance(facts["status"], str) and facts["provenance"].get("method", "NUTS") == "NUTS"
    if of_chains and "diverging" not in groups.get("sample_stats", ()):
        faults.append("'diverging' of sample_stats is missing")
    if sorted(facts.get("groups", groups)) != sorted(groups):
        faults.insert(0, "its groups are not those that it names")
    if faults:
        raise InputError(f"{where}: {joined(faults)}: {_ADVICE}.")


def _faults_of(groups: Mapping[str, xr.Dataset]) -> Iterator[str]:
    missing = [name for name in _NEEDED if name not in groups]
    yield from (f"the group {name!r} is missing" for name in missing)
    yield from (f"the group {name!r} is not known" for name in groups if name not in (*_SAMPLED, *_KNOWN))
    for group, content in groups.items():
        for name, values in content.variables.items():
            plain = values.dtype.kind in "fiub" or (
                (group in _KNOWN or name in content.coords)
                and (values.dtype.kind == "U" or all(isinstance(x, str) for x in values.to_numpy().ravel()))
            )
            texts = [str(name)] if values.dtype.kind in "fiub" or not plain else [str(name), *values.to_numpy().ravel()]
            yield from (f"{group}: {odd}" for odd in map(odd_character, texts) if odd)
            if not plain:
                yield f"{name!r} of {group} holds {values.dtype}"
            if group in _SAMPLED and name in content.data_vars and values.dims[:2] != ("chain", "draw"):
                yield f"{name!r} of {group} has the dimensions {', '.join(map(str, values.dims)) or 'of one number'}"
            if group in _SAMPLED and not values.size:
                yield f"{name!r} of {group} is empty"
    if not missing:
        yield from _sizes(groups)
        yield from _cells(groups)


def _sizes(groups: Mapping[str, xr.Dataset]) -> Iterator[str]:
    """Groups of the same draws have as many draws, and a label means the same everywhere."""
    people = "people" if "people" in groups else "posterior"
    alike = (
        ("posterior", "sample_stats", "log_prior"), (people, "log_likelihood", "posterior_predictive"),
        ("prior", "prior_predictive"),
    )  # fmt: skip
    for first, *others in (names for names in alike if names[0] in groups):
        for other in (name for name in others if name in groups and groups[name].data_vars):
            if any(groups[first].sizes.get(d) != groups[other].sizes.get(d) for d in ("chain", "draw")):
                yield f"{first} and {other} have different numbers of draws"
    if not groups["posterior"].data_vars:
        yield "the posterior holds no parameter"
    labels: dict[str, xr.Variable] = {}
    for name, group in groups.items():
        for dim in group.indexes:
            if dim in ("chain", "draw"):
                continue
            known = labels.setdefault(str(dim), group[dim].variable)
            if known.shape != group[dim].shape or not (known.values == group[dim].values).all():
                yield f"{dim!r} means something else in {name} than in another group"


def _cells(groups: Mapping[str, xr.Dataset]) -> Iterator[str]:
    """Counted choices have what reports and checks read beside them."""
    observed, constant = groups["observed_data"], groups["constant_data"]
    for name in ("choices", "choice"):
        if name in observed and (observed[name].dtype.kind not in "iu" or bool((observed[name] < 0).any())):
            yield f"{name!r} of observed_data holds something else than whole numbers from 0"
    if "choices" in observed and "total" in constant:
        if observed["choices"].dims != ("cell", "action"):
            yield "'choices' of observed_data is not by cell and action"
        for name, dims in _CELLS.items():
            if name not in constant:
                yield f"{name!r} of constant_data is missing"
            elif constant[name].dims != dims or (constant[name].dtype.kind in "fiub") != (
                name in ("total", "available")
            ):
                yield f"{name!r} of constant_data is not one value for each {' and '.join(dims)}"
