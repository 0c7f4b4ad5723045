"""The report in a real browser: hostile rows run nothing, and a phone need not scroll sideways."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from out_fixture import build_out

from datagen.records import Row
from datagen.release.report import write_report
from datagen.release.shards import publish
from datagen.spec.terms import Release
from datagen.storage import read_json, write_json

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
HOSTILE = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\"> [link](javascript:document.title='run') " + "wide" * 200


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_hostile_rows_run_nothing_and_fit_a_phone(tmp_path: Path) -> None:
    release = Release(format="instruction")
    build_out(tmp_path / "other", 10)
    plan = read_json(tmp_path / "other" / "plan.json") | {"release": release.model_dump(mode="json"), "teachers": {}, "prompts": {}}
    write_json(tmp_path / "plan.json", plan)
    row = Row.of_seed({"instruction": HOSTILE, "input": HOSTILE, "output": HOSTILE})
    publish(tmp_path, [[row]], release=release, name="maths-demo", version=(1, 0), facts={})
    report = write_report(tmp_path)
    probe = tmp_path / "probe.html"  # the page at phone width, measured from outside, since the page itself may run no script
    probe.write_text(
        f"<iframe id=f width=390 height=800 src='{report.as_uri()}'></iframe><p id=out></p><script>f.onload = () => {{"
        "const page = f.contentDocument; out.textContent = `${page.title}|${page.documentElement.scrollWidth}`}</script>"
    )
    command = [str(CHROMIUM), *QUIET, "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000"]
    done = subprocess.run([*command, "--dump-dom", probe.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r'id="out">([^|<]+)\|(\d+)<', done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    assert found[1] != "run"
    assert int(found[2]) <= 390
