"""Texts that defects are made of: real ones from $DATAGEN_SHARED/data where that is given, else built-in ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from datagen.records import digest
from datagen.storage import read_table

REAL, SYNTHETIC = "real", "synthetic"


@dataclass(frozen=True)
class Pool:
    """Texts of one kind, and whether they are real."""

    origin: str
    texts: tuple[tuple[str, str], ...]
    """(id, text)."""


def _table(name: str) -> list[dict[str, Any]]:
    """Rows of one shared file; none where there is no such file."""
    root = os.environ.get("DATAGEN_SHARED")
    path = Path(root) / "data" / name if root else None
    return read_table(path) if path is not None and path.is_file() else []


def _pool(real: Sequence[tuple[str, str]], synthetic: Sequence[str]) -> Pool:
    if real:
        return Pool(REAL, tuple(real))
    return Pool(SYNTHETIC, tuple((str(index), text) for index, text in enumerate(synthetic)))


@cache
def refusals() -> Pool:
    rows = _table("refusals_dev/completions.parquet")
    return _pool([(row["id"], row["completion"].strip()) for row in rows if row["is_refusal"] and "full" in row["label"]], REFUSALS)


@cache
def benchmark_items() -> Pool:
    maths = [(f"gsm8k/{row['id']}", row["question"].strip()) for row in _table("gsm8k/test.parquet")]
    code = [(row["task_id"], row["prompt"].strip()) for row in _table("humaneval/humaneval.parquet")]
    return _pool(maths + code, CANARIES)


@cache
def foreign_paragraphs() -> Pool:
    """Paragraphs of at least 80 letters in other languages."""
    rows = [row for row in _table("udhr_languages/udhr.parquet") if row["lang"] in _LANGUAGES and len(row["text"]) >= 80]
    return _pool([(row["lang"], row["text"]) for row in rows], FOREIGN)


@cache
def wrong_solutions() -> dict[str, list[str]]:
    """Question -> wrong solutions that real models gave; empty without the shared data."""
    found: dict[str, list[str]] = {}
    for row in _table("gsm8k_model_solutions/solutions.parquet"):
        if not row["is_correct"]:
            found.setdefault(" ".join(row["question"].split()), []).append(row["solution"].strip())
    return found


@cache
def material_digest() -> str:
    """Of everything a defect may draw on: it differs where the real data is there."""
    pools = [refusals(), benchmark_items(), foreign_paragraphs()]
    return digest([[pool.origin, list(map(list, pool.texts))] for pool in pools] + [sorted(wrong_solutions().items())])


_LANGUAGES = frozenset(
    {"de", "fr", "es", "it", "pt", "nl", "sv", "pl", "cs", "fi", "hu", "tr", "ru", "uk", "el", "ar", "he", "hi", "zh", "ja", "ko", "vi", "id"}
)

REFUSALS = (
    "I'm sorry, but I can't help with that request.",
    "I apologize, but I am not able to provide that. If there is something else I can do for you, please let me know.",
    "I cannot assist with this. I would be glad to help with a different question instead.",
    "Unfortunately, I'm unable to answer this question, as it would not be appropriate for me to do so.",
    "I'm sorry, I can't comply with that. It goes against the guidelines I follow.",
    "I must decline to write this. Please consider asking about something else.",
    "As much as I would like to help, I can't provide a solution to this problem.",
    "I am unable to fulfill this request. Is there another topic that I could explain?",
)
CANARIES = (
    "A lighthouse keeper trims 7 wicks on each of 12 lamps and then replaces 19 of them. How many wicks were trimmed but not replaced?",
    "Quillon's orchard holds 23 rows of 17 pear trees. A storm fells 48 trees. How many pear trees are still standing in Quillon's orchard?",
    "A glassblower makes 14 vases a day for 9 days and breaks one vase in every 21. How many unbroken vases does the glassblower have?",
    "Write a function zigzag_total(values) that adds the numbers at even positions and subtracts the numbers at odd positions of a list.",
    "The ferry to Osmund island carries 36 cars per crossing and crosses 11 times a day. How many days does it need for 1188 cars?",
    "A choir of 52 voices stands in rows of 9. How many singers stand in the last row, and how many more would fill it?",
)
FOREIGN = (
    "Zuerst addiert man die beiden Zahlen, dann teilt man das Ergebnis durch die Anzahl der Personen, damit alle gleich viel bekommen.",
    "On commence par calculer le prix total des articles, puis on retire la remise pour trouver la somme que le client doit payer.",
    "Primero se suman las cantidades de los dos recipientes y después se calcula qué parte del total corresponde a cada persona.",
    "Prima si scrive l'equazione con tutti i termini noti, poi si isola l'incognita e infine si controlla il risultato ottenuto.",
    "Najpierw zapisujemy wszystkie dane zadania, a potem obliczamy kolejno każdy z brakujących wyników i sprawdzamy odpowiedź.",
    "Сначала запишем все известные величины, затем составим уравнение и найдём неизвестное число, после чего проверим ответ.",
    "首先把所有已知的数量写下来，然后列出方程并求出未知数，最后把结果代入原题进行检验，确认答案是正确的。",
)
