"""The report: complete in itself, safe against hostile rows, and true to the counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from out_fixture import HOSTILE, build_out, facts_of, released_out

from datagen.errors import OutputError
from datagen.records import Row
from datagen.release.pages.figures import account_of, coverage, diversity, funnel
from datagen.release.pages.planted import proof
from datagen.release.pages.render import count, histogram, marked, money, percent, prose
from datagen.release.pages.samples import dropped_samples, kept_samples, unanswered_samples
from datagen.release.report import write_report
from datagen.release.shards import Facts, publish
from datagen.spec.terms import Release
from datagen.storage import read_json, read_table, write_json, write_table


class Page(HTMLParser):
    """Tags, attributes and text of a page, as a browser would read them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rehearsed")
    released_out(out, 120, simulated=True)
    return out


@pytest.fixture(scope="module")
def page(rehearsed: Path) -> Page:
    return Page(write_report(rehearsed))


def test_nothing_is_loaded_and_nothing_runs(page: Page) -> None:
    assert not page.tags.keys() & {"script", "img", "link", "iframe", "object", "base", "form"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert any("default-src 'none'" in value for _, value in page.attributes)


def test_hostile_rows_are_shown_as_text(page: Page, rehearsed: Path) -> None:
    assert HOSTILE in page.text, "the fixture drops rows with it, and dropped rows are shown"
    assert "<script>" not in (rehearsed / "report.html").read_text()


def test_it_says_what_it_is(page: Page, rehearsed: Path) -> None:
    made = read_json(rehearsed / "manifest.json")["releases"][0]
    assert "Simulated." in page.text and "must not be trained on" in page.text
    assert f"Released rows {made['rows']}" in page.text
    assert "10.1.2.3" not in page.text


def test_a_real_release_has_costs_and_no_banner(tmp_path: Path) -> None:
    released_out(tmp_path, 60)
    page = Page(write_report(tmp_path))
    spent = sum(call["cost_usd"] for call in read_table(tmp_path / "steps" / "calls.parquet"))
    assert f"answers in use cost {money(spent)}" in page.text.replace("  ", " ")
    assert "Simulated" not in page.text and "What the filters caught" not in page.text


def test_the_same_out_gives_the_same_page(rehearsed: Path, page: Page) -> None:
    first = (rehearsed / "report.html").read_bytes()
    assert write_report(rehearsed).read_bytes() == first


def test_funnel_accounts_for_every_row(rehearsed: Path) -> None:
    flows = funnel(read_json(rehearsed / "manifest.json")["steps"])
    assert all(flow.into == flow.kept + flow.dropped + flow.passed + flow.left for flow in flows)
    assert [flow.name for flow in flows if flow.passed] == ["best"]
    assert flows[1].came == flows[0].kept and flows[1].into == 3 * flows[0].kept


def test_samples(rehearsed: Path) -> None:
    account = account_of(rehearsed)
    kept = kept_samples(account)
    assert len(kept) == 8 and [name for name, _ in kept[0].parts] == ["question", "rationale", "answer"]
    assert any(sample.losers for sample in kept) and any(sample.reasoning for sample in kept)
    groups = {(group.step, group.reason): group for group in dropped_samples(account)}
    itself = groups["clear", "talks_about_itself"]
    assert all(example["found"] and example["evidence"] in example["text"] for example in itself.examples)
    twin = groups["unique", "near_duplicate"].examples[0]
    assert twin["field"] == "question" and twin["twin"] == twin["text"][: len(twin["twin"])] != ""
    flows = {flow.name: flow for flow in funnel(account.manifest["steps"])}
    assert sum(group.rows for group in groups.values()) == sum(flow.dropped + flow.passed for flow in flows.values())
    assert {(group.step, group.reason): group.rows for group in unanswered_samples(account)} == {
        (flow.name, outcome): n for flow in flows.values() for outcome, n in flow.unanswered
    }


def test_coverage_takes_fields_with_few_values(rehearsed: Path) -> None:
    account = account_of(rehearsed)
    found = dict(coverage(account))
    seeds = account.plan["seeds"] | {"axes": ["topic"], "variant": "clarity"}
    assert not {"topic", "clarity"} & dict(coverage(replace(account, plan=account.plan | {"seeds": seeds}))).keys(), "a grid's counter tells nothing"
    assert {"topic", "audience", "clarity"} <= found.keys() and "number" not in found
    assert sum(n for _, n in found["topic"]) == account.rows
    assert [value for value, _ in found["clarity"]] == sorted(value for value, _ in found["clarity"])


# --- what a rehearsal proves ---


def planted_out(out: Path) -> None:
    """Six planted answers whose ends are known, and one clean row dropped for nothing."""
    ends = {
        "kept-wrong": ("kept", "wrong_answer/synthetic"),
        "caught": ("right", "wrong_answer/synthetic"),
        "passed": ("best", "wrong_answer/synthetic"),
        "silent": ("unanswered", "refusal/real"),
        "clean": ("right", ""),
        "fine": ("kept", ""),
        "twin-stays": ("kept", "near_duplicate:a"),
        "twin-goes": ("unique", "near_duplicate:a"),
        "twin-slips-1": ("kept", "near_duplicate:b"),
        "twin-slips-2": ("kept", "near_duplicate:b"),
        "innocent": ("unique", "wrong_answer/synthetic"),
    }
    from out_fixture import CALL_COLUMNS, Line

    line = Line(out, simulated=True)
    rows = {name: Row.of_seed({"text": name}).having({}, {"write": f"k1:{name}"}) for name in ends}
    of = {end: [rows[name] for name, (found, _) in ends.items() if found == end] for end in ("kept", "right", "best", "unique", "unanswered")}
    line.write(
        "write",
        "ask",
        "row",
        [*of["kept"], *of["right"], *of["best"], *of["unique"]],
        unanswered=[(row, "refused", "no", row.calls["write"]) for row in of["unanswered"]],
    )
    line.write("right", "check", "row", [*of["kept"], *of["best"], *of["unique"]], [(row, "math", "wrong_answer", 0.0, "") for row in of["right"]])
    line.write("best", "select", "group", [*of["kept"], *of["unique"]], [(row, "select", "not_best", 0.0, "") for row in of["best"]])
    line.write("unique", "dedup", "set", of["kept"], [(row, "near_duplicate", "near_duplicate", 1.0, "") for row in of["unique"]])
    blank = dict.fromkeys(CALL_COLUMNS)
    calls = [blank | {"key": f"k1:{name}", "planted": label, "step": "write", "teacher": "t"} for name, (_, label) in ends.items()]
    write_table(out / "steps" / "calls.parquet", calls, CALL_COLUMNS)
    build_out(out / "other", 10)
    write_json(out / "plan.json", read_json(out / "other" / "plan.json") | {"simulated": True, "release": Release().model_dump(mode="json")})
    publish(out, [of["kept"]], release=Release(), name="maths-demo", version=(1, 0), facts=lambda row: Facts(simulated=True))


def test_planted_caught_and_falsely_dropped(tmp_path: Path) -> None:
    planted_out(tmp_path)
    defects, judges = proof(account_of(tmp_path))
    found = {defect.name: (defect.planted, defect.caught, defect.passed_over, defect.released) for defect in defects}
    assert found == {
        "wrong_answer/synthetic": (4, 2, 1, 1),
        "refusal/real": (1, 1, 0, 0),
        "near_duplicate": (2, 1, 0, 1),  # two pools of two: one of each may stay
    }
    assert {defect.name: defect.recall for defect in defects}["wrong_answer/synthetic"] == pytest.approx(2 / 3)
    assert {judge.operator: (judge.dropped, judge.planted, judge.falsely) for judge in judges} == {
        "math": (2, 1, 1),
        "near_duplicate": (2, 1, 1),  # a wrong answer is no reason to call a row a duplicate
    }
    page = Page(write_report(tmp_path))
    assert "wrong_answer/synthetic 4 2 1 1 67 %" in page.text


def test_nothing_planted_nothing_proved(tmp_path: Path) -> None:
    rows = build_out(tmp_path, 10, simulated=True)
    calls = [call | {"planted": ""} for call in read_table(tmp_path / "steps" / "calls.parquet")]
    from out_fixture import CALL_COLUMNS, RELEASE

    write_table(tmp_path / "steps" / "calls.parquet", calls, CALL_COLUMNS)
    publish(tmp_path, [rows], release=RELEASE, name="maths-demo", version=(1, 0), facts=lambda row: facts_of(row, True))
    assert proof(account_of(tmp_path)) == ([], [])


# --- other shapes of OUT ---


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("text", {"text": "One. Two."}),
        ("chat", {"prompt": "Hi", "answer": "Hello there, my friend of old."}),
        ("instruction", {"instruction": "Add", "input": "", "output": "5"}),
        ("preference", {"prompt": "p", "chosen": "a", "rejected": ["b"]}),
    ],
)
def test_every_format_has_a_report(tmp_path: Path, form: str, fields: dict[str, object]) -> None:
    release = Release(format=form)
    build_out(tmp_path / "other", 10)
    plan = read_json(tmp_path / "other" / "plan.json") | {"release": release.model_dump(mode="json"), "teachers": {}, "prompts": {}}
    write_json(tmp_path / "plan.json", plan)
    publish(tmp_path, [[Row.of_seed(fields)]], release=release, name="maths-demo", version=(1, 0), facts={})
    page = Page(write_report(tmp_path))
    assert all(str(value) in page.text for value in fields.values() if isinstance(value, str))


