"""Preference pairs: a prompt, the answer that won, and one that lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datagen.release.formats.base import Format, as_text


class Preference(Format):
    """`prompt`, `chosen`, `rejected`: one record for each different loser that `select` folded into the winner.

    `rejected` names the folded field, whose items hold the same field as `chosen`. A row whose group had no loser gives no pair.
    """

    required = ("prompt", "chosen", "rejected")
    reads = "chosen"
    example = (
        {"prompt": "2 + 3?", "chosen": "5", "rejected": [{"chosen": "6"}, {"chosen": "6"}, {"chosen": "5"}]},
        [{"prompt": "2 + 3?", "chosen": "5", "rejected": "6"}],
    )

    def rows(self, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        prompt, chosen = as_text(self.take(fields, "prompt")), as_text(self.take(fields, "chosen"))
        losers = dict.fromkeys(text for text in self._losers(fields) if text and text != chosen)
        return [{"prompt": prompt, "chosen": chosen, "rejected": loser} for loser in losers]

    def _losers(self, fields: Mapping[str, Any]) -> list[str]:
        folded = fields.get(self.field("rejected")) or []
        if isinstance(folded, str | Mapping):
            folded = [folded]
        own = self.field("chosen")
        return [as_text(item.get(own) if isinstance(item, Mapping) else item) for item in folded]
