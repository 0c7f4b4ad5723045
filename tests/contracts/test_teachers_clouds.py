"""Azure, Bedrock and Vertex: credentials as each cloud has them, and all that a plan can refuse before anything is paid."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from one_teacher import KEY, PROVIDERS, ask, endpoint, fault, request, teacher_of
from wire_server import Reply, encoded, good

from datagen.asking.prices import price_of
from datagen.asking.teachers import TEACHERS
from datagen.errors import SetupError, SpecError, TeacherFault
from datagen.plan.chairs import Rehearsing, api_key, chair_of
from datagen.plan.model import Chair
from datagen.records import Response
from datagen.spec.load import load_spec


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of the machine itself must not be found."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("no_aws")
def test_bedrock_signs_with_what_boto_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3", reason="the extra `bedrock` is not installed")
    from anthropic.lib.aws import _auth

    _auth._get_session.cache_clear()
    found = fault("bedrock", Reply(encoded(good("bedrock"))), api_key="")
    assert found.kind == "stopped" and "credentials" in str(found)  # nothing was sent, and no other request could be
    _auth._get_session.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFAKE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake-secret")
    result, seen = ask("bedrock", Reply(encoded(good("bedrock"))), api_key="")
    assert isinstance(result, Response) and result.text == "42" and seen is not None
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAFAKE/")
    assert "/us-east-1/bedrock/aws4_request" in seen.headers["authorization"] and "fake-secret" not in str(seen)
    _auth._get_session.cache_clear()


def test_vertex_without_credentials_stops(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("google.auth", reason="the extra `vertex` is not installed")
    broken = tmp_path / "credentials.json"
    broken.write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(broken))
    found = fault("vertex", Reply(encoded(good("vertex"))), api_key="")
    assert found.kind == "stopped" and "no credentials" in str(found)


def chair(folder: Path, words: str, rehearsing: Rehearsing | None = None) -> Chair:
    """The chair of a spec's one teacher, whose words begin in line 5."""
    path = folder / "s.yaml"
    lines = "\n".join(f"    {line}" for line in words.split("; "))
    path.write_text(f"name: tiny\nseeds: {{grid: {{topic: [a]}}}}\nteachers:\n  w:\n{lines}\nsteps: []\n")
    loaded = load_spec(str(path))
    return chair_of(loaded, "w", loaded.spec.teachers["w"], rehearsing, rehearsing is not None)


