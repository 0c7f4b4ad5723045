"""Errors in the provider's own form."""

from __future__ import annotations

from typing import Any

import orjson

from datagen.rehearsal.wires import Wire

_KINDS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "invalid_request_error"),
    401: ("invalid_request_error", "invalid_api_key", "authentication_error"),
    404: ("invalid_request_error", "unknown_url", "not_found_error"),
    405: ("invalid_request_error", "method_not_supported", "invalid_request_error"),
    413: ("invalid_request_error", None, "request_too_large"),
    429: ("requests", "rate_limit_exceeded", "rate_limit_error"),
    500: ("server_error", None, "api_error"),
    503: ("service_unavailable_error", "overloaded", "overloaded_error"),
    529: ("service_unavailable_error", "overloaded", "overloaded_error"),
}
"""Status -> (OpenAI's type, OpenAI's code, Anthropic's type)."""


def error_of(wire: Wire, status: int, message: str, param: str | None = None, kind: str = "") -> dict[str, Any]:
    """The body of an error; `kind` stands in for OpenAI's type (`tokens`, where a limit of tokens was met)."""
    usual, code, name = _KINDS[status]
    if wire == "openai":
        return {"error": {"message": message, "type": kind or usual, "param": param, "code": code}}
    return {"type": "error", "error": {"type": name, "message": message}, "request_id": "req_simulated"}


def error_body(wire: Wire, status: int, message: str, param: str | None = None, kind: str = "") -> bytes:
    """The same as bytes."""
    return orjson.dumps(error_of(wire, status, message, param, kind))
