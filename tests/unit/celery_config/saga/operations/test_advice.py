"""Advice: each cause says what is to be mended, and what fails has a verb that hurries it."""

from __future__ import annotations

import pytest

from celery_config.contracts.base import LOST
from celery_config.saga.causes import (
    TOO_LARGE,
    CauseKind,
    describe_failure,
    describe_late_answer,
    describe_silence,
)
from celery_config.saga.operations.advice import MENDS, advise

UNKNOWN = "unknown_outcome"


@pytest.mark.parametrize("kind", CauseKind)
def test_each_cause_says_in_one_sentence_what_is_to_be_mended(kind: CauseKind) -> None:
    advice = MENDS[kind]
    assert advice.endswith(".")
    assert advice.count(". ") == 0


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (
            describe_failure({"code": UNKNOWN, "reason": "answered 500: x"}, "payment", "void it"),
            CauseKind.ANSWERED,
        ),
        (describe_failure({"code": UNKNOWN, "reason": "ReadTimeout"}, "payment", "void it"), CauseKind.LATE),
        (
            describe_failure({"code": UNKNOWN, "reason": "ConnectError"}, "payment", "void it"),
            CauseKind.BROKEN,
        ),
        (describe_failure({"code": "error", "reason": "KeyError"}, "payment", "void it"), CauseKind.UNABLE),
        (describe_failure({"code": LOST}, "inventory", "release it"), CauseKind.LOST),
        (describe_silence("payment", "to void it"), CauseKind.SILENT),
        (describe_late_answer("payment", "to void it", "done"), CauseKind.ANSWERED_LATE),
        (f"{CauseKind.UNDRIVABLE}: key error", CauseKind.UNDRIVABLE),
        (f"{CauseKind.UNDRIVABLE}: {TOO_LARGE}", TOO_LARGE),
        (CauseKind.END_UNHEARD, CauseKind.END_UNHEARD),
        (CauseKind.UNKNOWN_VERSION, CauseKind.UNKNOWN_VERSION),
        (f"payment {CauseKind.CONTRADICTED}", CauseKind.CONTRADICTED),
        ("", ""),
    ],
)
def test_the_advice_is_that_of_the_lines_cause(line: str, kind: str) -> None:
    assert advise(line) == MENDS.get(kind, "")
