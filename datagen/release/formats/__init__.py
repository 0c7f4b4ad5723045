"""The shelf of export formats: one file each, named in a spec's `release.format`."""

from __future__ import annotations

from datagen.shelf import Shelf

FORMATS = Shelf(
    "format",
    {
        "text": "datagen.release.formats.text:Text",
        "chat": "datagen.release.formats.chat:Chat",
        "instruction": "datagen.release.formats.instruction:Instruction",
        "rationale": "datagen.release.formats.rationale:Rationale",
        "preference": "datagen.release.formats.preference:Preference",
    },
)
