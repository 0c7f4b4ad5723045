"""The door: words in, words out; what is heavy is imported inside the commands."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import click

from datagen import __version__
from datagen.curating.commands import bench_filters, recurate
from datagen.errors import DatagenError
from datagen.options import AGAIN, BUDGET, FOLDER, LEASE, LEDGER, LIBRARY, LIMIT, OUT, PLACE, PUSH, ROOM, SPEC, TEACHER, UNSAFE, WORK, YES, shown
from datagen.service import commands


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
        click.echo(shown(line))


@cli.command()
@SPEC
@click.option("--rows", default=3, show_default=True, type=click.IntRange(1, 50), help="How many rows to look at.")
@click.option("--ask/--no-ask", default=False, help="Also ask the teacher (this costs) and show answers and verdicts.")
@LIBRARY
@TEACHER
@UNSAFE
def preview(**given: Any) -> None:
    """Show the prompts as they would be sent; nothing is paid without --ask."""
    from datagen.preview import preview as run

    for line in run(**given):
        click.echo(shown(line))


@cli.command()
@SPEC
@click.option("--out", "-o", type=PLACE, help="Compare with what is in this folder.")
@LIMIT
@LIBRARY
@LEDGER
@TEACHER
@UNSAFE
@WORK
def plan(out: Path | str | None, ledger: Path | str | None, work: Path | None, **given: Any) -> None:
    """Say what a build would ask, reuse, change and cost; nothing is paid."""
    from datagen.preview import plan_lines

    here, book = _visited(out or "", ledger, work)
    for line in plan_lines(out=here if out else None, ledger=book if ledger else None, **given):
        click.echo(shown(line))


@cli.command()
@SPEC
@OUT
@LIMIT
@BUDGET
@TEACHER
@click.option("--runtime", type=click.Choice(["local", "ray"]), help="Default: ray when RAY_ADDRESS is set, else local.")
@click.option("--workers", type=click.IntRange(1), help="Workers on Ray. Default: one per node.")
@LIBRARY
@LEDGER
@WORK
@click.option(
    "--lease", default=LEASE, show_default=True, type=click.FloatRange(5), help="Seconds an object store may be out of reach, see docs/operating.md."
)
@PUSH
@YES
@AGAIN
@UNSAFE
@click.option("--wait/--no-wait", default=True, help="Wait for paid batches to come back, or leave (exit code 13) and be typed again later.")
@click.option("--run-id", default="", help="Names the run in OUT/run.json. Default: the Ray job's id, or the UTC date.")
@click.option("--notify", metavar="URL_ENV", help="Environment variable with a webhook's address, which is told how the run ended.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve metrics to Prometheus while it runs; 0: any free port.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Where to serve them.")
@click.option("--log", help="Append a line of JSON an event to this file; - writes them to stderr, in place of the progress.")
def build(push: bool, **given: Any) -> None:
    """Make a data set, or go on making it."""
    from datagen.build import Options, Summary
    from datagen.job import run
    from datagen.terminal import Watcher, report

    options = Options(**given)

    watch = Watcher()

    def show(summary: Summary) -> None:
        for line in report(summary, watch.said):
            click.echo(shown(line))

    for note in run(options, (lambda _: None) if options.log == "-" else watch, show, lambda: _push(options.root, None, False) if push else None):
        click.echo(shown(f"note: {note}"), err=True)


@cli.command()
@click.argument("what", metavar="[OUT | JOB]", required=False)
@LEDGER
@WORK
@click.option("--address", help="A Ray cluster's dashboard, http://head:8265: JOB is one submitted there; without JOB all of them are listed.")
def status(what: str | None, ledger: Path | str | None, work: Path | None, address: str | None) -> None:
    """Say what a folder holds and what it cost; with --address, how submitted jobs stand."""
    if address is not None:
        from datagen.service.watch import described, listed

        jobs = commands.jobs_at(address)
        lines = described(jobs, what) if what else listed(jobs)
    elif what is not None:
        from datagen.inspect import status as run

        place = PLACE.convert(what, None, None)
        lines = run(*_visited(place, ledger, work, lambda name: name.endswith(".json") and "/parts/" not in name))
    else:
        raise click.UsageError("give OUT, a folder of a build, or --address, a Ray cluster's dashboard")
    for line in lines:
        click.echo(shown(line))


for command in (recurate, bench_filters, commands.submit, commands.logs, commands.stop, commands.schedule, commands.benchmarks):
    cli.add_command(command)


@cli.command()
@ROOM
@WORK
def report(out: Path | str, work: Path | None) -> None:
    """Write report.html anew and say where it is."""
    from datagen.inspect import require_release
    from datagen.release.report import write_report

    here, _ = _visited(out, None, work, book=False)
    require_release(here)
    click.echo(f"{write_report(here).resolve()}")


@cli.command()
@ROOM
@click.argument("query")
@WORK
def sql(out: Path | str, query: str, work: Path | None) -> None:
    """Ask the catalogue: views rows, dropped, unanswered, verdicts, calls, costs."""
    from datagen.inspect import query as run
    from datagen.inspect import require_release, table

    here, _ = _visited(out, None, work, book=False)
    require_release(here)
    for line in table(*run(here, query)):
        click.echo(shown(line))


@cli.command()
@ROOM
@click.argument("row_id")
@LEDGER
@WORK
def explain(out: Path | str, row_id: str, ledger: Path | str | None, work: Path | None) -> None:
    """Walk a row from shard to seed: prompts, answers, reasoning, verdicts, cost."""
    from datagen.inspect import explain as run

    here, book = _visited(out, ledger, work)
    for line in run(here, row_id, book):
        click.echo(shown(line))


def _visited(out: Path | str, ledger: Path | str | None, work: Path | None, wants: Any = None, book: bool = True) -> tuple[Path, Path]:
    """Both on this disk; what lies on an object store is fetched first."""
    from datagen.running.mooring import visited

    return visited(out, ledger, work, wants or (lambda name: True), book)


@cli.command()
@ROOM
@click.option("--repo", help="owner/name. Default: release.push.repo of the spec.")
@click.option("--allow-simulated", is_flag=True, help="Push rows of a rehearsal, marked as such.")
@WORK
def push(out: Path | str, repo: str | None, allow_simulated: bool, work: Path | None) -> None:
    """Push the release to the Hub: one commit and a tag."""
    here, _ = _visited(out, None, work, lambda name: not name.startswith("steps/"), book=False)
    _push(here, repo, allow_simulated)


def _push(out: Path, repo: str | None, allow_simulated: bool) -> None:
    from datagen.inspect import push_target
    from datagen.release.hub import push as run

    target, private = push_target(out, repo)
    click.echo(str(run(out, target, private, allow_simulated=allow_simulated)))


@cli.group(cls=_Group)
def ledger() -> None:
    """The record of every answer ever paid for."""


@ledger.command()
@click.argument("folder", type=PLACE)
@WORK
def verify(folder: Path | str, work: Path | None) -> None:
    """Derive every checksum and key again. FOLDER is a ledger, or the OUT that holds one."""
    from datagen.inspect import verify as run

    here, book = _visited(_out_of(folder), None, work, lambda name: name == "plan.json")
    for line in run(here if here == folder else book):
        click.echo(shown(line))


def _out_of(place: Path | str) -> Path | str:
    """The OUT whose ledger is meant, on an object store."""
    return place.rstrip("/").removesuffix("/ledger") if isinstance(place, str) else place


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
        click.echo(shown(line))


@ledger.command()
@click.argument("out", type=FOLDER)
@click.argument("row_id")
@LEDGER
@click.option("--yes", is_flag=True, help="Do it; without, only say what would leave.")
def forget(out: Path, row_id: str, ledger: Path | None, yes: bool) -> None:
    """Take a row down: the answers that went into it, and all made from them, leave the ledger for good."""
    from datagen.steps.takedown import takedown

    for line in takedown(out, row_id, ledger or out / "ledger", yes):
        click.echo(shown(line))


@ledger.command()
@click.argument("folder", type=PLACE)
@click.argument("tag", metavar="BATCH_OR_RELEASE")
@WORK
def release(folder: Path | str, tag: str, work: Path | None) -> None:
    """Give up a paid batch that its provider no longer knows, or give back what dead processes of a release (NAME/1.0) had in flight.

    What is open of it counts no more, and is asked again.
    """
    from datagen.inspect import release as run
    from datagen.running.mooring import moored

    with moored(_out_of(folder), None, work, LEASE, "datagen ledger release", lambda line: click.echo(line, err=True)) as mooring:
        click.echo(shown(run(mooring.root, tag)))


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
            click.echo(shown(line), err=True)
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
