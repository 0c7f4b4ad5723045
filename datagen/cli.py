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
ADDRESS = click.option("--address", required=True, help="The Ray cluster's dashboard: http://head:8265. RAY_AUTH_MODE must be set as it is there.")
TEACHER = click.option("--teacher", type=click.Choice(["simulator"]), help="Rehearse: the simulated teacher answers, for nothing.")
BUDGET = click.option(
    "--budget", type=click.FloatRange(0, 1e9, min_open=True, max_open=True), help="Cap in US dollars over all runs of this release."
)
PUSH = click.option("--push", is_flag=True, help="Push the release to the Hub when it is out.")
YES = click.option("--yes", is_flag=True, help="Agree to a new major release where released rows would change.")
AGAIN = click.option("--again", type=click.Choice(["rejected"]), help="Ask anew what the provider rejected (400, 413, 422) in earlier runs.")


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
@BUDGET
@TEACHER
@click.option("--runtime", type=click.Choice(["local", "ray"]), help="Default: ray when RAY_ADDRESS is set, else local.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Workers on Ray.")
@LIBRARY
@LEDGER
@PUSH
@YES
@AGAIN
@click.option("--wait/--no-wait", default=True, help="Wait for paid batches to come back, or leave (exit code 13) and be typed again later.")
def build(push: bool, **given: Any) -> None:
    """Make a data set, or go on making it."""
    from datagen.build import Options, require_answers
    from datagen.build import build as run
    from datagen.spec.load import load_spec
    from datagen.terminal import Watcher, report

    options = Options(**given)
    summary = run(options, Watcher())
    for line in report(summary):
        click.echo(_shown(line))
    require_answers(summary, load_spec(options.spec, options.library).spec.release.allow_unanswered)
    if push:
        _push(options.out, None, False)


@cli.command()
@SPEC
@click.option("--out", "-o", required=True, help="s3://..., or an absolute path that every node sees.")
@ADDRESS
@click.option("--run-id", help="Names the run: one plan and one run are one job, however often it is submitted. Default: the date, UTC.")
@click.option("--wait", is_flag=True, help="Follow what it says, and end with the build's own exit code; Ctrl-C leaves the job running.")
@LIMIT
@BUDGET
@TEACHER
@click.option("--workers", type=click.IntRange(1), help="Workers on the cluster.")
@LIBRARY
@click.option("--ledger", help="Where paid answers are kept, as --out. Default: OUT/ledger.")
@PUSH
@YES
@AGAIN
def submit(address: str, wait: bool, **given: Any) -> None:
    """Hand a build to a Ray cluster.

    It is planned and checked here first; API keys stay in the environment of the cluster's nodes. A run that failed or was stopped goes
    on where it ended, as job -2, -3, ...
    """
    from datagen.service.submission import Order, prepare
    from datagen.service.submission import submit as run
    from datagen.service.watch import follow

    prepared = prepare(Order(**given))
    jobs = _jobs(address)
    job, lines = run(prepared, jobs)
    for line in lines:
        click.echo(_shown(line))
    if wait:
        sys.exit(follow(jobs, job, _say))


@cli.command()
@click.argument("what", metavar="[OUT | JOB]", required=False)
@LEDGER
@click.option("--address", help="A Ray cluster's dashboard, http://head:8265: JOB is one submitted there; without JOB all of them are listed.")
def status(what: str | None, ledger: Path | None, address: str | None) -> None:
    """Say what a folder holds and what it cost; with --address, how submitted jobs stand."""
    if address is not None:
        from datagen.service.watch import described, listed

        lines = described(_jobs(address), what) if what else listed(_jobs(address))
    elif what is not None:
        from datagen.inspect import status as run

        lines = run(Path(what), ledger)
    else:
        raise click.UsageError("give OUT, a folder of a build, or --address, a Ray cluster's dashboard")
    for line in lines:
        click.echo(_shown(line))


@cli.command()
@click.argument("job")
@ADDRESS
@click.option("--follow", is_flag=True, help="Until it is over; ends with the build's own exit code, and Ctrl-C leaves the job running.")
def logs(job: str, address: str, follow: bool) -> None:
    """Print what a submitted job has said."""
    from datagen.service.watch import follow as run
    from datagen.service.watch import said

    if follow:
        sys.exit(run(_jobs(address), job, _say))
    _say(said(_jobs(address), job))


@cli.command()
@click.argument("job")
@ADDRESS
@click.option("--wait/--no-wait", default=True, help="See it through to its end, or only ask.")
def stop(job: str, address: str, wait: bool) -> None:
    """Stop a submitted job: nothing new is sent, what is in flight lands; the same `submit` goes on from there."""
    from datagen.service.watch import stop as run

    for line in run(_jobs(address), job, wait):
        click.echo(_shown(line))


@cli.command()
@SPEC
@click.option("--out", "-o", required=True, help="Where the data set grows: s3://bucket/path.")
@click.option("--cron", help='When, five fields as Kubernetes reads them: "0 3 * * *" is every night at 3.')
@click.option("--timezone", default="Etc/UTC", show_default=True, help="Of --cron: Europe/Berlin.")
@click.option(
    "--kind",
    type=click.Choice(["cronjob", "raycronjob", "rayjob", "raycluster"]),
    default="cronjob",
    show_default=True,
    help="cronjob: works everywhere; raycronjob: KubeRay's own, alpha; rayjob: one run; raycluster: one to try things on.",
)
@click.option("--image", help="The image of infra/Dockerfile, where your cluster pulls it from. Default: datagen:VERSION.")
@click.option("--secret", help="The Secret whose entries become the environment of every node. Default: NAME-keys.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Worker pods.")
@click.option("--hours", default=12, show_default=True, type=click.IntRange(1, 8760), help="So long may a run take; the next one goes on.")
@BUDGET
@TEACHER
@PUSH
@LIBRARY
@click.option("--to", type=FOLDER, help="Write KIND.yaml into this folder. Default: to the terminal.")
def schedule(to: Path | None, **given: Any) -> None:
    """Render the manifests that run a spec on Kubernetes with KubeRay, every night or once. Nothing is applied."""
    from datagen.service.schedule import Wanted, render, written

    if to is None:
        click.echo(render(Wanted(**given)), nl=False)
        return
    for line in written(Wanted(**given), to):
        click.echo(_shown(line))


def _jobs(address: str) -> Any:
    from datagen.runtime.jobs import Jobs

    return Jobs(address)


def _say(text: str) -> None:
    click.echo(_shown(text), nl=False)


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
