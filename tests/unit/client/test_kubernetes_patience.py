"""How long a call waits for an API server that is away, or that has just started and knows nobody yet."""

import httpx
import pytest

from sidecar.client import kubernetes
from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import KubernetesUnavailable

NO_ROLE = 'pods is forbidden: User "system:serviceaccount:a:b" cannot list resource "pods" in API group ""'
NO_ROOM = 'pods "a" is forbidden: exceeded quota: previews, requested: pods=1, used: pods=60, limited: pods=60'
AWAY, LEARNING, UNKNOWN, FULL = (
    (503, "later"),
    (403, NO_ROLE),
    (401, "Unauthorized"),
    (403, NO_ROOM),
)


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "token").write_text("token")
    left: list[tuple[int, str]] = []

    def answer(_: httpx.Request) -> httpx.Response:
        if not left:
            return httpx.Response(200, json={"kind": "PodList"})
        status, message = left.pop(0)
        return httpx.Response(status, json={"message": message})

    async def asking(*troubles: tuple[int, str], patience_seconds: float = 30) -> dict:
        left[:] = troubles
        transport = httpx.MockTransport(answer)
        api = KubernetesApi("https://api.test", tmp_path, patience_seconds, transport=transport)
        return await api.call("GET", "/api/v1/namespaces/a/pods")

    return asking


async def test_a_server_that_starts_is_waited_for_until_it_knows_the_caller(asked):
    assert (await asked(AWAY, UNKNOWN, LEARNING))["kind"] == "PodList"


async def test_a_caller_without_a_role_is_told_so_in_the_end(asked, monkeypatch):
    monkeypatch.setattr(kubernetes, "LEARNING_SECONDS", 0.3)
    with pytest.raises(KubernetesUnavailable, match="cannot list resource") as told:
        await asked(*[LEARNING] * 50)
    assert told.value.status == 403


async def test_a_refusal_that_waiting_does_not_mend_is_told_at_once(asked):
    with pytest.raises(KubernetesUnavailable, match="exceeded quota"):
        await asked(FULL)


async def test_who_has_no_patience_has_none_for_this_either(asked):
    with pytest.raises(KubernetesUnavailable, match="cannot list resource"):
        await asked(LEARNING, patience_seconds=0)