AZURE = "client: {azure_endpoint: 'https://mine.openai.azure.com', api_version: v1}"
BEDROCK, VERTEX = "client: {aws_region: eu-west-1}", "client: {project_id: p, region: eu}"
REFUSED = [  # words of the teacher, line of the mistake, what the message says
    ("model: anthropic/claude-haiku-5-5; temperature: 0.7", 6, "`vary`"),
    ("model: anthropic/claude-haiku-5-5; params:;   top_p: 0.9", 7, "`vary`"),
    (f"model: bedrock/us.anthropic.claude-haiku-5-5; {BEDROCK}; params:;   thinking: {{type: adaptive}};   top_k: 3", 9, "`vary`"),
    (f"model: vertex/claude-haiku-5-5; temperature: 0; {VERTEX}", 6, "`vary`"),
    ("model: anthropic/claude-haiku-5-5; params:;   stop: [END]", 7, "stop_sequences"),
    *[(f"model: responses/gpt-5.6; params:;   {word}: 1", 7, "no such parameter") for word in ("seed", "stop", "n", "logit_bias")],
    ("model: responses/gpt-5.6; params:;   max_output_tokens: 9", 7, "`max_tokens`"),
    ("model: openai/gpt-5.6; params:;   n: 3", 7, "`samples`"),
    ("model: openai/gpt-5.6; params:;   stream: true", 7, "one whole answer"),
    ("model: openai/gpt-5.6; params:;   max_completion_tokens: 9", 7, "`max_tokens`"),
    ("model: simulator/any; params:;   n: 3", 7, "`samples`"),
    ("model: anthropic/claude-haiku-5-5; params:;   system: Hello", 7, "the prompt says it"),
    ("model: azure/gpt-5.6", 5, "azure_endpoint: https://NAME.openai.azure.com, api_version: "),
    ("model: azure/gpt-5.6; client: {azure_endpoint: 'https://mine.openai.azure.com'}", 6, "mine.openai.azure.com, api_version: "),
    ("model: bedrock/us.anthropic.claude-haiku-5-5", 5, "aws_region: us-east-1"),
    ("model: bedrock/us.anthropic.claude-haiku-5-5; client:;   aws_regoin: eu", 7, "did you mean 'aws_region'"),
    ("model: openai/gpt-5.6; client:;   azure_endpoint: x", 7, "no word 'azure_endpoint'"),
    (f"model: vertex/claude-haiku-5-5; {VERTEX}; mode: batch", 7, "mode: online"),
    ("model: openai/gpt-5.6; base_url: 127.0.0.1:8000", 6, "http://"),
    ("model: openai/gpt-5.6; base_url: 'http://[::1/v1'", 6, "is no address"),
    ("model: openai/gpt-5.6; base_url: 'http://127.0.0.1:99999/v1'; label: x", 6, "is no address"),
    ("model: openai/gpt-5.6; base_url: 'http://me:secret@127.0.0.1:1/v1'", 6, "user name or password"),
    ("model: openai/gpt-5.6; base_url: 'http://127.0.0.1:1/v1?api_key=secret'", 6, "a key belongs in api_key_env"),
    ("model: anthropic/claude-haiku-5-5; params:;   tools: [{type: web_search_20250305, name: web_search}]", 7, "its provider runs it"),
    ("model: openai/gpt-5.6; params:;   web_search_options: {}", 7, "no budget could hold 'web_search_options'"),
    ("model: responses/gpt-5.6; params:;   prompt: {id: p}", 7, "nobody here knows how long it is"),
    ("model: openai/gpt-5.6; params:;   prediction: {type: content, content: x}", 7, "billed as output beyond max_tokens"),
    ("model: anthropic/claude-haiku-5-5; params:;   inference_geo: us", 7, "no price for a place"),
    ("model: openai/gpt-5-mini; temperature: 0.7", 6, "reasoning model"),
    ("model: responses/o3; params:;   top_p: 0.7", 7, "reasoning model"),
    (f"model: vertex/gemini-2.5-pro; {VERTEX}", 5, "Claude models alone"),
    (f"model: bedrock/meta.llama3-70b; {BEDROCK}", 5, "Claude models alone"),
    ("model: anthropic/claude-haiku-5-5; mode: batch; params:;   speed: fast", 8, "no fast speed"),
    ("model: openai/gpt-5.6; params:;   x: .nan", 7, "JSON has no such number"),
    ("model: openai/x; unpriced: true; price: {input: 1, output: 1}", 7, "costs nothing"),
    ("model: opanai/gpt-5.6", 5, "did you mean 'openai'"),
    ("model: openai/of-my-own", 5, "no price is known"),
]


@pytest.mark.parametrize(("words", "line", "told"), REFUSED)
@pytest.mark.parametrize("rehearsing", [None, Rehearsing("http://127.0.0.1:7", "sim")])
def test_a_plan_refuses_what_the_provider_would(tmp_path: Path, words: str, line: int, told: str, rehearsing: Rehearsing | None) -> None:
    with pytest.raises(SpecError, match=r"s\.yaml") as caught:
        chair(tmp_path, words, rehearsing)
    assert str(caught.value).startswith(f"{tmp_path}/s.yaml:{line}: ") and told in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "model: openai/gpt-5.6; temperature: 0.7; params: {seed: 1, stop: [END]}",
        "model: responses/gpt-5.6; temperature: 0.7; params: {reasoning: {effort: low, summary: auto}}",
        "model: anthropic/claude-haiku-5-5; params: {thinking: {type: adaptive}, output_config: {effort: low}}",
        "model: anthropic/glm-5; temperature: 0.7; base_url: http://127.0.0.1:1; unpriced: true",  # no Claude behind the same wire
        "model: simulator/claude-like; temperature: 0.7",
    ],
)
def test_what_a_teacher_takes_is_let_through(tmp_path: Path, words: str) -> None:
    found = chair(tmp_path, words)
    assert (found.provider in words or found.simulated) and (found.price is not None or found.simulated or "unpriced" in words)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_refusals_of_a_plan_and_of_a_request_are_one(provider: str) -> None:
    about = TEACHERS.get(provider).about
    teacher = teacher_of(endpoint(provider, "http://x"))
    assert about.refused("claude-x", {"max_tokens": 5, "metadata": {}}) == {}
    for word in ("model", "stream"):
        with pytest.raises(TeacherFault, match=f"cannot set {word}"):
            teacher.body(request(provider, params={"max_tokens": 5, word: 1}))
    asyncio.run(teacher.close())


