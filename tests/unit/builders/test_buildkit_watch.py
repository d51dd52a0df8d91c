"""A build is watched to its end, also past an API server that goes away for a while."""

import httpx
import pytest

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import KubernetesUnavailable
from tasks.builders.buildkit_watch import Watch

DIGEST = f"sha256:{'d' * 64}"
JOB = {"metadata": {"namespace": "builds", "name": "build-1", "uid": "u"}}
LOG = [b"one\n", b"two\n", b"three\n"]


class Breaking(httpx.AsyncByteStream):
    """The beginning of a log, and then no connection any more."""

    async def __aiter__(self):
        yield LOG[0]
        raise httpx.ReadError("gone")


class Cluster:
    """One build that has ended. `outages` are how many calls are not answered after the log broke off."""

    def __init__(self, outages):
        self.outages = outages
        self.is_broken = False

    def __call__(self, request):
        if request.url.path.endswith("/log"):
            return self._log(request.url.params["container"])
        if self.is_broken and self.outages:
            self.outages -= 1
            if self.outages % 2:
                raise httpx.ConnectError("refused")
            return httpx.Response(503, json={"message": "etcd is not ready"})
        return httpx.Response(200, json={"items": [pod()]})

    def _log(self, container):
        if container == "fetch":
            return httpx.Response(200, content=b"")
        if not self.is_broken:
            self.is_broken = True
            return httpx.Response(200, stream=Breaking())
        return httpx.Response(200, content=b"".join(LOG))


def pod():
    def ended(name, message=""):
        return {"name": name, "state": {"terminated": {"exitCode": 0, "message": message}}}

    return {
        "metadata": {"name": "p", "uid": "p-u"},
        "status": {
            "phase": "Succeeded",
            "initContainerStatuses": [ended("fetch")],
            "containerStatuses": [ended("build", DIGEST)],
        },
    }


@pytest.fixture
def watched(tmp_path):
    (tmp_path / "token").write_text("token")

    async def watching(outages, patience_seconds, said):
        transport = httpx.MockTransport(Cluster(outages))
        api = KubernetesApi("https://api.test", tmp_path, patience_seconds, transport=transport)
        return await Watch(api, JOB, "acme/app", said.append).ending()

    return watching


async def test_each_line_comes_once_past_an_outage(watched):
    said = []
    assert await watched(outages=3, patience_seconds=30, said=said) == DIGEST
    assert said == ["one", "two", "three"]


async def test_who_is_not_patient_is_told_of_the_first_outage(watched):
    with pytest.raises(KubernetesUnavailable):
        await watched(outages=1, patience_seconds=0, said=[])
