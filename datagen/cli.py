"""The door: words in, words out; what is heavy is imported inside the commands."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import click

from datagen import __version__
from datagen.errors import DatagenError

FOLDER = click.Path(path_type=Path, file_okay=False)
SPEC = click.option("--spec", "-s", required=True, help="A spec by path, or a pipeline by name: textbook.yaml")
OUT = click.option("--out", "-o", required=True, type=FOLDER, help="Folder of the data set; the same command again resumes.")
LIBRARY = click.option("--library", type=FOLDER, help="A folder with prompts/, filters/, pipelines/ of your own.")
LEDGER = click.option("--ledger", type=FOLDER, help="Where paid answers are kept. Default: OUT/ledger.")
LIMIT = click.option("--limit", type=click.IntRange(1), help="Take only so many seeds.")
TEACHER = click.option("--teacher", type=click.Choice(["simulator"]), help="Rehearse: the simulated teacher answers, for nothing.")


class _Group(click.Group):
    """Commands in the order in which one needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="datagen")
def cli() -> None:
    """Synthetic teacher data for small language models: ask once, keep what is right, ship curated shards."""


@cli.command()
@click.argument("folder", type=FOLDER)
def init(folder: Path) -> None:
    """Make a folder with a spec, a prompt and a recipe of your own to start from."""
    from datagen.start import start

    for line in start(folder):
        click.echo(_shown(line))


@cli.command()
@SPEC
@click.option("--rows", default=3, show_default=True, type=click.IntRange(1, 50), help="How many rows to look at.")
@click.option("--ask/--no-ask", default=False, help="Also ask the teacher (this costs) and show answers and verdicts.")
@LIBRARY
@TEACHER
def preview(**given: Any) -> None:
    """Show the prompts as they would be sent; nothing is paid without --ask."""
    from datagen.preview import preview as run

    for line in run(**given):
        click.echo(_shown(line))


@cli.command()
@SPEC
@click.option("--out", "-o", type=FOLDER, help="Compare with what is in this folder.")
@LIMIT
@LIBRARY
@LEDGER
@TEACHER
def plan(**given: Any) -> None:
    """Say what a build would ask, reuse, change and cost; nothing is paid."""
    from datagen.preview import plan_lines

    for line in plan_lines(**given):
        click.echo(_shown(line))


@cli.command()
@SPEC
@OUT
@LIMIT
@click.option("--budget", type=click.FloatRange(0, 1e9, min_open=True, max_open=True), help="Cap in US dollars over all runs of this release.")
@TEACHER
@click.option("--runtime", type=click.Choice(["local", "ray"]), help="Default: ray when RAY_ADDRESS is set, else local.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Workers on Ray.")
@LIBRARY
@LEDGER
@click.option("--push", is_flag=True, help="Push the release to the Hub when it is out.")
@click.option("--yes", is_flag=True, help="Agree to a new major release where released rows would change.")
@click.option("--again", type=click.Choice(["rejected"]), help="Ask anew what the provider rejected (400, 413, 422) in earlier runs.")
@click.option("--wait/--no-wait", default=True, help="Wait for paid batches to come back, or leave (exit code 13) and be typed again later.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve metrics to Prometheus while it runs; 0: any free port.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Where to serve them.")
@click.option("--log", help="Append a line of JSON an event to this file; - writes them to stderr, in place of the progress.")
def build(push: bool, **given: Any) -> None:
    """Make a data set, or go on making it."""
    from datagen.build import Options, require_answers
    from datagen.build import build as run
    from datagen.spec.load import load_spec
    from datagen.terminal import Watcher, report

    options = Options(**given)
    summary = run(options, (lambda _: None) if options.log == "-" else Watcher())
    for line in report(summary):
        click.echo(_shown(line))
    require_answers(summary, load_spec(options.spec, options.library).spec.release.allow_unanswered)
    if push:
        _push(options.out, None, False)


@cli.command()
@click.argument("out", type=FOLDER)
@LEDGER
def status(out: Path, ledger: Path | None) -> None:
    """Say what a folder holds and what it cost."""
    from datagen.inspect import status as run

    for line in run(out, ledger):
        click.echo(_shown(line))


@cli.command()
@click.argument("out", type=FOLDER)
def report(out: Path) -> None:
    """Write report.html anew and say where it is."""
    from datagen.inspect import require_release
    from datagen.release.report import write_report

    require_release(out)
    click.echo(f"{write_report(out).resolve()}")


