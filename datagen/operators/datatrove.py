"""datatrove's filters by name, as optional operators; only those that work without a network.

They were made for web pages: with its default thresholds GopherQualityFilter drops 98.8 % of GSM8K's gold answers and C4QualityFilter 34 %.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, model_validator

from datagen.errors import SetupError, nearest
from datagen.operators.base import Finding, Operator

_OFFLINE = ("C4ParagraphFilter", "C4QualityFilter", "FineWebQualityFilter", "GopherQualityFilter", "GopherRepetitionFilter", "RegexFilter")
_NETWORK = {
    "C4BadWordsFilter": "word lists from raw.githubusercontent.com",
    "FastTextClassifierFilter": "a fastText model",
    "LanguageFilter": "a fastText model",
    "UnigramLogProbFilter": "a table from the AI2 bucket",
    "URLFilter": "the public suffix list",
}
_INSTEAD = {
    "LanguageFilter": "; use the operator `language`",
    "SamplerFilter": "; use `take` of the seeds",
    "LambdaFilter": "; write an operator of your own",
}


class Datatrove(Operator):
    """One filter of datatrove: `{block: GopherRepetitionFilter, dup_line_frac: 0.3}`; parameters beside `block` and `on` are the filter's own.

    The filter sees a copy: what it rewrites (C4QualityFilter cuts lines) stays away from the row. English word counting needs spaCy;
    `pip install datagen[datatrove]` brings both.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    keeps: ClassVar = (
        "Plants make sugar from light, water and air. Animals eat those plants and breathe what they leave.\n"
        "When an animal dies, small living things break its body down, so that minerals return to soil where roots can take them up again.\n"
        "Nothing is lost on this way round; only energy must come anew each morning with sunrise.",
    )
    drops: ClassVar = ("the same line again\n" * 12,)

    block: str = "GopherRepetitionFilter"

    @model_validator(mode="after")
    def _offline(self) -> Datatrove:
        if self.block in _NETWORK:
            what = _NETWORK[self.block]
            raise ValueError(
                f"{self.block} downloads {what} at run time, which no operator may do{_INSTEAD.get(self.block, '')}; known: {', '.join(_OFFLINE)}"
            )
        if self.block not in _OFFLINE:
            raise ValueError(f"unknown block {self.block!r}{_INSTEAD.get(self.block, '')}{nearest(self.block, _OFFLINE)}")
        known = set(inspect.signature(_filters()[self.block]).parameters) - {"exclusion_writer", "batch_size"}
        for name in self._own():
            if name not in known:
                raise ValueError(f"{self.block} has no parameter {name!r}{nearest(name, known)}")
        try:
            _made(self.block, self._settings())
        except Exception as error:  # whatever the filter's constructor raises is about its parameters
            raise ValueError(f"{self.block} does not take these parameters: {error}") from error
        return self

    def judge(self, fields: Mapping[str, Any]) -> Finding:
        from datatrove.data import Document

        text = self.text(fields)
        if not text.strip():
            return Finding(False, "empty_text")
        if max(map(len, text.split())) > _LONGEST_WORD:
            return Finding(False, "endless_word")
        document = Document(text=text.encode("utf-8", "replace").decode("utf-8"), id="row")
        try:
            result = _made(self.block, self._settings()).filter(document)
        except Exception as error:  # the filters raise on odd text (a division by zero words); such a row did not pass them
            return Finding(False, "datatrove_error", evidence=f"{type(error).__name__}: {error}")
        keep, reason = result if isinstance(result, tuple) else (result, "")
        return Finding(bool(keep), "" if keep else str(reason or self.block).lower(), evidence="" if keep else self.block)

    def _own(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def _settings(self) -> str:
        return json.dumps(self._own(), sort_keys=True)


_LONGEST_WORD = 2000
"""spaCy's tokeniser takes time in the square of a word's length: minutes for 90,000 signs without a space."""


def _filters() -> dict[str, Any]:
    """Name -> class. Raises SetupError where datatrove or what its filters import is missing."""
    try:
        from datatrove.pipeline import filters
    except ImportError as error:
        raise SetupError(
            f"the operator datatrove needs datatrove's filters ({error}); install them with: pip install 'datagen[datatrove]'"
        ) from error
    return {name: getattr(filters, name) for name in _OFFLINE}


@functools.lru_cache(maxsize=64)
def _made(block: str, settings: str) -> Any:
    """The filter itself, once a process: it is not frozen and costs milliseconds to make."""
    return _filters()[block](**json.loads(settings))
