"""Teachers of a spec to chairs of a plan: the provider, its words, its parameters, its price and its key."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from datagen.asking.prices import TokenPrice, price_of
from datagen.asking.teachers import TEACHERS
from datagen.asking.teachers.adapter import About
from datagen.errors import SetupError, SpecError, nearest
from datagen.plan.model import Chair
from datagen.spec.load import Loaded
from datagen.spec.models import Teacher

SIMULATOR = "simulator"
UNBOUNDED = {
    "web_search_options": "the provider bills each search and what it finds",
    "mcp_servers": "the provider runs their tools, and bills what they find",
    "container": "the provider runs what is in it, and bills what that finds",
    "prompt": "it stands at the provider, so nobody here knows how long it is",
    "modalities": "sound has a price of its own",
    "audio": "sound has a price of its own",
    "prediction": "what of it is not used is billed as output beyond max_tokens",
}
UNDER_V1 = ("openai", "responses", "embeddings")
"""Providers whose SDK adds no version to the address."""


@dataclass(frozen=True)
class Rehearsing:
    """Where the simulated teacher listens, and what it is called in request keys."""

    url: str
    label: str


def chair_of(loaded: Loaded, name: str, teacher: Teacher, rehearsing: Rehearsing | None, everything: bool) -> Chair:
    """Who is asked, where, and at what price; `everything` is simulated on --teacher simulator.

    Raises SpecError with file:line on what the provider would refuse, SetupError on a package that is not there. A rehearsal is as strict
    as the real run, but for keys and packages.
    """
    provider, _, model = teacher.model.partition("/")
    simulated = everything or provider == SIMULATOR
    about = _about(loaded, name, provider)
    _check(loaded, name, teacher, about, model)
    if not simulated:
        _installed(name, teacher, about)
    price = None if provider == SIMULATOR else _price(loaded, name, teacher)
    wire = "openai" if provider == SIMULATOR else provider
    if simulated:
        wire = about.rehearsed_as or wire
    if simulated and rehearsing:
        base_url: str | None = rehearsing.url + ("/v1" if wire in UNDER_V1 else "")
        return Chair(name, teacher, wire, model, rehearsing.label, base_url, price, simulated, about.embeds)
    label = teacher.label or _origin(teacher.base_url or teacher.client.get("azure_endpoint"))
    return Chair(name, teacher, wire, model, label, teacher.base_url, price, simulated, about.embeds)


def api_key(chair: Chair) -> str:
    """The key from the environment; empty where the cloud's own credentials do. Raises SetupError that names the variable; a server of
    one's own needs none."""
    if chair.simulated:
        return "simulated"
    about: About = TEACHERS.get(chair.provider).about
    variable = chair.spec.api_key_env or about.key
    key = os.environ.get(variable, "")
    if key or not (about.needs_key or chair.spec.api_key_env):
        return key
    if chair.base_url and not chair.spec.api_key_env:
        return "none"
    raise SetupError(
        f"teacher {chair.name!r} ({chair.spec.model}) needs an API key: set {variable}, or rehearse for nothing with --teacher simulator"
    )


def _about(loaded: Loaded, name: str, provider: str) -> About:
    """What is known of a provider; the simulator's words are OpenAI's."""
    known = [*TEACHERS, SIMULATOR]
    if provider not in known:
        raise SpecError(
            f"{loaded.written.where(('teachers', name, 'model'))}: unknown provider {provider!r}{nearest(provider, known)}; "
            "an OpenAI-compatible server is openai/... with base_url"
        )
    about: About = TEACHERS.get("openai" if provider == SIMULATOR else provider).about
    return about


