"""The options that commands share, how places are read, and how lines are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from datagen.depot.names import as_given


class _Folder(click.Path):
    """A folder of this disk."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "://" in str(value):
            self.fail(f"{value} lies on an object store; this needs a folder of this disk", param, ctx)
        return super().convert(value, param, ctx)


FOLDER = _Folder(path_type=Path, file_okay=False)


class Place(click.ParamType[Path | str]):
    """A folder, or the url of one on an object store."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).startswith("memory://"):
            self.fail(f"{value} would be gone with this process", param, ctx)
        return value if "://" in str(value) else FOLDER.convert(value, param, ctx)


PLACE = Place()
SPEC = click.option("--spec", "-s", required=True, help="A spec by path, or a pipeline by name: textbook.yaml")
OUT = click.option("--out", "-o", required=True, type=PLACE, help="Folder of the data set, or s3://BUCKET/FOLDER; the same command again resumes.")
LIBRARY = click.option("--library", type=FOLDER, help="A folder with prompts/, filters/, pipelines/ of your own.")
LEASE = 120.0  # datagen.depot.lease.SECONDS, which is not loaded to show help
ROOM = click.argument("out", type=PLACE)
LEDGER = click.option("--ledger", type=PLACE, help="Where paid answers are kept. Default: OUT/ledger.")
WORK = click.option("--work", type=FOLDER, help="Where object stores are mirrored on this disk. Default: $DATAGEN_WORK, or the user's cache.")
LIMIT = click.option("--limit", type=click.IntRange(1), help="Take only so many seeds.")
ADDRESS = click.option("--address", required=True, help="The Ray cluster's dashboard: http://head:8265. RAY_AUTH_MODE must be set as it is there.")
TEACHER = click.option("--teacher", type=click.Choice(["simulator"]), help="Rehearse: the simulated teacher answers, for nothing.")
BUDGET = click.option(
    "--budget", type=click.FloatRange(0, 1e9, min_open=True, max_open=True), help="Cap in US dollars over all runs of this release."
)
UNSAFE = click.option(
    "--unsafe-sandbox", is_flag=True, help="Run programs that a check tests without bubblewrap where there is none, under resource limits only."
)
PUSH = click.option("--push", is_flag=True, help="Push the release to the Hub when it is out.")
YES = click.option("--yes", is_flag=True, help="Agree to a new major release where released rows would change.")
AGAIN = click.option("--again", type=click.Choice(["rejected"]), help="Ask anew what the provider rejected (400, 413, 422) in earlier runs.")


def shown(line: str) -> str:
    """What teachers said, without the signs by which a terminal is told what to do; places as they were given."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in as_given(line))