def test_nothing_released(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing has been built"):
        write_report(tmp_path)


# --- text and numbers ---


def test_prose_escapes_first() -> None:
    html = prose("**bold** <b>x</b> `a<b`\n\n# Head\n\n```py\n<i>\n```\n\x00\u202e")
    assert html == (
        "<p><strong>bold</strong> &lt;b&gt;x&lt;/b&gt; <code>a&lt;b</code></p><p><strong>Head</strong></p><pre>&lt;i&gt;</pre><p>\ufffd\ufffd</p>"
    )


def test_prose_is_bounded() -> None:
    assert "4,000 more characters" in prose("x" * 10_000)


def test_evidence_is_marked_where_it_stands() -> None:
    html = marked("a" * 1000 + "\n\nthe <culprit>\n" + "b" * 1000, "the <culprit>")
    assert "<mark>the &lt;culprit&gt;</mark>" in html and html.startswith("…") and html.endswith("…") and len(html) < 700
    assert marked("plain", "not there") == "plain" == marked("plain", "")


def test_numbers_for_people() -> None:
    assert [money(x) for x in (None, 0, 0.01234, 1234.5)] == ["not priced", "$0.00", "$0.0123", "$1,234.50"]
    assert [percent(1, 300), percent(1, 2), percent(299, 300), percent(0, 0), percent(1, 1)] == ["0.3 %", "50 %", "99.7 %", "0 %", "100 %"]
    assert [count(None), count(12345)] == ["–", "12,345"]
    assert histogram([0, 2, 1]).count("<rect") == 2 and "<rect" not in histogram([])


def test_diversity_sees_a_collapse() -> None:
    varied = diversity([f"w{index} a b c d e f{index}." for index in range(50)])
    alike = diversity(["In this chapter we will learn about x. It is fun to learn about x."] * 49 + ["Other words stand here alone now."])
    assert varied.openings[0][1] == 1 and varied.sentences == []
    assert alike.openings[0] == ("in this chapter we", 49) and alike.sentences[0][1] == 49
    assert sum(alike.bins) == 50 and alike.quantiles == (15, 15, 15)
    assert diversity([]).texts == 0
