"""`bayescal data`: list and describe data sets, check your own, and get registered ones."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import click

from bayescal.cli.options import as_json, trust
from bayescal.cli.show import print_json, print_table
from bayescal.plain import Options

if TYPE_CHECKING:
    from bayescal.study import Study

SHOWN = 20  # games that are shown before "and ... more"
FEW = 4  # actions whose shares are all shown


@click.group()
def data() -> None:
    """Data sets: list and describe them, add a registered one, check your own."""


@data.command("list")
@as_json
def list_studies(as_json: bool) -> None:
    """List the data sets.

    Some ship with their table. Others are registered by address and checksum, and `bayescal data add` gets them.
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
@trust
@as_json
def describe(study: str, table: str | None, trust: bool, as_json: bool) -> None:
    """Describe NAME (a data set, or a folder with a dataset.toml): its columns, source and licence, and what people
    did in each game."""
    from bayescal.study import load_study

    found = load_study(study, data=table, trust=trust)
    decisions = found.decisions
    rows = list(_by_game(found))
    if as_json:
        facts = {key: getattr(found, key) for key in ("name", "title", "source", "licence", "citation", "units")}
        print_json(facts | {"columns": list(found.columns)} | _counts(found) | {"games": rows})
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
    keys = ["game", *(["role"] if several else []), *(["situation"] if any("situation" in r for r in rows) else [])]
    print_table(
        [*keys, "decisions", "participants", "what was done"],
        (
            [*(r.get(key, "") for key in keys), f"{r['decisions']:,}", _people(r["participants"]), _done(r)]
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
    help="A wide table, with a column for each round or for each participant.",
)  # fmt: skip
@click.option("--out", metavar="FOLDER", help="Write dataset.toml and decisions.csv there [default: print them].")
@trust
def template(game: str, wide: Literal["round", "participant"] | None, out: str | None, trust: bool) -> None:
    """Start a study of your own: a commented dataset.toml and an example table of ENV, a game (see `bayescal games`).

    ENV may also be a game file (payoffs or a tree in JSON, or Gambit's .nfg, .efg, .agg), or a folder with a game.py,
    if --trust allows it to run (FOLDER/NAME if it registers several games).

    \b
    bayescal data template cournot-3 --out my-study
    bayescal data template cobweb-stable --wide participant
    bayescal data template trust.json --out my-trust-game
    """
    from bayescal.cli.template import write_template

    write_template(game, wide, out, trust)


@data.command()
@click.argument("path")
@trust
@as_json
def validate(path: str, trust: bool, as_json: bool) -> None:
    """Check PATH, a folder with a dataset.toml or the table beside one. All faults are reported together."""
    from bayescal.study import check_study

    study = check_study(path, trust=trust)
    if as_json:
        print_json({"name": study.name, "valid": True} | _counts(study))
        return
    click.echo(f"{path} is fine: {_holds(study)}.")


@data.command()
@click.argument("study", metavar="NAME")
@click.option("--file", help="A copy of the table that you have, instead of fetching it.")
@as_json
def add(study: str, file: str | None, as_json: bool) -> None:
    """Get the table of the registered set NAME, check its checksum, and put it where `bayescal calibrate NAME` finds
    it: in the folder $BAYESCAL_DATA_DIR, or else in your cache."""
    from bayescal.study import add_table

    path = add_table(study, file)
    if as_json:
        print_json({"name": study, "path": str(path)})
        return
    click.echo(f"{study} is here: {path}")


def _counts(study: "Study") -> dict[str, Any]:
    """The size of a study; None if there are no subject or group identifiers."""
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
        text += f"; {counts['masked']:,} are not used, because what was seen before them is not known"
    return text


def _by_game(study: "Study") -> Iterable[dict[str, Any]]:
    """A row for each game and role (and situation of a tree): how often it was played, by how many, what was done."""
    import numpy as np

    for x in study.decisions.chosen():
        game = study.decisions.environments[x.game]
        r, decisions = game.role_names.index(x.role), int(x.counts.sum())
        shares = dict(zip(x.labels, (x.counts / decisions).tolist(), strict=True))
        line: dict[str, Any] = {"game": x.game, "role": x.role}
        line |= {"situation": x.situation} if x.situation else {}
        line |= {"decisions": decisions, "participants": x.participants, "shares": shares}
        if game.ordered:
            values, share = np.asarray(game.action_values[r]), np.array(list(shares.values()))
            order = np.argsort(values)
            middle = values[order][np.searchsorted(np.cumsum(share[order]), 0.5 - 1e-9)]
            line |= {"mean": float(values @ share), "median": float(middle)}
        yield line


def _done(row: Options) -> str:
    if "mean" in row and len(row["shares"]) > FEW:
        return f"mean {row['mean']:.2f}, median {row['median']:g}"
    most = sorted(row["shares"].items(), key=lambda item: -item[1])
    shown = row["shares"].items() if len(most) <= FEW else most[:FEW]
    return ", ".join(f"{label} {100 * share:.1f}%" for label, share in shown) + (", ..." if len(most) > FEW else "")


def _people(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"
