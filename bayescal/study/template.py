"""A dataset.toml to begin with: every column of a game in words, beside a table of simulated decisions."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.study.dataset import FILE
from bayescal.table.decisions import Decisions

Layout = Literal["round", "participant"]
TABLE = "decisions.csv"


class Template(NamedTuple):
    """The texts of a dataset.toml and of the table beside it."""

    toml: str
    csv: str


def make_template(
    name: str,
    environment: Environment,
    played: pd.DataFrame,
    *,
    title: str,
    options: Mapping[str, Any] | None = None,
    policy: str | None = None,
    private: bool = False,
    solvable: bool = True,
    wide: Layout | None = None,
    file: str | None = None,
) -> Template:
    """A study of the named game, or of the game in a file, to begin with.

    Args:
        options: with which dataset.toml builds the game.
        played: a table of simulated play, such as `bayescal.simulate` makes.
        policy: the learned policy that answers for the game; `private` if costs are private in it.
        solvable: whether the game can be solved exactly, where there is no such policy.
        wide: a column for each round, or for each subject, in place of a row for each decision.
        file: that describes the game, beside dataset.toml, if the game has no name in the registry.
    """
    keys = [k for k in ("participant", "group", "role", "round", "action") if k in played]
    recorded = [k for k in environment.columns if k in played]
    if wide is not None:
        recorded = _needed(name, environment, played, recorded)
    table = played[[*keys, *recorded]]
    section = ""
    if wide == "participant" and environment.players == 1:
        keys.remove("group")
    if wide == "round":
        table, section = _by_round(table, recorded)
    elif wide == "participant":
        table, section = _by_participant(table, recorded, environment)
    parts = [
        _head(file or name, title, environment, wide),
        _meta(title),
        _columns(environment, keys, recorded, wide),
        section,
        _games(name, options or {}) if file is None else _game_file(name, file),
        _model(environment, policy, private, solvable),
    ]
    return Template("\n".join(p for p in parts if p), table.to_csv(index=False, lineterminator="\n"))


def _head(name: str, title: str, environment: Environment, wide: Layout | None) -> str:
    command = f"bayescal data template {name}" + (f" --wide {wide}" if wide else "")
    lines = [
        f"A study of your own: {title}.",
        f"Made by `{command}`. The decisions in {TABLE} are simulated: put your table in their place, correct what "
        "follows, and run `bayescal data validate FOLDER`, then `bayescal calibrate FOLDER`: FOLDER holds this file.",
    ]
    return "".join(_comment(line) for line in (*lines, *environment.template_words))


def _meta(title: str) -> str:
    return f"""# The title is needed; the rest is good manners.
