from __future__ import annotations

import pytest

from wavemq.errors import (
    Code,
    DeadlineError,
    InternalError,
    InvalidParameterError,
    LookupFailureError,
    MalformedObjectError,
    ProofInvalidError,
    StorageError,
    UnavailableError,
    UpstreamError,
    WaveMQError,
    error_from_wire,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.CONTEXT, DeadlineError),
        (Code.INTERNAL, InternalError),
        (Code.STORAGE, StorageError),
        (Code.INVALID_PARAMETER, InvalidParameterError),
        (Code.MALFORMED_OBJECT, MalformedObjectError),
        (Code.PROOF_INVALID, ProofInvalidError),
        (Code.UPSTREAM_ERROR, UpstreamError),
        (Code.LOOKUP_FAILURE, LookupFailureError),
        (Code.UNKNOWN, WaveMQError),
        (12345, WaveMQError),
    ],
)
def test_code_becomes_the_class_named_after_it(code: int, kind: type[WaveMQError]) -> None:
    assert type(error_from_wire(code, "why")) is kind


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.UNKNOWN])
def test_every_code_has_a_class_that_gives_it_back(code: Code) -> None:
    error = error_from_wire(code, f"({int(code)}: why)")
    assert (error.code, error.reason, str(error)) == (code, "why", f"({int(code)}: why)")


def test_failure_upstream_may_be_retried() -> None:
    assert isinstance(error_from_wire(Code.UPSTREAM_ERROR, "away"), UnavailableError)
