"""Chat messages with roles, as chat trainers read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datagen.errors import OutputError
from datagen.release.formats.base import Format, as_text

ROLES = ("system", "user", "assistant", "tool")


class Chat(Format):
    """`messages`, made of the fields `prompt` and `answer` (and `system`), or taken whole: `columns: {messages: FIELD}`."""

    required = ("prompt", "answer")
    optional = ("system", "messages")
    reads = "messages"
    example = (
        {"prompt": "What is 2 + 3?", "answer": "5"},
        [{"messages": [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}]}],
    )

    def needs(self) -> dict[str, str]:
        return {"messages": self.field("messages")} if "messages" in self.columns else super().needs()

    def uses(self) -> set[str]:
        return set(self.needs().values()) if "messages" in self.columns else super().uses() - {"messages"}

    def emits(self) -> tuple[str, ...]:
        return ("messages",)

    def rows(self, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        if "messages" in self.columns:
            return [{"messages": [_message(message) for message in self.take(fields, "messages")]}]
        turns = [("system", fields.get(self.field("system")))] if fields.get(self.field("system")) else []
        turns += [("user", self.take(fields, "prompt")), ("assistant", self.take(fields, "answer"))]
        return [{"messages": [{"role": role, "content": as_text(content)} for role, content in turns]}]


def _message(message: Any) -> dict[str, str]:
    if not isinstance(message, Mapping) or message.get("role") not in ROLES or not isinstance(message.get("content"), str):
        raise OutputError(f"a chat message must be {{role: {' | '.join(ROLES)}, content: text}}, found {str(message)[:120]!r}")
    return {"role": message["role"], "content": message["content"]}
