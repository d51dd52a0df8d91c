"""Who may claim: what Kubernetes' review of a token proves, and what it does not."""

import json
from dataclasses import dataclass, field

import httpx
import pytest

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import (
    Forbidden,
    KubernetesUnavailable,
    PodMismatch,
    Unauthenticated,
)
from sidecar.relay.activation_tokens import TokenFile
from sidecar.relay.kubernetes.token_review import AUDIENCE, POD_UID, TokenReviews

SESSION = "system:serviceaccount:x1-sessions:session"


@dataclass
class Cluster:
    """Answers reviews as the API server does: for the tokens it issued."""

    issued: dict = field(default_factory=dict)
    status: int = 201
    requests: list = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        spec = json.loads(request.content)["spec"]
        user = self.issued.get(spec["token"])
        status = (
            {"authenticated": True, "audiences": spec["audiences"], "user": user}
            if user
            else {"authenticated": False, "error": "invalid bearer token"}
        )
        return httpx.Response(self.status, json={"kind": "TokenReview", "status": status})


def of_pod(*uids, username=SESSION):
    return {"username": username, "extra": {POD_UID: list(uids)}}


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "token").write_text("the-relays-own-token\n")
    return tmp_path


@pytest.fixture
async def reviews(cluster, directory):
    api = KubernetesApi("https://api.test", directory, transport=httpx.MockTransport(cluster))
    yield TokenReviews(
        api, {"x1-sessions:session": "session", "x1-operations:preview": "operation"}
    )
    await api.aclose()


async def test_a_session_pods_token_lets_it_claim_for_that_pod_alone(reviews, cluster):
    cluster.issued["t"] = of_pod("uid-1")
    proof = await reviews.prove("t")
    proof.require("uid-1", "session")
    with pytest.raises(PodMismatch):
        proof.require("uid-2", "session")


async def test_the_review_asks_for_our_audience_with_the_relays_own_token(
    reviews, cluster, directory
):
    cluster.issued["t"] = of_pod("uid-1")
    await reviews.prove("t")
    (directory / "token").write_text("renewed by the kubelet")
    await reviews.prove("t")
    assert [each.headers["authorization"] for each in cluster.requests] == [
        "Bearer the-relays-own-token",
        "Bearer renewed by the kubelet",
    ]
    asked = json.loads(cluster.requests[0].content)["spec"]
    assert asked == {"token": "t", "audiences": [AUDIENCE]}


async def test_a_token_that_the_cluster_did_not_issue_is_nobodys(reviews):
    with pytest.raises(Unauthenticated, match="x1-relay"):
        await reviews.prove("made up")


@pytest.mark.parametrize(
    "user",
    [
        of_pod("uid-1", username="system:serviceaccount:x1-sessions:default"),
        of_pod("uid-1", username="system:serviceaccount:elsewhere:session"),
        of_pod(),
        of_pod("uid-1", "uid-2"),
        of_pod(""),
        {"username": SESSION},
    ],
)
async def test_another_account_or_a_token_of_no_pod_claims_nothing(reviews, cluster, user):
    cluster.issued["t"] = user
    with pytest.raises(Forbidden):
        await reviews.prove("t")


async def test_a_cluster_that_refuses_the_review_is_waited_for(reviews, cluster):
    cluster.status = 403
    with pytest.raises(KubernetesUnavailable, match="HTTP 403"):
        await reviews.prove("t")


async def test_a_review_of_another_shape_is_no_proof(directory):
    odd = httpx.MockTransport(lambda _: httpx.Response(201, json={"status": {"user": "x"}}))
    api = KubernetesApi("https://api.test", directory, transport=odd)
    with pytest.raises(KubernetesUnavailable, match="shape"):
        await TokenReviews(
            api, {"x1-sessions:session": "session", "x1-operations:preview": "operation"}
        ).prove("t")
    await api.aclose()


async def test_a_file_is_read_at_each_call_and_an_empty_one_lets_nobody_in(tmp_path):
    path = tmp_path / "activation-token"
    path.write_text("first\n")
    tokens = TokenFile(path)
    (await tokens.prove("first")).require("any nonce", "operation")
    path.write_text("second")
    with pytest.raises(Unauthenticated):
        await tokens.prove("first")
    path.write_text("\n")
    with pytest.raises(Unauthenticated, match="empty"):
        await tokens.prove("")


async def test_a_preview_flows_pod_claims_operations_and_no_sessions(cluster, reviews):
    cluster.issued["of a preview's pod"] = of_pod(
        "uid-3", username="system:serviceaccount:x1-operations:preview"
    )
    proof = await reviews.prove("of a preview's pod")
    proof.require("uid-3", "operation")
    with pytest.raises(Forbidden, match="no sessions"):
        proof.require("uid-3", "session")
