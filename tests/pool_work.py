"""What the tests of the process pool run in other processes."""

from __future__ import annotations

import os
import time
from typing import Any


class Odd(Exception):
    """Cannot be built again from its arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.second = second


def work(tool: str, argument: Any) -> Any:
    match argument:
        case "hang":
            time.sleep(3600)
        case "spin":
            while True:
                pass
        case "slow":
            time.sleep(1.0)
        case "die":
            os._exit(7)
        case "raise":
            raise ValueError("no good")
        case "odd":
            raise Odd("first", "second")
        case "lambda":
            return lambda: None
        case "where":
            return os.getpid()
    return f"{tool}:{argument}"


def other(tool: str, argument: Any) -> Any:
    return f"other {tool}:{argument}"
