"""The command line. Nothing heavy is imported here: `--help` answers at once."""

import sys

import click

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
    main.add_command(command)
