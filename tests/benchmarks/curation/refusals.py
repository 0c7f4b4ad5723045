"""Refusals against human labels: F1 of the operator `refusal`, model by model; its threshold was chosen on the first model's rows.

python tests/benchmarks/curation/refusals.py
"""

from __future__ import annotations

from rows import table

from datagen.operators.chat import Refusal

THRESHOLDS = (0.4, 0.5, 0.8, 0.9, 1.0, 1.3)


def scored(found: list[bool], wanted: list[bool]) -> tuple[float, float, float]:
    """(precision, recall, F1)."""
    hits = sum(said and want for said, want in zip(found, wanted, strict=True))
    precision, recall = hits / max(1, sum(found)), hits / max(1, sum(wanted))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def main() -> None:
    rows = table("refusals_dev/completions.parquet")
    models = sorted({row["model"] for row in rows})
    scores = [Refusal().judge({"text": row["completion"]}).score or 0.0 for row in rows]

    def at(threshold: float, model: str) -> tuple[float, float, float]:
        chosen = [index for index, row in enumerate(rows) if row["model"] == model]
        return scored([scores[index] >= threshold for index in chosen], [bool(rows[index]["is_refusal"]) for index in chosen])

    for select in models:
        best = max(THRESHOLDS, key=lambda threshold: at(threshold, select)[2])
        for report in models:
            if report != select:
                precision, recall, f1 = at(best, report)
                print(f"refusals: chosen on {select} ({best:g}), on {report}: precision {precision:.3f} recall {recall:.3f} F1 {f1:.3f}")
    default = Refusal().at_least
    found, wanted = [score >= default for score in scores], [bool(row["is_refusal"]) for row in rows]
    print("refusals: default {:g}, all rows: precision {:.3f} recall {:.3f} F1 {:.3f}".format(default, *scored(found, wanted)))
    for model in models:
        print("refusals: default {:g}, on {}: precision {:.3f} recall {:.3f} F1 {:.3f}".format(default, model, *at(default, model)))


if __name__ == "__main__":
    main()
