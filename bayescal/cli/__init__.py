"""The command line. Nothing heavy is imported here: `--help` answers at once."""

import sys

import click

from bayescal.cache import use_cache
from bayescal.cli import fitting, playing
from bayescal.cli.data import data
from bayescal.errors import InputError


class _Group(click.Group):
    """Bad input is one sentence on standard error and exit code 2, never a traceback."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(f"bayescal: {error}", err=True)
            sys.exit(2)
        except OSError as error:
            if error.filename is None:  # no file to name: a closed pipe, which click handles
                raise
            click.echo(f"bayescal: {error.filename}: {error.strerror}; give another path.", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("bayescal: interrupted.", err=True)
            sys.exit(130)


_COMPILING = {
    "calibrate", "certify", "check", "compare", "recover", "report", "reweight", "sbc", "simulate", "solve", "template",
    "train",
}  # fmt: skip


def _no_cache() -> click.Option:
    return click.Option(
        ["--no-cache"],
        is_flag=True,
        expose_value=False,
        callback=_keep_programs,
        help="Compile every program anew, and keep none for the next run.",
    )


def _keep_programs(ctx: click.Context, _: click.Parameter, no_cache: bool) -> None:
    if not no_cache and not ctx.resilient_parsing:
        use_cache()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Infer the cost of information from human decisions in economic games.

    \b
    Start with:  bayescal calibrate selten-chmura
    """


for command in (
    data,
    fitting.calibrate,
    fitting.check,
    fitting.compare,
    fitting.doctor,
    fitting.recover,
    fitting.report,
    fitting.reweight,
    fitting.sbc,
    playing.certify,
    playing.games,
    playing.models,
    playing.simulate,
    playing.solve,
    playing.train,
    playing.version,
):
    for leaf in command.commands.values() if isinstance(command, click.Group) else [command]:
        if leaf.name in _COMPILING:
            leaf.params.append(_no_cache())
    main.add_command(command)
