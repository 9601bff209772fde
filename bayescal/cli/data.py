"""`bayescal data`: which data sets there are, what is in them, and whether one's own is as it should be."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from bayescal.cli.show import print_json, print_table

if TYPE_CHECKING:
    from bayescal.study import Study

SHOWN = 20  # games that are described before "and ... more"
FEW = 4  # actions of which every share is told

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output.")


@click.group()
def data() -> None:
    """Data sets: list and describe them, add a registered one, check your own."""


@data.command("list")
@as_json
def list_studies(as_json: bool) -> None:
    """List the data sets.

    The tables of some ship with bayescal; others are registered by address and sum, and `bayescal data add` gets them.
    """
    from bayescal.resources import resource_path
    from bayescal.study.dataset import FILE, read_dataset
    from bayescal.study.where import find_table, study_names

    rows = []
    for name in study_names():
        dataset = read_dataset(resource_path("data", name) / FILE)
        there = "ships" if not dataset.registered else "here" if find_table(dataset) else "registered"
        keys = ("title", "people", "decisions", "licence", "source", "address", "commit", "sha256")
        rows.append({"name": name, "table": there} | {key: getattr(dataset, key) for key in keys})
    if as_json:
        print_json(rows)
        return
    counted = lambda n: "–" if n is None else f"{n:,}"
    print_table(
        ("name", "what it is", "people", "decisions", "licence", "table"),
        ([r["name"], r["title"], *map(counted, (r["people"], r["decisions"])), r["licence"], r["table"]] for r in rows),
        right=("people", "decisions"),
    )
    if any(r["table"] == "registered" for r in rows):
        click.echo("\nRegistered sets are added with `bayescal data add NAME`.")


@data.command()
@click.argument("study", metavar="NAME")
@click.option("--data", "table", help="A table in place of the study's own.")
@as_json
def describe(study: str, table: str | None, as_json: bool) -> None:
    """Tell what NAME (a data set, or a folder with a dataset.toml) holds: its columns, source and licence, and what
    people did in each game."""
    from bayescal.study import load_study

    found = load_study(study, data=table)
    decisions = found.decisions
    rows = list(_by_game(found))
    if as_json:
        told = {key: getattr(found, key) for key in ("name", "title", "source", "licence", "citation", "units")}
        print_json(told | {"columns": list(found.columns)} | _counts(found) | {"games": rows})
        return
    lines = {
        "source": found.source, "licence": found.licence, "citation": found.citation, "units": found.units,
        "columns": ", ".join(found.columns), "holds": _holds(found),
    }  # fmt: skip
    click.echo(f"{found.title}\n")
    for key, text in lines.items():
        if text:
            click.echo(f"  {key:<9} {text}")
    click.echo("")
    several = any(len(game.role_names) > 1 for game in decisions.environments.values())
    head = ["game", *(["role"] if several else []), "decisions", "participants", "what was done"]
    print_table(
        head,
        (
            [r["game"], *([r["role"]] if several else []), f"{r['decisions']:,}", _people(r["participants"]), _done(r)]
            for r in rows[:SHOWN]
        ),
        right=("decisions", "participants"),
    )
    if len(rows) > SHOWN:
        click.echo(f"and {len(rows) - SHOWN:,} more (--json has all)")


@data.command()
@click.argument("game", metavar="ENV")
@click.option(
    "--wide", type=click.Choice(["round", "participant"]),
    help="A spreadsheet with a column for each round, or for each participant.",
)  # fmt: skip
@click.option("--out", metavar="FOLDER", help="Write dataset.toml and decisions.csv there [default: print them].")
def template(game: str, wide: str | None, out: str | None) -> None:
    """Begin a study of your own of ENV, a name (see `bayescal games`): a commented dataset.toml and an example table.

    \b
    bayescal data template cournot-3 --out my-study
    bayescal data template cobweb-stable --wide participant
    """
    from bayescal.cli.template import write_template

    write_template(game, wide, out)


@data.command()
@click.argument("path")
@as_json
def validate(path: str, as_json: bool) -> None:
    """Check PATH, a folder with a dataset.toml or the table beside one: every fault at once, or that it is fine."""
    from bayescal.study import check_study

    study = check_study(path)
    if as_json:
        print_json({"name": study.name, "valid": True} | _counts(study))
        return
    click.echo(f"{path} is fine: {_holds(study)}.")


@data.command()
@click.argument("study", metavar="NAME")
@click.option("--file", help="A copy of the table that you have, instead of fetching it.")
@as_json
def add(study: str, file: str | None, as_json: bool) -> None:
    """Get the table of the registered set NAME, check its sum, and put it where `bayescal calibrate NAME` finds it:
    into the folder $BAYESCAL_DATA_DIR, or else into your cache."""
    from bayescal.study import add_table

    path = add_table(study, file)
    if as_json:
        print_json({"name": study, "path": str(path)})
        return
    click.echo(f"{study} is here: {path}")


def _counts(study: "Study") -> dict[str, Any]:
    """How much a study holds; None where people or groups are not told apart."""
    decisions = study.decisions
    levels = {key: len(decisions.levels(key)) if key in decisions.cells else None for key in ("participant", "group")}
    return {
        "people": levels["participant"],
        "groups": levels["group"],
        "decisions": decisions.total,
        "snapped": decisions.snapped,
        "masked": 0 if decisions.play is None else decisions.play.masked,
    }


def _holds(study: "Study") -> str:
    counts, played = _counts(study), len(study.decisions.environments)
    several = lambda n, one, more: f"{n:,} {one if n == 1 else more}"
    text = f"{several(counts['decisions'], 'decision', 'decisions')} in {several(played, 'game', 'games')}"
    if counts["people"] is not None:
        text += f" by {several(counts['people'], 'participant', 'participants')}"
    if counts["groups"] is not None:
        text += f" in {several(counts['groups'], 'group', 'groups')}"
    if counts["snapped"]:
        text += f"; {counts['snapped']:,} were moved to the nearest value of the grid"
    if counts["masked"]:
        text += f"; {counts['masked']:,} are not used, as what was seen before them is not known"
    return text


def _by_game(study: "Study") -> Iterable[dict[str, Any]]:
    """One row a game and role: how often it was played, by how many, and what was done."""
    import numpy as np

    decisions = study.decisions
    summary = decisions.describe()
    for (name, role), row in zip(summary.index, summary.to_dict("records"), strict=True):
        game = decisions.environments[name]
        r = game.role_names.index(role)
        shares = {label: float(row[label]) for label in game.action_labels[r]}
        told: dict[str, Any] = {
            "game": name, "role": role, "decisions": int(row["decisions"]), "participants": row.get("participants"),
            "shares": shares,
        }  # fmt: skip
        if game.ordered:
            values, share = np.asarray(game.action_values[r]), np.array(list(shares.values()))
            order = np.argsort(values)
            middle = values[order][np.searchsorted(np.cumsum(share[order]), 0.5 - 1e-9)]
            told |= {"mean": float(values @ share), "median": float(middle)}
        yield told


def _done(row: dict[str, Any]) -> str:
    if "mean" in row and len(row["shares"]) > FEW:
        return f"mean {row['mean']:.2f}, median {row['median']:g}"
    most = sorted(row["shares"].items(), key=lambda item: -item[1])
    shown = row["shares"].items() if len(most) <= FEW else most[:FEW]
    return ", ".join(f"{label} {100 * share:.1f}%" for label, share in shown) + (", ..." if len(most) > FEW else "")


def _people(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"
