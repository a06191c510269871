"""What counts as a regression of instruction counts."""

from __future__ import annotations

from bench.instructions import BASELINE, Counts, regressions


def counts(**instructions: int) -> Counts:
    return Counts("x86_64 avx2", "rustc", instructions)


def test_more_than_the_tolerance_is_a_regression_and_less_is_not() -> None:
    assert regressions(counts(a=1050, b=10), counts(a=1000, b=1000)) == []
    assert regressions(counts(a=1051, b=10), counts(a=1000, b=1000)) == ["a"]


def test_works_that_are_only_at_one_side_are_told() -> None:
    assert regressions(counts(a=1, new=1), counts(a=1, gone=1)) == ["gone", "new"]


def test_committed_baseline_can_be_read_and_written_back() -> None:
    text = BASELINE.read_text()
    baseline = Counts.from_json(text)
    assert baseline.to_json() == text
    assert all(one > 0 for one in baseline.instructions.values())
