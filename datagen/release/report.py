"""report.html: one page that needs nothing but a browser, to see what came of every row and to read some."""

from __future__ import annotations

from pathlib import Path

from datagen.release.catalogue import held_open
from datagen.release.pages import evenness, figures, planted, samples
from datagen.release.pages.render import render
from datagen.storage import replacing


def write_report(out: Path) -> Path:
    """OUT/report.html from the manifests and Parquet of OUT alone. Raises OutputError when nothing has been released there."""
    with held_open(out):
        page = _page(out)
    path = out / "report.html"
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path


def _page(out: Path) -> str:
    account = figures.account_of(out)
    spent = figures.costs(out)
    defects, judges = planted.proof(account) if account.simulated else ([], [])
    return render(
        "report.html.j2",
        account=account,
        flows=figures.funnel(account.manifest["steps"]),
        costs=spent,
        receipts=figures.receipts(out),
        teachers=figures.teachers(account, spent),
        covered=evenness.covered(account),
        coverage=figures.coverage(account),
        compared=evenness.compared(account),
        diversity=figures.diversity(figures.texts_of(account)),
        kept=samples.kept_samples(account),
        dropped=samples.dropped_samples(account),
        unanswered=samples.unanswered_samples(account),
        defects=defects,
        judges=judges,
        proof=planted.totals(defects),
        style=(Path(__file__).parent / "pages" / "report.css").read_text(encoding="utf-8"),
    )
