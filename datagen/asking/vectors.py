"""A vector as it is kept: base64 of its numbers as 32-bit floats, least byte first; and whether it points anywhere."""

from __future__ import annotations

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any

LARGEST = 1e15
"""Of one number: beyond it a sum of squares would pass what a float holds."""


def packed(numbers: Sequence[float]) -> str:
    """The text of a vector."""
    return base64.b64encode(_little(array("f", numbers)).tobytes()).decode()


def numbers_of(value: Any) -> Sequence[float]:
    """The numbers of a vector, from its text or from a list of them. Raises ValueError that says what was found in place of a vector."""
    if isinstance(value, str):
        try:
            found = array("f", base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"no vector in base64: {value[:40]!r}") from error
        numbers: Sequence[float] = _little(found)
    elif isinstance(value, list | tuple):
        numbers = [float(each) for each in value if isinstance(each, int | float) and not isinstance(each, bool)]
        if len(numbers) != len(value):
            raise ValueError(f"{len(value) - len(numbers)} of {len(value)} places of a vector hold no number")
    else:
        raise ValueError(f"no vector, but {value!r:.40}")
    if not numbers:
        raise ValueError("a vector of no numbers")
    if not all(math.isfinite(each) and abs(each) < LARGEST for each in numbers):
        raise ValueError("a vector with NaN or infinity in it")
    if not any(numbers):
        raise ValueError("a vector of zeros, which points nowhere")
    return numbers


def _little(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
