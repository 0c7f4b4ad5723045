"""The columns of every table under OUT/steps, declared once: for whoever writes them, the catalogue, and the taking down of rows."""

from __future__ import annotations

from collections.abc import Mapping

from datagen.storage import ROW_COLUMNS

VERDICT_COLUMNS = {
    "row": "string",
    "step": "string",
    "operator": "string",
    "version": "int64",
    "score": "float64",
    "keep": "bool",
    "reason": "string",
    "evidence": "string",
    "field": "string",
    "span_start": "int64",
    "span_end": "int64",
}
"""One record for each operator, check, vote, choice and set-wise step that looked at a row. `operator`: its name within the step, the second of
a name as `name_2`; `field`, `span_start`, `span_end`: where the evidence stands, in characters, where that is known."""
DROPPED_COLUMNS = {"operator": "string", "reason": "string", "score": "float64", "evidence": "string"}
UNANSWERED_COLUMNS = {"outcome": "string", "error": "string", "key": "string"}
CALL_COLUMNS = {
    **dict.fromkeys(("key", "step", "row", "teacher", "provider", "model", "outcome"), "string"),
    **dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"), "int64"),
    **dict.fromkeys(("cost_usd", "saved_usd", "seconds"), "float64"),
    **dict.fromkeys(("request_id", "stop_reason", "fingerprint"), "string"),
    "attempt": "int64",
    **dict.fromkeys(("repaired", "batch"), "string"),
    "simulated": "bool",
    "planted": "string",
    "asked": "bool",
}
"""One record an answer. `saved_usd`: what prompt caching took off the price (below zero where it was written and never read); `attempt`:
0, or the number of a deliberate second ask; `repaired`: what was mended offline to read it; `batch`: the paid batch that brought it, or ''."""
ROW_KINDS: Mapping[str, Mapping[str, str]] = {
    "kept": dict.fromkeys(ROW_COLUMNS, "string"),
    "dropped": dict.fromkeys(ROW_COLUMNS, "string") | DROPPED_COLUMNS,
    "unanswered": dict.fromkeys(ROW_COLUMNS, "string") | UNANSWERED_COLUMNS,
}
"""Folder under a step -> columns of its files, which hold rows."""
KINDS: Mapping[str, Mapping[str, str]] = {**ROW_KINDS, "verdicts": VERDICT_COLUMNS, "calls": CALL_COLUMNS}
"""All of them."""
CANARIES = "canaries.json"
"""Under OUT/steps: what became of planted rows. It holds counts and no text, so nothing of a row that is taken down later."""
COVERAGE = "coverage"
"""A folder of OUT."""
CELLS, CELL_STEPS, DIVERSITY = "cells.parquet", "steps.parquet", "diversity.parquet"
CELL_COLUMNS = dict.fromkeys(("seeds", "seeds_kept", "rows", "dropped", "unanswered", "wanted", "missing", "to_ask"), "int64")
"""After the columns of the axes, one record a cell. `seeds_kept`: seeds of which a row is released; `wanted`: rows of a cell that is not thin;
`to_ask`: seeds that should bring what is missing."""
CELL_STEP_COLUMNS = {"number": "int64", "step": "string", **dict.fromkeys(("seeds", "dropped", "unanswered"), "int64")}
"""After the columns of the axes, one record a cell and step. `seeds`: those of which a row reached the step; the rest counts rows."""
DIVERSITY_COLUMNS = {
    **dict.fromkeys(("step", "field", "axis", "value"), "string"),
    **dict.fromkeys(("number", "rows", "short", "words"), "int64"),
    **dict.fromkeys(("compression", "repetition", "self_bleu"), "float64"),
    "opening": "string",
    "opening_share": "float64",
    "collapsed": "bool",
}
"""One record a step that asks and one for `release`, each over all rows (`axis` is '') and over the rows of each value of an axis. The figures
are those of `release/measured/variety.py`, of a sample."""
