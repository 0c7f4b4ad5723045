"""Manifests of Kubernetes for a spec: a Ray cluster per run, every night or once, with secrets by reference."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tempfile
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from datagen import __version__
from datagen.build import Options, planned
from datagen.errors import OutputError, SpecError, nearest
from datagen.service.bundle import Bundle, bundled, of_this_disk, recording, secrets
from datagen.service.cron import checked
from datagen.service.submission import Order, entrypoint
from datagen.spec.library import SHIPPED
from datagen.spec.load import load_spec

KINDS = ("cronjob", "raycronjob", "rayjob", "raycluster")
"""A plain CronJob that makes a RayJob and waits for it; KubeRay's RayCronJob (alpha); one run; a cluster to try things on."""
TIMED = ("cronjob", "raycronjob")
RAY_VERSION = "2.60.0"
"""Of the image (infra/Dockerfile) and of the cluster; KubeRay asks for it where tokens are on."""
LONGEST_NAME = 36
"""Characters: KubeRay puts a suffix of 11 to a RayCronJob's runs and one of 6 to a RayJob's cluster, whose name has 53 at most."""
LARGEST = 900 * 2**10
"""Bytes of a spec and its files: a ConfigMap holds 1 MiB, names and all."""
MOUNTED = "/etc/datagen/spec"
FOLDER = Path(__file__).parent / "manifests"
_SECRET = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_IMAGE = re.compile(r"((localhost|[\w-]+(\.[\w-]+)+|[\w-]+(?=:))(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for at the door."""

    spec: str
    out: str
    kind: str = "cronjob"
    cron: str | None = None
    timezone: str = "Etc/UTC"
    image: str | None = None
    """Default: datagen and its version, without a registry."""
    secret: str | None = None
    """Name of the Secret whose entries become the environment of every node. Default: the name of the spec and `-keys`."""
    workers: int = 2
    hours: int = 12
    """So long may a run take; the next one goes on."""
    budget: float | None = None
    teacher: str | None = None
    push: bool = False
    unsafe_sandbox: bool = False
    library: Path | None = None


def render(wanted: Wanted) -> str:
    """The manifest as YAML. Raises SpecError and OutputError on a word that no cluster would take, and what planning the spec raises."""
    cron = _schedule(wanted)
    if "://" not in wanted.out:
        raise OutputError(f"--out {wanted.out}: the pods of a run share no disk; give an address such as s3://bucket/path")
    bundle, name = _planned(wanted)
    shipped = all(in_image(path) for path in bundle.files.values())
    label = label_of(name)
    order = Order(wanted.spec, wanted.out, budget=wanted.budget, teacher=wanted.teacher, workers=wanted.workers, push=wanted.push)
    order = replace(order, unsafe_sandbox=wanted.unsafe_sandbox)
    values = {
        "label": label,
        "spec_name": name,
        "files": {} if shipped else _keyed(bundle),
        "entrypoint": entrypoint(order, Path(bundle.spec).name if shipped else f"{MOUNTED}/{bundle.spec}"),
        "cron": cron,
        "timezone": wanted.timezone,
        "image": _matching(_IMAGE, "--image", wanted.image or f"datagen:{__version__}", "an image, in lower case: registry/datagen:1.0"),
        "secret": _matching(_SECRET, "--secret", wanted.secret or f"{label}-keys", "the name of a Secret: lower case letters, digits, '-' and '.'"),
        "workers": wanted.workers,
        "seconds": wanted.hours * 3600,
        "ray_version": RAY_VERSION,
        "mounted": MOUNTED,
    }
    return str(_template(f"{wanted.kind}.yaml.j2").render(**values))


def written(wanted: Wanted, folder: Path) -> Iterator[str]:
    """Write `<kind>.yaml` into the folder; yields what to type next."""
    text = render(wanted)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{wanted.kind}.yaml"
    path.write_text(text, encoding="utf-8")
    yield f"wrote {path}"
    yield f"next: kubectl apply -f {path}"


def label_of(name: str) -> str:
    """The name of a spec as a DNS-1123 label that begins with a letter, at most LONGEST_NAME long; one that is cut ends in its digest."""
    label = re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-")
    label = label if label[:1].isalpha() else f"set-{label}"
    if len(label) > LONGEST_NAME or label != name:
        label = f"{label[: LONGEST_NAME - 7].strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return label


def _schedule(wanted: Wanted) -> str | None:
    if wanted.kind not in TIMED:
        return None
    if wanted.cron is None:
        raise SpecError(f'--kind {wanted.kind} needs a time: --cron "0 3 * * *" is every night at 3')
    zones = zoneinfo.available_timezones()
    if zones and wanted.timezone not in zones:
        raise SpecError(f"--timezone {wanted.timezone!r}: no such zone; {_zone(wanted.timezone, zones)}")
    return checked(wanted.cron)


def _zone(given: str, zones: set[str]) -> str:
    guess = nearest(given, zones).partition(" known: ")[0].lstrip("; ")  # all six hundred of them would bury it
    return f"{guess} names are those of the IANA list: Europe/Berlin, America/New_York, Etc/UTC".strip()


def _planned(wanted: Wanted) -> tuple[Bundle, str]:
    """The files of the spec and its name, after planning it as a build would."""
    loaded, recorder = recording(load_spec(wanted.spec, wanted.library))
    with tempfile.TemporaryDirectory() as scratch:
        options = Options(wanted.spec, Path(scratch), teacher=wanted.teacher, unsafe_sandbox=wanted.unsafe_sandbox)
        with planned(loaded, options):
            bundle = bundled(loaded, recorder)
    for path in of_this_disk(loaded):
        raise OutputError(
            f"{wanted.spec} reads {path}: the pods of a run share no disk; give a path beside the spec, which goes along, or an address"
        )
    bundle.require_small(LARGEST, "a ConfigMap holds")
    bundle.require_no_secret(secrets(loaded))
    return bundle, loaded.spec.name


def in_image(path: Path) -> bool:
    """Whether a file is of the content that every installation brings."""
    return any(path.resolve().is_relative_to((SHIPPED / kind).resolve()) for kind in ("prompts", "filters", "pipelines"))


def _keyed(bundle: Bundle) -> dict[str, dict[str, str]]:
    """Key of the ConfigMap -> {path, text | base64}: keys cannot hold a slash, so each file is mounted under its path."""
    keyed: dict[str, dict[str, str]] = {}
    for place, path in bundle.files.items():
        key = re.sub(r"[^\w.-]", "_", place, flags=re.ASCII)
        key = key if key not in keyed else f"{len(keyed)}-{key}"
        content = path.read_bytes()
        try:
            keyed[key] = {"path": place, "text": content.decode("utf-8")}
        except UnicodeDecodeError:
            keyed[key] = {"path": place, "base64": base64.b64encode(content).decode("ascii")}
    return keyed


def _matching(pattern: re.Pattern[str], word: str, value: str, form: str) -> str:
    if not pattern.fullmatch(value):
        raise SpecError(f"{word} {value!r} is not {form}")
    return value


def quoted(text: str) -> str:
    """A text as a YAML scalar on one line: JSON is YAML."""
    return json.dumps(text, ensure_ascii=False)


def block(text: str, indent: int) -> str:
    """A text as a literal block, so that a prompt reads as a prompt; quoted where a block would not give back every sign of it."""
    lines = text.split("\n")
    plain = all(line.isprintable() for line in lines) and text.endswith("\n") and not text.endswith("\n\n") and not text.startswith((" ", "\n"))
    return "|\n" + "\n".join(" " * indent + line if line else "" for line in lines[:-1]) if plain else quoted(text)


@cache
def _template(name: str) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update({"quoted": quoted, "block": block})
    return environment.get_template(name)
