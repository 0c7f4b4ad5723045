"""Plain text: one column to read from top to bottom, for pre-training."""

from __future__ import annotations

from datagen.release.formats.base import Format


class Text(Format):
    """`text`."""

    required = ("text",)
    reads = "text"
    example = ({"text": "A prime has two divisors."}, [{"text": "A prime has two divisors."}])