@pytest.mark.parametrize(("provider", "words"), [("bedrock", BEDROCK), ("vertex", VERTEX)])
def test_a_missing_package_says_what_to_install(provider: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.plan.chairs.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=rf"pip install 'datagen\[{provider}\]'"):
        chair(tmp_path, f"model: {provider}/claude-haiku-5-5; {words}")
    assert chair(tmp_path, f"model: {provider}/claude-haiku-5-5; {words}", Rehearsing("http://127.0.0.1:7", "sim")).simulated  # it needs none


def test_where_a_chair_stands(tmp_path: Path) -> None:
    here = chair(tmp_path, f"model: azure/gpt-5.6; {AZURE}")
    assert (here.provider, here.model, here.label, here.base_url) == ("azure", "gpt-5.6", "https://mine.openai.azure.com", None)
    assert chair(tmp_path, f"model: azure/gpt-5.6; label: ours; {AZURE}").label == "ours"
    rehearsal = Rehearsing("http://127.0.0.1:7", "sim")
    for words, wire, address in [
        (f"model: azure/gpt-5.6; {AZURE}", "openai", "http://127.0.0.1:7/v1"),
        (f"model: bedrock/anthropic.claude-haiku-5-5; {BEDROCK}", "anthropic", "http://127.0.0.1:7"),
        (f"model: vertex/claude-haiku-5-5; {VERTEX}", "anthropic", "http://127.0.0.1:7"),
        ("model: responses/gpt-5.6", "responses", "http://127.0.0.1:7/v1"),
        ("model: simulator/any", "openai", "http://127.0.0.1:7/v1"),
    ]:
        found = chair(tmp_path, words, rehearsal)
        assert (found.provider, found.base_url, found.label, found.simulated) == (wire, address, "sim", True)


@pytest.mark.usefixtures("no_aws")
def test_where_keys_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    azure, bedrock = chair(tmp_path, f"model: azure/gpt-5.6; {AZURE}"), chair(tmp_path, f"model: bedrock/anthropic.claude-haiku-5-5; {BEDROCK}")
    monkeypatch.delenv("AZURE_OPENAI_API_KEY", raising=False)
    with pytest.raises(SetupError, match="AZURE_OPENAI_API_KEY"):
        api_key(azure)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    assert api_key(azure) == KEY and api_key(bedrock) == ""  # AWS credentials do
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
    assert api_key(bedrock) == KEY
    with pytest.raises(SetupError, match="MY_OWN"):  # named, so meant
        api_key(chair(tmp_path, f"model: vertex/claude-haiku-5-5; {VERTEX}; api_key_env: MY_OWN"))


PRICES = [
    ("responses/gpt-5.6", "openai/gpt-5.6", 1.0),
    ("azure/gpt-5.6", "openai/gpt-5.6", 1.0),
    ("vertex/claude-haiku-5-5", "anthropic/claude-haiku-5-5", 1.0),
    ("bedrock/us.anthropic.claude-haiku-5-5", "anthropic/claude-haiku-5-5", 1.1),  # AWS's own table: a regional profile costs a tenth more
    ("bedrock/us.anthropic.claude-4-sonnet-20250514-v1:0", "anthropic/claude-4-sonnet-20250514", 1.0),  # not in AWS's table: the maker's price
]


@pytest.mark.parametrize(("model", "maker", "factor"), PRICES)
def test_clouds_have_prices(model: str, maker: str, factor: float) -> None:
    cloud, own = price_of(model), price_of(maker)
    assert cloud is not None and own is not None
    first, last = cloud.at(1), own.at(1)
    assert (first.input / first.per) / (last.input / last.per) == pytest.approx(factor)
    assert price_of(f"{model.partition('/')[0]}/my-deployment") is None  # its name says nothing: the spec gives the price


def test_a_batch_is_priced_as_one(tmp_path: Path) -> None:
    online, batch = chair(tmp_path, "model: openai/gpt-5.6"), chair(tmp_path, "model: openai/gpt-5.6; mode: batch")
    assert online.price and batch.price and batch.price.at(1).output * 2 == online.price.at(1).output


def test_what_is_known_of_providers_needs_no_sdk() -> None:
    """A plan, and a build that replays its ledger, load neither."""
    code = (
        "import sys\nfrom datagen.asking.teachers import TEACHERS\nfor name in TEACHERS: TEACHERS.get(name).about.refused('m', {})\n"
        "assert not {'openai', 'anthropic', 'httpx2', 'boto3'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
