"""Manifests: valid by the CRDs' own words, the same as those in infra/, secrets by reference; and cron expressions that teach."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from manifest_schemas import KINDS as SCHEMAS

from datagen.errors import OutputError, SpecError
from datagen.service.cron import checked
from datagen.service.schedule import KINDS, LONGEST_NAME, RAY_VERSION, Wanted, block, in_image, label_of, render
from datagen.start import start

ROOT = Path(__file__).resolve().parent.parent
INFRA = ROOT / "infra"
EXAMPLE = {"spec": "textbook.yaml", "out": "s3://my-bucket/textbook", "cron": "0 3 * * *", "image": "registry.example.com/datagen:0.1.0"}
"""What infra/ is rendered from, with `--kind K --to infra` for each kind; infra/README.md has the command."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spec of one's own: its files are in no image. One of them is no text."""
    folder = tmp_path_factory.mktemp("own") / "questions"
    list(start(folder))
    spec = folder / "questions.yaml"
    leaks = "  - {name: clean, decontaminate: {on: question, against: [sets/held out.csv]}}\n"
    text = spec.read_text().replace("release:\n", leaks + "release:\n")
    spec.write_text(text)
    (folder / "sets").mkdir()
    (folder / "sets" / "held out.csv").write_bytes("question,note\nWhat is a noun?,caf\xe9\n".encode("utf-8-sig"))
    return spec


def objects(text: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(text) if found]


def by_kind(text: str) -> dict[str, dict[str, Any]]:
    found = {f"{each['kind']}/{each['metadata'].get('name')}": each for each in objects(text)}
    assert len(found) == len(objects(text))
    return found


def validate(thing: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMAS[thing["kind"]]).validate(thing)


