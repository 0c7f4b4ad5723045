"""The commands that curate: recurate and bench-filters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from datagen.options import LEDGER, LIBRARY, ROOM, UNSAFE, WORK, shown


@click.command()
@ROOM
@click.option("--set", "sets", multiple=True, required=True, metavar="STEP.OPERATOR.PARAMETER=VALUE", help="good.repetition.at_most=0.2")
@click.option("--spec", "-s", help="The spec that OUT was built from, where it has moved.")
@LIBRARY
@LEDGER
@WORK
@UNSAFE
@click.option("--yes", is_flag=True, help="Release it, as a new major version; without, only say what would change.")
def recurate(out: Path | str, ledger: Path | str | None, work: Path | None, yes: bool, **given: Any) -> None:
    """Try other thresholds on what has been built, and with --yes release that. Nothing is asked."""
    from datagen.curating.recurate import changes, ledger_of, options_of
    from datagen.running.mooring import visited

    here, _ = visited(out, ledger, work, lambda name: True, book=False)
    ledger = ledger or ledger_of(here)
    _, book = visited(out, ledger, work, lambda name: False)
    options = options_of(here, book, **given)
    for line in changes(options, release=yes):
        click.echo(shown(line))
    if yes:
        _release(options, out, ledger, work)
    else:
        click.echo("nothing has been done; type the same with --yes to release it as a new major version")


def _release(options: Any, out: Path | str, ledger: Path | str | None, work: Path | None) -> None:
    from dataclasses import replace

    from datagen.job import run
    from datagen.terminal import Watcher, report

    watch = Watcher()

    def show(summary: Any) -> None:
        for line in report(summary, watch.said):
            click.echo(shown(line))

    for note in run(replace(options, out=out, ledger=ledger, work=work), watch, show):
        click.echo(shown(f"note: {note}"), err=True)


@click.command("bench-filters")
@click.argument("recipe", required=False)
@click.option(
    "--on",
    "sets",
    multiple=True,
    metavar="NAME | NAME=FILE:FIELD",
    help="Labelled rows; again for more. Default: the ready-made ones it is for, else all.",
)
@click.option("--take", default=2000, show_default=True, type=click.IntRange(1), help="Rows of each set, by a digest of their text.")
@click.option("--damaged", default=0, show_default=True, type=click.IntRange(0), help="Good rows of each set to damage on purpose, as bad ones.")
@click.option("--shipped", is_flag=True, help="All recipes that ship, as their tables beside them were made.")
@LIBRARY
def bench_filters(recipe: str | None, sets: tuple[str, ...], take: int, library: Path | None, damaged: int, shipped: bool) -> None:
    """Measure every operator of a recipe on labelled rows, and write the table beside the recipe, unless that is one that ships.

    A file has texts in FIELD (`text`) and labels in `label`, good or bad:KIND; without labels all rows are good. Ready-made known-good
    sets stand in $DATAGEN_SHARED/data: gsm8k, humaneval, mbpp, openstax, gpteacher.
    """
    from datagen.curating.bench import bench
    from datagen.curating.bench import shipped as run

    given = {"a recipe": recipe, "--on": sets, "--damaged": damaged, "--library": library}
    if shipped and (too_much := [name for name, value in given.items() if value]):
        raise click.UsageError(f"--shipped measures the recipes that ship on sets of their own: say it without {', '.join(too_much)}")
    if not shipped and recipe is None:
        raise click.UsageError("name a recipe, or say --shipped")
    for line in run(take) if shipped or recipe is None else bench(recipe, sets, take, library, damaged):
        click.echo(shown(line))
