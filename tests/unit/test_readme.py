"""The README and the notebooks' texts: commands exist with their options, and links and pictures lead somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest

from bayescal.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def commands(text: str) -> list[str]:
    """Command lines of `bayescal` in code blocks and in backticks."""
    blocks = re.findall(r"```sh\n(.*?)```", text.replace("\n# ", "\n"), re.DOTALL)
    lines = [line.split(" && ")[-1] for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(bayescal [^`…]*)`", text.replace("\n# ", " ").replace("\n", " "))
    lines = [line.removeprefix("uv run ") for line in lines]
    return [line for line in lines if line.startswith("bayescal ")]


def parse(line: str) -> click.Context:
    """The context of a command, after click has accepted its options and arguments."""
    words = shlex.split(line, comments=True)[1:]
    command, context = main, click.Context(main)
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{line}: there is no command {name}"
        context = click.Context(found, parent=context, info_name=name)
        command = found
    if words != ["--help"]:
        command.parse_args(context, words)
    return context


@each_page
def test_commands_exist_with_their_options(page):
    for line in commands(page.read_text()):
        if re.fullmatch(r"bayescal( [a-z]+)*( --help)?", line) or line == "bayescal --help":
            assert line == "bayescal --help" or parse(f"{line.removesuffix(' --help')} --help")
        else:
            parse(line)


@each_page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text())
    local = [link for link in links if not link.startswith("http")]
    assert all((page.parent / link).exists() for link in local), local


def test_the_readme_fits_a_visit_of_three_minutes():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 140
    assert len(text.split("```python\n")[1].split("```")[0].splitlines()) <= 12


def test_a_wrong_command_is_found():
    assert commands("```sh\nbayescal fly --high # up\n```, `bayescal solve` and `bayescal games`") == [
        "bayescal fly --high # up", "bayescal solve", "bayescal games",
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="there is no command fly"):
        parse("bayescal fly --high")
    with pytest.raises(click.NoSuchOption):
        parse("bayescal games --higher")
