"""Files that were uploaded, and the form in which they come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from datagen.rehearsal.wires import WrongShape

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_DISPOSITION = re.compile(rb'(?<![\w*])(name|filename)="([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded file, or one that a job wrote."""

    id: str
    name: str
    purpose: str
    content: bytes
    created: int
    """Unix seconds."""

    def told(self) -> dict[str, Any]:
        """As the provider describes it."""
        return {
            "id": self.id, "object": "file", "bytes": len(self.content), "created_at": self.created, "filename": self.name,
            "purpose": self.purpose, "status": "processed", "expires_at": None, "status_details": None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    filename: str
    content: bytes


def parts_of(body: bytes, content_type: str) -> dict[str, Part]:
    """The fields of a multipart/form-data body. Raises WrongShape where it is none."""
    boundary = _BOUNDARY.search(content_type)
    if "multipart/form-data" not in content_type.lower() or boundary is None:
        raise WrongShape("the body must be multipart/form-data, with a boundary")
    found: dict[str, Part] = {}
    for section in body.split(b"--" + boundary.group(1).encode("latin-1")):
        head, _, content = section.partition(b"\r\n\r\n")
        names = {name.lower(): value.decode("utf-8", "replace") for name, value in _DISPOSITION.findall(head)}
        if b"name" in names:
            found[names[b"name"]] = Part(names.get(b"filename", ""), content.removesuffix(b"\r\n"))
    return found