def _check(loaded: Loaded, name: str, teacher: Teacher, about: About, model: str) -> None:
    """Raises SpecError on the first word that the provider would not take."""

    def where(*place: str) -> str:
        return loaded.written.where(("teachers", name, *place))

    params: dict[str, Any] = {**({} if teacher.temperature is None else {"temperature": teacher.temperature}), **teacher.params}
    if "max_tokens" in teacher.params:
        raise SpecError(f"{where('params', 'max_tokens')}: write max_tokens on the teacher, beside params: the budget counts with it")
    for word, why in about.refused(model, params).items():
        place = ("params", word) if word in teacher.params else (word,)
        raise SpecError(f"{where(*place)}: {teacher.model} cannot be given {word!r}: {why}")
    for word in teacher.client:
        if word not in about.client:
            raise SpecError(f"{where('client', word)}: {teacher.model} has no word {word!r} under client{nearest(word, about.client)}")
    if not all(teacher.client.get(word) for word in about.client):
        form = ", ".join(f"{word}: {teacher.client.get(word) or example}" for word, example in about.client.items())
        raise SpecError(f"{where('client' if teacher.client else 'model')}: {teacher.model} needs to know where it is; write `client: {{{form}}}`")
    if about.models and not re.search(about.models, model, re.IGNORECASE):
        provider = teacher.model.partition("/")[0]
        elsewhere = "ask another model there through its OpenAI-compatible address: openai/... with base_url"
        raise SpecError(f"{where('model')}: {provider}/ speaks to {about.only} alone, which {model!r} is not; {elsewhere}")
    if about.embeds and teacher.raise_to is not None:
        raise SpecError(f"{where('raise_to')}: {teacher.model} gives vectors, which are never cut short; take it away")
    if teacher.raise_to is not None and teacher.raise_to <= teacher.max_tokens:
        cut = f"is not above max_tokens {teacher.max_tokens}: a truncated answer would be cut again"
        raise SpecError(f"{where('raise_to')}: raise_to {teacher.raise_to} {cut}")
    if teacher.mode == "batch" and not about.batches:
        raise SpecError(f"{where('mode')}: there is no batch API for {teacher.model}; write `mode: online`, or ask the model at its maker's")
    for word, value in params.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise SpecError(f"{where('params', word)}: {value} cannot be sent; JSON has no such number")
    if teacher.price is not None and teacher.unpriced:
        raise SpecError(f"{where('price')}: what is `unpriced: true` costs nothing; take one of the two away")
    if teacher.mode == "batch" and teacher.params.get("speed") == "fast":
        raise SpecError(f"{where('params', 'speed')}: a batch has no fast speed; take it away, or write `mode: online`")
    _check_address(where("base_url"), teacher.base_url)
    if not teacher.unpriced:
        _check_bounds(teacher, where)


def _check_bounds(teacher: Teacher, where: Callable[..., str]) -> None:
    """Raises SpecError for what is billed beyond the input and `max_tokens`: no worst case could be reserved for it."""
    tools = teacher.params.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type", "function") if isinstance(tool, dict) else "function"
        if kind not in ("function", "custom"):
            why = "its provider runs it, and bills each use and what it finds"
            raise SpecError(f"{where('params', 'tools')}: no budget could hold a tool of type {kind!r}: {why}; take it away")
    for word, why in UNBOUNDED.items():
        if word in teacher.params:
            raise SpecError(f"{where('params', word)}: no budget could hold {word!r}: {why}; take it away, or waive the price with `unpriced: true`")
    if "inference_geo" in teacher.params and teacher.price is None:
        raise SpecError(f"{where('params', 'inference_geo')}: the table has no price for a place; give `price: {{input: ..., output: ...}}`")


def _check_address(where: str, address: str | None) -> None:
    """Raises SpecError for what is no http(s) address, or one with a user name or password: it would stand in every copy of the spec."""
    try:
        parts = urlsplit(address or "http://none")
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise SpecError(f"{where}: {address!r} is no address; it begins with http:// or https:// and a host")
    if parts.username or parts.password:
        raise SpecError(f"{where}: an address with a user name or password in it is kept with the data; write the key to api_key_env")
    if parts.query or parts.fragment:
        raise SpecError(f"{where}: paths are put behind the address, so it cannot have a ? or # part; a key belongs in api_key_env")


def _installed(name: str, teacher: Teacher, about: About) -> None:
    """Raises SetupError where a package is missing that the provider's client needs."""
    try:
        found = not about.package or find_spec(about.package) is not None
    except ModuleNotFoundError:  # the package around it
        found = False
    if not found:
        raise SetupError(f"teacher {name!r} ({teacher.model}) needs {about.package}: pip install 'datagen[{about.extra}]'")


def _price(loaded: Loaded, name: str, teacher: Teacher) -> TokenPrice | None:
    """The price of what will be asked for: a batch, another tier. Raises SpecError where nobody knows it and the spec does not waive it."""
    if teacher.unpriced:
        return None
    context: dict[str, str] = {word: str(teacher.params[word]) for word in ("service_tier", "speed") if word in teacher.params}
    if teacher.mode == "batch":
        context["processing"] = "batch"
    price = price_of(teacher.model, teacher.price.model_dump() if teacher.price else None, context=context or None)
    if price is None:
        raise SpecError(
            f"{loaded.written.where(('teachers', name, 'model'))}: no price is known for {teacher.model!r}, so no budget could hold; "
            "give `price: {input: USD per million tokens, output: ...}`, or `unpriced: true` for a server of your own"
        )
    return price


def _origin(base_url: str | None) -> str:
    parts = urlsplit(base_url or "")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}" if base_url else ""  # never a user name or password
