"""The commands around a build on a cluster: submit, logs, stop, schedule."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from datagen.options import ADDRESS, AGAIN, BUDGET, FOLDER, LIBRARY, LIMIT, PUSH, SPEC, TEACHER, UNSAFE, YES, shown


@click.command()
@SPEC
@click.option("--out", "-o", required=True, help="s3://..., or an absolute path that every node sees.")
@ADDRESS
@click.option("--run-id", default="", help="Names the run: one plan and one run are one job, however often it is submitted. Default: the date, UTC.")
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
@UNSAFE
def submit(address: str, wait: bool, **given: Any) -> None:
    """Hand a build to a Ray cluster.

    It is planned and checked here first; API keys stay in the environment of the cluster's nodes. A run that failed or was stopped goes
    on where it ended, as job -2, -3, ...
    """
    from datagen.service.submission import Order, prepare
    from datagen.service.submission import submit as run
    from datagen.service.watch import follow

    prepared = prepare(Order(**given))
    jobs = jobs_at(address)
    job, lines = run(prepared, jobs)
    for line in lines:
        click.echo(shown(line))
    if wait:
        sys.exit(follow(jobs, job, say))


@click.command()
@click.argument("job")
@ADDRESS
@click.option("--follow", is_flag=True, help="Until it is over; ends with the build's own exit code, and Ctrl-C leaves the job running.")
def logs(job: str, address: str, follow: bool) -> None:
    """Print what a submitted job has said."""
    from datagen.service.watch import follow as run
    from datagen.service.watch import said

    if follow:
        sys.exit(run(jobs_at(address), job, say))
    say(said(jobs_at(address), job))


@click.command()
@click.argument("job")
@ADDRESS
@click.option("--wait/--no-wait", default=True, help="See it through to its end, or only ask.")
def stop(job: str, address: str, wait: bool) -> None:
    """Stop a submitted job: nothing new is sent, what is in flight lands; the same `submit` goes on from there."""
    from datagen.service.watch import stop as run

    for line in run(jobs_at(address), job, wait):
        click.echo(shown(line))


@click.command()
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
@UNSAFE
@LIBRARY
@click.option("--to", type=FOLDER, help="Write KIND.yaml into this folder. Default: to the terminal.")
def schedule(to: Path | None, **given: Any) -> None:
    """Render the manifests that run a spec on Kubernetes with KubeRay, every night or once. Nothing is applied."""
    from datagen.service.schedule import Wanted, render, written

    if to is None:
        click.echo(render(Wanted(**given)), nl=False)
        return
    for line in written(Wanted(**given), to):
        click.echo(shown(line))


@click.group()
def benchmarks() -> None:
    """Make the reference sets that `decontaminate` names."""


@benchmarks.command("import")
@click.argument("names", nargs=-1, required=True)
@click.option("--from", "source", required=True, type=click.Path(path_type=Path, exists=True, file_okay=False), help="The folder of data.")
@click.option("--to", required=True, type=FOLDER, help="A folder for --library: the files go to its benchmarks/.")
def import_benchmarks(names: tuple[str, ...], source: Path, to: Path) -> None:
    """Write benchmarks/NAME.parquet and a manifest with hash, count, source and version. NAMES: gsm8k humaneval mbpp mmlu."""
    from datagen.plan.benchmarks import import_benchmarks as run

    for line in run(names, source, to):
        click.echo(shown(line))


def jobs_at(address: str) -> Any:
    from datagen.runtime.onray.jobs import Jobs

    return Jobs(address)


def say(text: str) -> None:
    click.echo(shown(text), nl=False)
