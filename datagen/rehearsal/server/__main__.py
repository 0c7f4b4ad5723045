"""`python -m datagen.rehearsal.server --port 0 --settings JSON --parent-pipe`: prints `PORT n`, then serves."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence

from datagen.errors import DatagenError
from datagen.rehearsal.server.serving import serve
from datagen.rehearsal.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: that of the error, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="datagen.rehearsal.server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--settings", default="{}", help="the rehearsal section of a spec, as JSON")
    parser.add_argument("--run", type=int, default=0, help="which run this is: a later one meets new luck and gets the same answers")
    parser.add_argument("--parent-pipe", action="store_true", help="exit when stdin closes")
    given = parser.parse_args(arguments)
    if given.parent_pipe:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a job is stopped with all its processes at once, and what is in flight must land
    try:
        settings = Settings.model_validate(json.loads(given.settings))
        serve(settings, given.host, given.port, lambda port: print("PORT", port, flush=True), given.run, given.parent_pipe)
    except (DatagenError, ValueError) as error:
        print(error, file=sys.stderr)
        return error.exit_code if isinstance(error, DatagenError) else 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
