"""/metrics, which also answers while the ledger does not."""

from contextlib import asynccontextmanager

from sidecar.domain.errors import StoreUnavailable


async def test_a_ledger_that_does_not_answer_is_a_metric_not_a_failure(desk, anybody, monkeypatch):
    @asynccontextmanager
    async def away():
        raise StoreUnavailable
        yield

    monkeypatch.setattr(desk.services.store, "transaction", away)
    answer = await anybody.get("/metrics")
    assert answer.status_code == 200
    assert "x1_store_up 0.0" in answer.text


async def test_every_state_has_a_series_even_when_nothing_is_in_it(anybody):
    text = (await anybody.get("/metrics")).text
    for series in ('x1_sessions{status="parked"}', 'x1_previews{status="ready"}'):
        assert f"{series} 0.0" in text
    assert "x1_open_questions 0.0" in text
