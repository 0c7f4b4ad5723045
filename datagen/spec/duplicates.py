"""The words of `dedup`: what counts as a duplicate, and which of two stays."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from datagen.spec.terms import Fields, Name, Words


class MeaningWords(Words):
    """The second tier of dedup: rows that say the same in other words."""

    by: Name | None = None
    """The field with a row's vector: of an `ask: {embed: ...}`, or a list of numbers that the seeds bring. A row without one is compared by its
    words alone."""
    vectors: str | None = None
    """In place of `by`: a file of word vectors on this disk, .npz with `words` and `vectors`; a text's is the mean of its words'."""
    at_least: float = Field(default=0.92, gt=0, le=1)
    """Cosine from which two rows say the same, which hangs on the model that made the vectors. Verdicts have the cosine of rows that are dropped;
    kept ones have none. `recurate OUT --set STEP.dedup.meaning.at_least=0.6` tells with examples what a lower one would drop."""
    dimensions: PositiveInt | None = None
    """How many numbers a vector has. Default: the teacher's `params: {dimensions: ...}`, or what the file has."""

    @model_validator(mode="after")
    def _one_source(self) -> MeaningWords:
        if (self.by is None) == (self.vectors is None):
            raise ValueError("meaning needs a field with vectors, `by`, or a file of word vectors, `vectors`: one of the two")
        return self


class DedupWords(Words):
    on: Fields
    """Field, or fields taken together."""
    threshold: float = Field(default=0.55, gt=0, le=1)
    """Exact word-bigram Jaccard from which a pair counts as a near-duplicate."""
    numbers: Literal["keep", "fold"] = "keep"
    """Whether rows that differ in numbers alone are different (a maths set) or the same."""
    exact_only: bool = False
    """Of words, only copies count; what says the same in other words still does where `meaning` is written."""
    meaning: MeaningWords | None = None
    """Off where it is not written. With `numbers: keep`, two rows are one only where no number stands in the place of another."""
    prefer: str | None = None
    """Expression; of two duplicates the higher stays. Then the lower id."""

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> DedupWords:
        if self.exact_only and "threshold" in self.model_fields_set:
            raise ValueError("exact_only compares no pairs, so threshold says nothing: leave out one of the two")
        return self