[meta]
title = {json.dumps(f"{title} (simulated example)", ensure_ascii=False)}
source = "simulated"
licence = ""
citation = ""
units = "payoff units"    # of the payoffs: costs come out in these units per nat
file = "{TABLE}"    # .csv (perhaps .gz, comma-separated, UTF-8) or .parquet
"""


def _columns(environment: Environment, keys: Sequence[str], recorded: Sequence[str], wide: Layout | None) -> str:
    """What each column means, and the name that the table gives it."""
    told = _meanings(environment)
    out = _comment(
        "What your table calls each column, to the right of the sign. Delete the line of a column that it does not "
        "have, if that may be left out. Columns that are not named here are not looked at."
    )
    if wide is not None:
        out += _comment("[wide] below says which of them are made of the names of columns.")
    out += "[columns]\n"
    for key in (*keys, *recorded):
        out += _comment(f"{key}: {told[key]}.") + f'{key} = "{key}"\n'
    if not environment.over_time:
        out += _comment("n: how many decisions a row stands for, in a table of counts (left out: one).")
    return out


def _meanings(environment: Environment) -> dict[str, str]:
    together = environment.players > 1
    labels = {role: _actions(environment, i) for i, role in enumerate(environment.role_names)}
    same = len(set(labels.values())) == 1
    grids = next(iter(labels.values())) if same else "; ".join(f"{role}: {text}" for role, text in labels.items())
    over_time = environment.over_time
    group = "those who play with each other (a market, a team), with a label of its own in all sessions and treatments"
    if not over_time:
        group += "; may be left out"
    elif not together:
        group += "; may be left out, as everybody plays alone"
    return {
        "participant": "who decided, one label for a person wherever they appear; may be left out, but then nothing is "
        "said of persons",
        "group": group,
        "role": f"{' or '.join(environment.role_names)}",
        "round": "1, 2, 3, ... in the order of play; without it nobody can know what was seen before a decision"
        if over_time
        else "1, 2, 3, ...; may be left out",
        "action": f"what was decided: {grids}. Other values in between are refused unless snap = true (see below)"
        if environment.ordered
        else f"what was decided: {grids}",
        **environment.columns,
    }


def _actions(environment: Environment, role: int) -> str:
    situations = environment.named_situations(role)
    if len({labels for _, labels in situations}) < 2:
        return span(situations[0][1] if situations else environment.action_labels[role])
    return ", or ".join(f"in {name} {span(labels)}" for name, labels in situations)


def span(labels: Sequence[str]) -> str:
    """All labels if they are few, else the first and the last."""
    few = ", ".join(labels) if len(labels) <= 6 else f"{labels[0]}, {labels[1]}, ..., {labels[-1]}"
    return few if len(labels) <= 6 else f"{few} ({len(labels)} values)"


def _games(name: str, options: Mapping[str, Any]) -> str:
    built = "".join(f", {key} = {json.dumps(value)}" for key, value in options.items())
    game = f'{{ game = "{name}"{built} }}' if options else f'"{name}"'
    # A line may end inside a list.
    line = textwrap.fill(f"{name} = {game}", 116, subsequent_indent="    ", break_on_hyphens=False)
    return (
        _comment(
            'The game, by its name (`bayescal games`), or with options: { game = "'
            + name
            + '", ... }. The name to the '
            "left is what a column `game` says, if you have several."
        )
        + f"[games]\n{line}\n"
    )


def _game_file(name: str, file: str) -> str:
    return (
        _comment(
            "The game, by its file beside this one. The name to the left is what a column `game` says, if several."
        )
        + f"[games]\n{json.dumps(name)} = {json.dumps(file)}\n"
    )


def _model(environment: Environment, policy: str | None, private: bool, solvable: bool) -> str:
    out = "[model]\n"
    if policy is not None:
        out += _comment("A learned policy is the likelihood (`bayescal models`).") + f'policy = "{policy}"\n'
    elif not solvable:
        out += _comment(
            "This game is too large to be solved exactly, and no learned policy of `bayescal models` answers for it: "
            'train one first (`bayescal train`), and name it here: policy = "...".'
        )
    if private:
        out += _comment("Everybody has a cost of information of their own, log-normal over people.")
        out += 'population = "log-normal"\n'
    out += (
        _comment("Values between two of the grid are moved to the nearer one, and counted:")
        if environment.ordered
        else ""
    )
    out += "# snap = true\n" if environment.ordered else ""
    out += _comment("Costs that differ with what is known of people, by columns of the table (one value a person):")
    return out + '# covariates = "~ treatment + age"\n'


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, 116, break_long_words=False, break_on_hyphens=False))


# Wide tables.
def _needed(name: str, environment: Environment, played: pd.DataFrame, recorded: list[str]) -> list[str]:
    """What the game needs of what is recorded: a wide table is unreadable with all of it."""
    least = [k for k in recorded if "(optional" not in environment.columns[k]]
    for keep in (least, [k for k in recorded if k in least or k in recorded[:1]]):
        rest = played.drop(columns=[k for k in recorded if k not in keep])
        try:
            decisions = Decisions.from_table(rest, {name: environment})
        except InputError:
            continue
        if decisions.play is None or not decisions.play.masked:
            return keep
    return recorded


def _by_round(table: pd.DataFrame, recorded: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """A line for each person, a column for each round (and value)."""
    people = [k for k in ("participant", "group", "role") if k in table]
    values = ["action", *recorded]
    spread = table.pivot(index=people, columns="round", values=values)
    rounds = sorted(table["round"].unique())
    order = [(value, r) for r in rounds for value in values]
    spread = spread[order]
    spread.columns = [f"round {r}" if not recorded else f"{value} {r}" for value, r in order]
    if recorded:
        said = "A column's name tells what it holds and of which round: action 1, " + f"{recorded[0]} 1, action 2, ..."
        return spread.reset_index(), _wide(said, 'columns = "{value} {round}"')
    said = "Each column named `round ...` holds the decisions of a round; * is its number."
    return spread.reset_index(), _wide(said, 'columns = "round *"', 'into = "round"')


def _by_participant(table: pd.DataFrame, recorded: Sequence[str], environment: Environment) -> tuple[pd.DataFrame, str]:
    """A line for each round of each group, a column for each subject (and value)."""
    alone, roles = environment.players == 1, len(environment.role_names) > 1
    lines = ["round"] if alone else ["group", "round"]
    counted = (
        table["participant"].rank(method="dense") if alone else table.groupby("group")["participant"].rank("dense")
    )
    who = table["role"] if roles else "subject " + counted.astype(int).astype(str)
    by_line = table.groupby(lines)
    shared = [k for k in recorded if (by_line[k].nunique() <= 1).all()] if not alone else []
    own = ["action", *(k for k in recorded if k not in shared)]
    spread = table.assign(who=who).pivot(index=lines, columns="who", values=own)
    names = list(dict.fromkeys(who))
    order = [(value, name) for name in names for value in own]
    spread = spread[order]
    spread.columns = [name if len(own) == 1 else f"{name} {value}" for value, name in order]
    wide = spread.join(by_line[shared].first()).reset_index()
    within = [] if alone else ['within = "group"']
    into = "role" if roles else "participant"
    end = "" if alone else " People are told apart by group: the first of one group is not the first of the next."
    if len(own) > 1:
        said = (
            f"A column's name tells whose it is and what it holds: {names[0]} {own[0]}, {names[0]} {own[1]}, ...{end}"
        )
        pattern = "{role} {value}" if roles else "subject {participant} {value}"
        return wide, _wide(said, f'columns = "{pattern}"', *within)
    said = f"Each of these columns holds the decisions of one {'role' if roles else 'subject'}.{end}"
    columns = json.dumps(names) if roles else '"subject *"'
    return wide, _wide(said, f"columns = {columns}", f'into = "{into}"', *within)


def _wide(said: str, *lines: str) -> str:
    return _comment(said + " Empty cells are decisions that were not made.") + "\n".join(("[wide]", *lines)) + "\n"


__all__ = ["FILE", "TABLE", "Layout", "Template", "make_template"]
