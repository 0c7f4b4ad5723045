"""Instruction, optional input, output: the Alpaca triple."""

from __future__ import annotations

from datagen.release.formats.base import Format


class Instruction(Format):
    """`instruction`, `input` (empty where there is none), `output`."""

    required = ("instruction", "output")
    optional = ("input",)
    reads = "output"
    example = (
        {"instruction": "Add the numbers.", "output": "5", "input": "2 3"},
        [{"instruction": "Add the numbers.", "output": "5", "input": "2 3"}],
    )
