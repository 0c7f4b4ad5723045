"""Text whose line ends are lost, so that headings run on in the middle of lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from datagen.operators.base import Finding, Operator

_FENCED = re.compile(r"^ {0,3}(```|~~~)[\s\S]*?(?:^ {0,3}\1[`~]*\s*$|\Z)|`[^`\n]+`", re.MULTILINE)
_HEADING = re.compile(r"(?:[.!?:)\]\"”*]|\w{3})[ \t]+#{2,6} +(?=\*{0,2}[^\W\d_])")


class Layout(Operator):
    """Markdown headings inside a line: whoever joined, shuffled or copied the text lost its line ends, and often the order of its sentences.

    Code, fenced or between backticks, is passed over. The score is the number of such headings.
    """

    made_for: ClassVar[frozenset[str]] = frozenset({"prose", "chat"})
    keeps: ClassVar = (
        "# Cells\n\nA cell divides.\n\n## Growth\n\nIt grows.",
        "A heading starts with `##`: write `## Title` for one.",
        "```python\nx = 1  ## the first value\n```\nThe value is one.",
    )
    drops: ClassVar = ("Cells divide. ## Growth A cell grows before it divides. ## Summary Cells grow and divide.",)

    at_most: int = Field(default=0, ge=0)
    """Headings inside lines that are tolerated."""

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        text = self.text(fields)
        if " ##" not in text and "\t##" not in text:
            return Finding(True, score=0.0)
        found = [each.span() for each in _HEADING.finditer(_FENCED.sub(" ", text) if "`" in text or "~~~" in text else text)]
        if len(found) <= self.at_most:
            return Finding(True, score=float(len(found)))
        start, end = found[0]
        return Finding(False, "heading_inside_line", float(len(found)), text[max(0, start - 40) : end + 40])
