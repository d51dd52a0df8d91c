"""Errors: what leaves one service as HTTP comes back in the other as the error it was."""

import pytest

from sidecar.client.errors import error_of
from sidecar.domain import errors
from sidecar.domain.errors import Finding, InvalidArguments, Refused, RelayUnavailable, X1Error
from sidecar.http_errors import error_response

KINDS = sorted(
    {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, X1Error) and kind is not X1Error
    },
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_survives_the_way_by_its_code(kind):
    response = error_response(kind("why"))
    back = error_of(response.status_code, response.body)
    assert (back.code, str(back)) == (kind.code, "why")
    assert isinstance(back, kind) or kind.code in ("invalid_arguments", "relay_unavailable")


def test_findings_come_back_one_by_one():
    error = InvalidArguments("wrong:", (Finding(path="a.b", message="no", line=3),))
    response = error_response(error)
    back = error_of(response.status_code, response.body)
    assert isinstance(back, InvalidArguments)
    assert back.findings == error.findings
    assert str(back) == str(error)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.Unauthenticated, 401),
        (errors.BudgetExhausted, 402),
        (errors.NotYourChild, 403),
        (errors.SessionUnknown, 404),
        (errors.LeaseLost, 409),
        (errors.ChecksFailed, 409),
        (errors.SpecInvalid, 422),
        (errors.StoreUnavailable, 503),
    ],
)
def test_each_situation_has_its_status(kind, status):
    assert error_response(kind("why")).status_code == status


def test_only_absence_says_when_to_come_again():
    assert "retry-after" in error_response(errors.ForgeUnavailable("x")).headers
    assert "retry-after" not in error_response(errors.LeaseLost("x")).headers


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": 3}', b'{"error": {}}', b"\xff"]
)
def test_a_body_that_is_not_ours_is_still_an_error(body):
    assert isinstance(error_of(502, body), RelayUnavailable)
    assert isinstance(error_of(400, body), Refused)
