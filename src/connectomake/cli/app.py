"""All commands in one program; errors are printed as one sentence, without a traceback."""

import os
import sys
from typing import Annotated

import typer

from connectomake import __version__
from connectomake.cli.block import block
from connectomake.cli.check import check
from connectomake.cli.choose import choose
from connectomake.cli.contacts import contacts
from connectomake.cli.convert import convert
from connectomake.cli.curve import curve
from connectomake.cli.doubts import doubts
from connectomake.cli.evaluate import evaluate
from connectomake.cli.export import export
from connectomake.cli.histograms import histograms
from connectomake.cli.overlap import overlap
from connectomake.cli.phantom import phantom
from connectomake.cli.plan import plan
from connectomake.cli.progress import progress
from connectomake.cli.proofread import proofread
from connectomake.cli.queue import app as queue_app
from connectomake.cli.snapshot import snapshot
from connectomake.cli.summary import summary
from connectomake.cli.synapses import synapses
from connectomake.cli.train import train
from connectomake.cli.verify import verify
from connectomake.cli.view import view
from connectomake.cli.where import where
from connectomake.credentials import redacted
from connectomake.errors import ConnectomakeError
from connectomake.os_errors import storage_error

app = typer.Typer(
    name="connectomake",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Look at a connectomake run: before (plan, check, where), during (progress) and after (verify, summary, evaluate, "
    "view). The run itself is Snakemake's: snakemake --profile profiles/local",
)
NEGATIVE_NUMBERS = {"ignore_unknown_options": True}


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"connectomake {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that come before the command."""


app.command("plan")(plan)
app.command("check")(check)
app.command("where", context_settings=NEGATIVE_NUMBERS)(where)
app.command("block")(block)
app.command("choose")(choose)
app.command("progress")(progress)
app.command("summary")(summary)
app.command("verify")(verify)
app.command("export")(export)
app.command("convert")(convert)
app.command("view", context_settings=NEGATIVE_NUMBERS)(view)
app.command("evaluate", context_settings=NEGATIVE_NUMBERS)(evaluate)
app.command("train")(train)
app.command("snapshot", context_settings=NEGATIVE_NUMBERS)(snapshot)
app.command("overlap", context_settings=NEGATIVE_NUMBERS)(overlap)
app.command("contacts", context_settings=NEGATIVE_NUMBERS)(contacts)
app.command("synapses", context_settings=NEGATIVE_NUMBERS)(synapses)
app.command("curve")(curve)
app.command("doubts")(doubts)
app.command("proofread")(proofread)
app.command("histograms")(histograms)
app.command("phantom")(phantom)
app.add_typer(queue_app, name="queue")


def main(args: list[str] | None = None) -> None:
    """Run the command line.

    Parameters
    ----------
    args
        Without the program's name; default those of the process.

    Raises
    ------
    SystemExit
        With 0 if all is well, 1 after an error, 2 for a wrong call.
    """
    try:
        app(args)
    except ConnectomakeError as error:
        _fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        known = storage_error(error.filename or "a file", error, "used")
        _fail(str(known or f"{error.filename or 'a file'}: {error.strerror or error}"))


def _fail(message: str) -> None:
    print(f"error: {redacted(message)}", file=sys.stderr)
    sys.exit(1)
