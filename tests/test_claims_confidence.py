"""The probability that a solution is right: what moves it, and real labelled solutions that the weights have not seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.curation import correctness

from datagen.operators.claims.confidence import WEIGHTS, Confidence, features

ROW = {"solution": "3 bags of 4 make 3 * 4 = 12.\n#### 12", "question": "3 bags hold 4 apples each. How many are there?"}


def chance(**changes: object) -> float:
    found = Confidence(at_least=0).judge({**ROW, "agreement": 0.75, **changes})
    assert found.keep
    return float(found.fields["probability"])


def test_what_speaks_for_a_solution_raises_the_probability() -> None:
    assert chance(agreement=1.0) > chance() > chance(agreement=0.5) > chance(agreement=0.25)
    assert chance() > chance(solution="3 bags of 4 make 3 * 4 = 13.\n#### 13")
    assert chance() > chance(solution="3 bags of 4 make 3 * 4 = 12.\n#### 12.5")
    assert 0 < chance() < 1


def test_a_row_below_is_dropped_with_its_probability() -> None:
    finding = Confidence(at_least=0.9).judge({**ROW, "agreement": 0.25})
    assert (finding.keep, finding.reason) == (False, "unlikely")
    assert finding.score == finding.fields["probability"]
    assert "25%" in finding.evidence


@pytest.mark.parametrize("share", [None, "many", True, 1.5, -1, float("nan")])
def test_without_a_share_nothing_is_claimed(share: object) -> None:
    finding = Confidence().judge({**ROW, "agreement": share})
    assert (finding.keep, finding.fields) == (True, {"probability": None})


def test_samples_that_are_not_there_agree_with_nobody() -> None:
    assert chance(agreement=1.0, agreement_of=4) == chance(agreement=1.0)
    assert chance(agreement=1.0, agreement_of=3) == chance(agreement=0.75) < chance(agreement=1.0)
    assert "(3 of 4 are there)" in Confidence().judge({**ROW, "agreement": 1.0, "agreement_of": 3}).evidence
    for few in (1, 2):
        finding = Confidence().judge({**ROW, "agreement": 1.0, "agreement_of": few})
        assert (finding.keep, finding.score, finding.fields) == (True, None, {"probability": None})
        assert finding.evidence.startswith(f"nothing is claimed: {few} of 4 samples")


def test_every_feature_has_its_weight() -> None:
    assert list(features("", "", 0.0)) == list(WEIGHTS)


@pytest.mark.real
def test_the_weights_are_those_of_one_half_and_hold_on_the_other(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correctness, "DATA", shared / "data")
    fitted = correctness.fitted(correctness.labelled(0))
    assert {name: round(weight, 3) for name, weight in fitted.items()} == WEIGHTS
    precision, error = correctness.figures(correctness.scored(WEIGHTS, correctness.labelled(1)))
    assert precision >= 0.95
    assert error <= 0.04
