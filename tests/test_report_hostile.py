"""Rows, names and notes that would take over a page: in a real browser, without the page's own policy, nothing runs and all is shown."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from out_fixture import Line, build_out

from datagen.records import Row
from datagen.release.card import write_card
from datagen.release.report import write_report
from datagen.release.shards import publish
from datagen.spec.terms import Release
from datagen.storage import read_json, write_json

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
RUN = "document.title='run'"
MARKUP = [
    f"<script>{RUN}</script>",
    f"</script></style></pre></td></title><script>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    f"\"'><svg onload={RUN}>",
    f'" onmouseover="{RUN}" autofocus onfocus="{RUN}',
    f"<iframe srcdoc=\"<script>parent.{RUN}</script>\"></iframe><object data='javascript:{RUN}'></object>",
    f'<a href="javascript:{RUN}">x</a> [x](javascript:{RUN}) ![x](http://127.0.0.1:9/x.png) <javascript:{RUN}>',
    f"<meta http-equiv=refresh content='0;url=javascript:{RUN}'><base href='http://127.0.0.1:9/'><form action=//x><input>",
    f"&lt;script&gt;{RUN}&lt;/script&gt; &#60;script&#62; \\u003cscript\\u003e",
    f"```\n</code></pre><script>{RUN}</script>\n```\n**<b onclick={RUN}>** `<i onclick={RUN}>`",
    "{{ 7*7 }} {% include 'x' %} ${7*7}",
    "--- \n- a: b\n---\nlicense: mit\n# heading\n| a | b |\n|---|---|\n> quote\n* * *",
    "\x00\x07\x1b[31mred\x7f\u202egnp.exe\u2066\u200f\u061c\u2028\u0085end",
]
EVERYTHING = "\n\n".join(MARKUP)
NAME = f"x` | <script>{RUN}</script>\n\n# more"
"""A column of somebody's table."""
TAGS = "script,iframe,object,embed,base,form,input,img,link,a[href]:not([href^='#']),[srcdoc],[style*='url']"
"""What no page of ours has; the head's own style and policy are checked elsewhere."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with hostile words wherever a person or a teacher can put any."""
    out = tmp_path_factory.mktemp("hostile")
    build_out(out / "other", 10)
    line = Line(out, simulated=False)
    rows = [Row.of_seed({"instruction": text, NAME: text, "output": text, text[:60]: text, "number": n}) for n, text in enumerate(MARKUP)]
    losers = [{"output": EVERYTHING, EVERYTHING[:60]: EVERYTHING}]
    rows += [Row.of_seed({"instruction": EVERYTHING, NAME: "", "output": EVERYTHING, "losers": losers})]
    lost = [Row.of_seed({"output": text, "lost": n, EVERYTHING[:50]: text}) for n, text in enumerate(MARKUP)]
    keys = [line.call("write", row, "solver") for row in rows]
    rows = [row.having({}, {"write": key}) for row, key in zip(rows, keys, strict=True)]
    line.write("write", "ask", "row", [*rows, *lost[:9]], unanswered=[(row, "refused", row.fields["output"], "k1:0") for row in lost[9:]])
    line.write("check", "filter", "row", rows, [(row, f"op {text}", f"why {text}", 0.5, text) for row, text in zip(lost[:9], MARKUP, strict=False)])
    release = Release(format="instruction", columns={"input": NAME}, licence=MARKUP[11], language=["en", MARKUP[11]])
    plan = read_json(out / "other" / "plan.json") | {"release": release.model_dump(mode="json"), "about": EVERYTHING, "spec": EVERYTHING}
    plan["teachers"] = {"solver": {"model": f"openai/{MARKUP[0]}", "provider": "openai", "label": MARKUP[2], "price": None}}
    plan |= {"prompts": {f"f/{MARKUP[1]}": EVERYTHING}, "seeds": {"source": MARKUP[3], "count": 14, "digest": MARKUP[4]}}
    write_json(out / "plan.json", plan | {"versions": {MARKUP[0]: MARKUP[5]}})
    facts = {row.id: {"teacher": MARKUP[2], "reasoning": EVERYTHING, "scores": {MARKUP[3]: 0.5}} for row in rows}
    publish(out, [rows], release=release, name="maths-demo", version=(1, 0), facts=facts)  # type: ignore[arg-type]
    write_report(out)
    write_card(out)
    return out