def rendered(kind: str, own: Path | None = None, **more: Any) -> str:
    return render(Wanted(**{**EXAMPLE, **({"spec": str(own)} if own else {}), "kind": kind, **more}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shipped", [True, False])
def test_every_object_is_one_that_its_kind_allows(kind: str, shipped: bool, own: Path) -> None:
    found = objects(rendered(kind, None if shipped else own))
    for thing in found:
        validate(thing)
        for text in thing.get("data", {}) if thing["kind"] == "ConfigMap" else ():
            if text == "rayjob.yaml":
                validate(yaml.safe_load(thing["data"][text]))
    assert {"cronjob": "CronJob", "raycronjob": "RayCronJob", "rayjob": "RayJob", "raycluster": "RayCluster"}[kind] in {
        thing["kind"] for thing in found
    }


def test_the_schemas_refuse_a_misspelt_field_and_a_wrong_type() -> None:
    """Else the test above could not fail."""
    job = by_kind(rendered("rayjob"))["RayJob/textbook"]
    for change in (
        {"activeDeadlineSecond": 5},
        {"activeDeadlineSeconds": "5"},
        {"activeDeadlineSeconds": 0},
        {"shutdownAfterJobFinishes": False},
        {"submissionMode": "k8s"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate({**job, "spec": {**job["spec"], **change}})


@pytest.mark.parametrize("kind", KINDS)
def test_infra_holds_exactly_what_schedule_renders(kind: str) -> None:
    assert (INFRA / f"{kind}.yaml").read_text() == rendered(kind)


def test_the_command_writes_them(tmp_path: Path) -> None:
    words = [word for name, value in EXAMPLE.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "datagen.cli", "schedule", *words]
    done = subprocess.run([*command, "--kind", "raycronjob"], capture_output=True, text=True, check=True)
    assert done.stdout == (INFRA / "raycronjob.yaml").read_text()
    subprocess.run([*command, "--to", str(tmp_path)], capture_output=True, check=True)
    assert (tmp_path / "cronjob.yaml").read_text() == (INFRA / "cronjob.yaml").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_references_and_tokens_are_on(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-this-test-0123456789")
    text = rendered(kind, secret="my-keys")
    assert "sk-of-this-test" not in text
    clusters = [each for each in _all(objects(text) + [yaml.safe_load(x) for x in _embedded(text)]) if "headGroupSpec" in each]
    assert clusters
    for cluster in clusters:
        assert cluster["authOptions"] == {"mode": "token"} and cluster["rayVersion"] == RAY_VERSION
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            [container] = group["template"]["spec"]["containers"]
            assert container["envFrom"] == [{"secretRef": {"name": "my-keys"}}]
            assert {"name": "RAY_AUTH_MODE", "value": "token"} in container["env"]


def _embedded(text: str) -> list[str]:
    return [each["data"]["rayjob.yaml"] for each in objects(text) if "rayjob.yaml" in each.get("data", {})]


def _all(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in _all(item))]
    return [found for item in value for found in _all(item)] if isinstance(value, list) else []


def test_a_key_in_a_prompt_is_refused(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "leaky"
    list(start(folder))
    prompt = folder / "prompts" / "answer.md.j2"
    prompt.write_text(prompt.read_text() + "\nsk-of-this-test-0123456789\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-this-test-0123456789")
    with pytest.raises(Exception, match=r"the value of OPENAI_API_KEY stands in the file prompts/answer\.md\.j2"):
        rendered("rayjob", folder / "leaky.yaml")


def test_the_files_of_a_spec_come_back_as_they_are(own: Path, tmp_path: Path) -> None:
    """What a pod mounts, laid out as it mounts it, plans as the original does."""
    found = by_kind(rendered("rayjob", own))
    files, job = found["ConfigMap/questions-spec"], found["RayJob/questions"]
    pod = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [mount], [volume] = pod["containers"][0]["volumeMounts"], pod["volumes"]
    assert volume["configMap"]["name"] == "questions-spec" and mount["name"] == volume["name"]
    for item in volume["configMap"]["items"]:
        path = tmp_path / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        key = item["key"]
        content = files["data"][key].encode() if key in files["data"] else base64.b64decode(files["binaryData"][key])
        path.write_bytes(content)
        assert content == (own.parent / item["path"]).read_bytes(), key
    assert {item["path"] for item in volume["configMap"]["items"]} >= {"questions.yaml", "prompts/answer.md.j2", "filters/clean.yaml", "seeds.jsonl"}
    entrypoint = job["spec"]["entrypoint"]
    assert f"--spec {mount['mountPath']}/questions.yaml" in entrypoint and "--out s3://my-bucket/textbook" in entrypoint
    assert subprocess.run(
        [sys.executable, "-m", "datagen.cli", "plan", "--spec", str(tmp_path / "questions.yaml"), "--teacher", "simulator"], check=False
    ).returncode in (0,)


def test_what_ships_is_in_the_image_and_travels_not() -> None:
    text = rendered("rayjob")
    assert "ConfigMap" not in text and "--spec textbook.yaml" in text


def test_only_content_that_ships_is_taken_to_be_in_the_image() -> None:
    assert in_image(ROOT / "pipelines" / "textbook.yaml") and in_image(ROOT / "prompts" / "textbook" / "chapter.md.j2")
    assert not in_image(ROOT / "tests" / "real" / "openstax.yaml"), "a checkout holds more than the wheel"


@pytest.mark.parametrize(("status", "code"), [("Complete/SUCCEEDED", 0), ("Complete/STOPPED", 1), ("Failed/FAILED", 1), ("ValidationFailed/", 1)])
def test_the_scheduled_pod_ends_as_its_run_ends(status: str, code: int, tmp_path: Path) -> None:
    """The script against a `kubectl` that says what a cluster would."""
    script = by_kind(rendered("cronjob"))["ConfigMap/textbook-job"]["data"]["run.sh"]
    said = tmp_path / "said"
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\necho "$@" >> {said}\n'
        'case "$1 $2" in\n'
        '  "get rayjobs") for n in 1 2 3 4 5 6 7 8 9; do echo rayjob.ray.io/textbook-$n; done ;;\n'
        '  "create -f") echo rayjob.ray.io/textbook-x ;;\n'
        f'  "get rayjob.ray.io/textbook-x") case "$4" in *reason*) echo Why ;; *) echo {status} ;; esac ;;\n'
        "esac\n"
    )
    kubectl.chmod(0o755)
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", script], env=path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    calls = said.read_text().splitlines()
    assert "delete rayjob.ray.io/textbook-1 rayjob.ray.io/textbook-2" in calls, "seven stay"
    assert "create -f /etc/datagen/job/rayjob.yaml -o name" in calls


def test_a_name_becomes_a_label_that_kuberay_takes() -> None:
    for name in ("textbook", "a", "a-", "a--b", "x" * 36, "x" * 37, "very-" * 20, "set9-"):
        label = label_of(name)
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", label) and len(label) <= LONGEST_NAME, name
    assert label_of("textbook") == "textbook"
    assert len({label_of(name) for name in ("x" * 37, "x" * 38, "a", "a-")}) == 4, "two names never share a label"


def test_a_block_gives_back_every_sign() -> None:
    for text in (
        "a\nb\n",
        "a\n\n  b\n",
        " a\n",
        "a",
        "a\n\n",
        "tab\there\n",
        "cr\r\n",
        "{{ x }} # no: comment\n",
        "caf\u00e9 \u2014\n",
        "",
        "\n",
        "---\na\n",
    ):
        assert yaml.safe_load("k: " + block(text, 2) + "\n") == {"k": text}, repr(text)


def test_an_out_on_no_store_is_refused() -> None:
    with pytest.raises(OutputError, match="share no disk"):
        rendered("cronjob", out="/data/out")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cron": None}, "needs a time"),
        ({"timezone": "Europe/Berlim"}, "did you mean 'Europe/Berlin'"),
        ({"secret": "My_Keys"}, "the name of a Secret"),
        ({"image": "a b"}, "not an image"),
        ({"image": "UPPER/case:1"}, "not an image"),
    ],
)
def test_a_word_no_cluster_would_take_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        rendered("cronjob", **change)


def test_seeds_of_this_disk_are_no_seeds_of_a_pod(own: Path, tmp_path: Path) -> None:
    spec = own.with_name("elsewhere.yaml")
    spec.write_text(own.read_text().replace("seeds.jsonl", str(own.with_name("seeds.jsonl"))))
    with pytest.raises(OutputError, match=r"elsewhere.yaml reads /.*seeds.jsonl: the pods of a run share no disk"):
        rendered("cronjob", spec=str(spec))


@pytest.mark.parametrize(
    "good", ["0 3 * * *", "*/15 0-6 1,15 * MON-FRI", "5/10 * * jan,JUL ?", "@daily", "0 0 29 2 *", "0  3 * *  sun", "0 0 31 * 1"]
)
def test_a_good_expression_passes(good: str) -> None:
    assert checked(good) == " ".join(good.split())


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("", "0 fields"),
        ("0 3 * *", "4 fields, not five"),
        ("0 0 3 * * *", "6 fields, not five"),
        ("60 3 * * *", "minute '60': 60 is out of bounds; minute goes from 0 to 59"),
        ("0 24 * * *", "hour goes from 0 to 23"),
        ("0 3 0 * *", "day of month goes from 1 to 31"),
        ("0 3 * * 7", "Sunday is 0 here"),
        ("0 3 * FEV *", "did you mean 'FEB'"),
        ("0 3 * * L", "'L' is no day of week"),
        ("0 5-3 * * *", "a range goes upwards"),
        ("*/0 3 * * *", "a step is a whole number from 1"),
        ("0 3,,4 * * *", "write \\*, a value"),
        ("-1 3 * * *", "write \\*, a value"),
        ("0 3 30 2 *", "never comes"),
        ("0 3 31 4,6 *", "never comes"),
        ("@dayly", "did you mean '@daily'"),
        ("@every 5m", "no such word"),
    ],
)
def test_a_bad_expression_is_told_what_is_wrong(bad: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        checked(bad)


def test_the_image_is_what_it_says() -> None:
    """Read, not run: no root at the end, nothing fetched by address, every source there, Ray's version that of the manifests."""
    text = re.sub(r"\\\n\s*", " ", (INFRA / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    last = max(index for index, line in enumerate(lines) if line.startswith("FROM"))
    users = [line.split()[1] for line in lines[last:] if line.startswith("USER")]
    assert users == ["1000:1000"] and not [line for line in lines if line.startswith("ADD")]
    assert "slim" in lines[last] and "--no-install-recommends bubblewrap ca-certificates" in text
    stages = {line.split(" AS ")[1] for line in lines if line.startswith("FROM") and " AS " in line}
    for line in lines:
        if line.startswith("COPY --from="):
            assert line.split()[1].removeprefix("--from=") in stages, line
        elif line.startswith("COPY"):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), line
                assert f"!{source.rstrip('/')}" in (INFRA / "Dockerfile.dockerignore").read_text().splitlines(), source
    assert f"ARG RAY_VERSION={RAY_VERSION}" in lines and "[ray,s3]" in text
    assert "urllib" not in text and "curl" not in text and "wget" not in text
