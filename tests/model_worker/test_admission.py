"""Admission is arithmetic on bytes."""

import pytest

from model_worker.admission import Admission


@pytest.mark.parametrize(
    ("admission", "wanted", "used", "sessions", "words", "again"),
    [
        (Admission(2), 10, 10, 2, "All 2 sessions", True),
        (Admission(9, 100), 60, 50, 1, "free", True),
        (Admission(9, 100), 101, 0, 0, "smaller budget_tokens", False),
    ],
)
def test_what_does_not_fit_is_refused(
    admission: Admission, wanted: int, used: int, sessions: int, words: str, again: bool
) -> None:
    refusal = admission.refusal(wanted, used, sessions)
    assert refusal is not None
    assert words in refusal.message
    assert (refusal.retry_after is not None) is again


@pytest.mark.parametrize("admission", [Admission(2), Admission(2, 100)])
def test_what_fits_is_taken(admission: Admission) -> None:
    assert admission.refusal(50, 50, 1) is None