class Parsed(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_no_tag_and_no_attribute_that_could_run_or_load(out: Path) -> None:
    page = (out / "report.html").read_text()
    parsed = Parsed(page)
    assert not {"script", "iframe", "object", "embed", "base", "form", "input", "img", "link", "b onclick"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name in ("src", "srcdoc", "action", "data")]
    assert all((value or "").startswith("#") for name, value in parsed.attributes if name == "href")
    assert parsed.text.count(MARKUP[0]) > 10 and "{{ 7*7 }}" in parsed.text, "hostile words are shown as they are"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_nothing_runs_in_a_browser_even_without_the_pages_policy(out: Path, tmp_path: Path) -> None:
    page = (out / "report.html").read_text()
    bare, removed = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page, count=1)
    assert removed == 1
    (tmp_path / "bare.html").write_text(bare)
    probe = tmp_path / "probe.html"
    probe.write_text(
        f"<iframe id=f width=390 height=800 src='{(tmp_path / 'bare.html').as_uri()}'></iframe><p id=out></p><script>f.onload = () => {{"
        "const page = f.contentDocument; page.querySelectorAll('details').forEach(each => each.open = true);"
        "page.querySelectorAll('*').forEach(each => { each.dispatchEvent(new Event('mouseover')); each.dispatchEvent(new Event('focus'));"
        " each.dispatchEvent(new Event('click')); });"
        f'const found = [...page.querySelectorAll("{TAGS}")].map(each => each.outerHTML.slice(0, 80));'
        "const loaded = f.contentWindow.performance.getEntriesByType('resource').map(each => each.name);"
        "out.textContent = JSON.stringify([page.title, document.title, found, loaded, page.body.textContent.split('<script>').length]);"
        "}</script>"
    )
    command = [str(CHROMIUM), *QUIET, "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=8000"]
    done = subprocess.run([*command, "--dump-dom", probe.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r'id="out">(.+?)</p>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    title, outer, tags, loaded, shown = yaml.safe_load(html.unescape(found[1]))
    assert (title, outer, tags, loaded) == ("maths-demo 1.0", "", [], []) and shown > 10


def test_the_card_says_what_it_says_and_nothing_more(out: Path) -> None:
    card = (out / "README.md").read_text()
    _, head, body = card.split("---\n", 2)
    said = yaml.safe_load(head)
    assert set(said) == {"pretty_name", "license", "language", "size_categories", "task_categories", "tags", "configs"}
    assert said["license"] == MARKUP[11] and said["language"] == ["en", MARKUP[11]] and said["pretty_name"] == "maths-demo"
    assert [file for each in said["configs"][0]["data_files"] for file in each["path"]] == ["data/train-v0001-00000.parquet"]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", card)
    markdown = pytest.importorskip("markdown_it", reason="needs markdown-it-py, to read the card as the Hub does")
    parsed = Parsed(markdown.MarkdownIt("commonmark", {"html": True}).enable("table").render(body))
    assert not {"script", "iframe", "object", "img", "svg", "form", "a", "base", "meta"} & set(parsed.tags)
    plain = {"h1", "h2", "p", "pre", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "details", "summary", "strong"}
    assert set(parsed.tags) <= plain
    headings = re.findall(r"^#{1,6} .*$", re.sub(r"^(`{3,})[^`].*?^\1$", "", body, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    assert [heading.lstrip("# ") for heading in headings] == [
        "maths-demo", "How to load it", "How it was made", "Releases", "Columns", "Limits", "Licence and terms", "How to rebuild it",
    ]  # fmt: skip
