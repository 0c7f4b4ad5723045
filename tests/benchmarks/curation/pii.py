"""Personal data, span by span: precision, recall and F2 on labelled sentences.

    python tests/benchmarks/curation/pii.py

A find counts where a label of its kind has the same place (at least half of the union); a label counts once. Kinds without a label in the data
(IBAN) are not measured here: the contract test runs their checksums. Street addresses are reported apart.
"""

from __future__ import annotations

from typing import Any

from rows import table

from datagen.operators.personal.pii import Pii

LABELS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "credit_card",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "US_SSN": "ssn",
    "DOMAIN_NAME": "url",
}
"""Label of the data -> our kind."""


def same(one: tuple[int, int], other: tuple[int, int]) -> bool:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared * 2 >= max(one[1], other[1]) - min(one[0], other[0])


def counts(rows: list[dict[str, Any]], kinds: tuple[str, ...]) -> tuple[int, int, int]:
    """(right, found, labelled) spans of these kinds."""
    judge = Pii.model_validate({"kinds": kinds, "allow_fictional": False})
    right = found = labelled = 0
    for row in rows:
        wanted = [(LABELS[span["type"]], (span["start"], span["end"])) for span in row["spans"] if LABELS.get(span["type"]) in kinds]
        finds = judge.finds(row["text"])
        found += len(finds)
        labelled += len(wanted)
        right += sum(any(kind == label and same((start, end), place) for kind, start, end in finds) for label, place in wanted)
    return right, found, labelled


def f_score(right: int, found: int, labelled: int, beta: float = 2.0) -> float:
    precision, recall = right / max(1, found), right / max(1, labelled)
    return (1 + beta**2) * precision * recall / max(1e-9, beta**2 * precision + recall)


def main() -> None:
    rows = table("pii_presidio_small/pii_small.parquet")
    kinds = tuple(dict.fromkeys(LABELS.values()))
    right, found, labelled = counts(rows, kinds)
    print(f"pii all kinds: precision {right / found:.3f} recall {right / labelled:.3f} F2 {f_score(right, found, labelled):.3f} ({labelled} spans)")
    for kind in kinds:
        right, found, labelled = counts(rows, (kind,))
        if labelled:
            print(f"pii {kind}: {right} of {labelled} labelled spans, {found} found")


if __name__ == "__main__":
    main()