@cli.command()
@click.argument("out", type=FOLDER)
@click.argument("query")
def sql(out: Path, query: str) -> None:
    """Ask the catalogue: views rows, dropped, unanswered, verdicts, calls, costs."""
    from datagen.inspect import query as run
    from datagen.inspect import require_release, table

    require_release(out)
    for line in table(*run(out, query)):
        click.echo(_shown(line))


@cli.command()
@click.argument("out", type=FOLDER)
@click.argument("row_id")
@LEDGER
def explain(out: Path, row_id: str, ledger: Path | None) -> None:
    """Walk a row from shard to seed: prompts, answers, reasoning, verdicts, cost."""
    from datagen.inspect import explain as run

    for line in run(out, row_id, ledger):
        click.echo(_shown(line))


def _shown(line: str) -> str:
    """What teachers said, without the signs by which a terminal is told what to do."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in line)


@cli.command()
@click.argument("out", type=FOLDER)
@click.option("--repo", help="owner/name. Default: release.push.repo of the spec.")
@click.option("--allow-simulated", is_flag=True, help="Push rows of a rehearsal, marked as such.")
def push(out: Path, repo: str | None, allow_simulated: bool) -> None:
    """Push the release to the Hub: one commit and a tag."""
    _push(out, repo, allow_simulated)


def _push(out: Path, repo: str | None, allow_simulated: bool) -> None:
    from datagen.inspect import push_target
    from datagen.release.hub import push as run

    target, private = push_target(out, repo)
    click.echo(str(run(out, target, private, allow_simulated=allow_simulated)))


@cli.group(cls=_Group)
def ledger() -> None:
    """The record of every answer ever paid for."""


@ledger.command()
@click.argument("folder", type=FOLDER)
def verify(folder: Path) -> None:
    """Derive every checksum and key again. FOLDER is a ledger, or the OUT that holds one."""
    from datagen.inspect import verify as run

    for line in run(folder):
        click.echo(_shown(line))


@ledger.command("import")
@click.argument("folder", type=FOLDER)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--requests", type=click.Path(path_type=Path, dir_okay=False), help="The batch's input file, if it is none of FILES.")
@click.option("--label", default="", help="The endpoint's label in the spec. Default: the provider's own address.")
@click.option("--max-tokens", type=click.IntRange(1), help="The spec's max_tokens, for requests that set none.")
@click.option("--spec", "-s", help="The spec that is to find them; needed where its steps ask for fields (`returns`).")
@LIBRARY
def import_(folder: Path, files: tuple[Path, ...], **given: Any) -> None:
    """Take in answers paid for elsewhere: batch files of OpenAI or Anthropic, Curator's responses_N.jsonl. FOLDER as in verify."""
    from datagen.preview import import_lines

    for line in import_lines(folder, files, **given):
        click.echo(_shown(line))


@ledger.command()
@click.argument("out", type=FOLDER)
@click.argument("row_id")
@LEDGER
@click.option("--yes", is_flag=True, help="Do it; without, only say what would leave.")
def forget(out: Path, row_id: str, ledger: Path | None, yes: bool) -> None:
    """Take a row down: the answers that went into it, and all made from them, leave the ledger for good."""
    from datagen.steps.takedown import takedown

    for line in takedown(out, row_id, ledger or out / "ledger", yes):
        click.echo(_shown(line))


@ledger.command()
@click.argument("folder", type=FOLDER)
@click.argument("tag", metavar="BATCH_OR_RELEASE")
def release(folder: Path, tag: str) -> None:
    """Give up a paid batch that its provider no longer knows, or give back what dead processes of a release (NAME/1.0) had in flight.

    What is open of it counts no more, and is asked again.
    """
    from datagen.inspect import release as run

    click.echo(_shown(run(folder, tag)))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535))
@click.option("--spec", "-s", help="Take the `rehearsal` section of this spec: bank, defects, faults, latency.")
@LIBRARY
def simulator(host: str, port: int, spec: str | None, library: Path | None) -> None:
    """Run the simulated teacher: both wire protocols on one port, for nothing."""
    from datagen.rehearsal.companion import stand

    stand(
        host,
        port,
        spec,
        library,
        lambda bound: click.echo(f"simulated teacher at http://{host}:{bound}  (GET /settings, GET /statement; Ctrl-C ends it)"),
    )


def main() -> None:
    """Console script. A DatagenError is a message and an exit code; anything else is a fault of ours and keeps its traceback."""
    gc.set_threshold(50_000, 20, 50)  # what is loaded stays: collecting it again and again is a sixth of the start
    try:
        cli(standalone_mode=False)
    except DatagenError as error:
        for line in (f"error: {error}", *(f"note: {note}" for note in getattr(error, "__notes__", ()))):
            click.echo(_shown(line), err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on where this one stopped", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
