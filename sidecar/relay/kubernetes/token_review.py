"""TokenReview: a session pod's projected token is its identity, and Kubernetes says whose it is.

The token's audience is the relay alone, so that the relay could not use it at the API server, and one for the
API server is not taken here. https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin
"""

from collections.abc import Mapping
from typing import Any, Final

import structlog
from pydantic import BaseModel, ValidationError

from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import Forbidden, KubernetesUnavailable, Unauthenticated
from sidecar.relay.activation_tokens import ActivationProof, Claimed

AUDIENCE: Final = "x1-relay"
PREFIX: Final = "system:serviceaccount:"
POD_UID: Final = "authentication.kubernetes.io/pod-uid"

log = structlog.stdlib.get_logger(__name__)


class _User(BaseModel):
    username: str = ""
    extra: dict[str, list[str]] = {}


class _Status(BaseModel):
    authenticated: bool = False
    user: _User = _User()
    audiences: list[str] = []


class TokenReviews:
    """Lets in pods of the given service accounts, `namespace:name`, each for itself and for one thing."""

    def __init__(self, api: KubernetesApi, accounts: Mapping[str, Claimed]) -> None:
        self._api = api
        self._claims: dict[str, Claimed] = {
            f"{PREFIX}{account}": what for account, what in accounts.items()
        }

    async def prove(self, token: str) -> ActivationProof:
        review = await self._api.call(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            body={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": [AUDIENCE]},
            },
        )
        return self._judge(_read(review))

    def _judge(self, status: _Status) -> ActivationProof:
        if not status.authenticated or AUDIENCE not in status.audiences:
            raise Unauthenticated(f"this route takes a pod's token of audience {AUDIENCE}")
        what = self._claims.get(status.user.username)
        if what is None:
            log.warning("claim refused", username=status.user.username, wanted=list(self._claims))
            raise Forbidden("this service account claims nothing")
        uids = status.user.extra.get(POD_UID, [])
        if len(uids) != 1 or not uids[0]:
            log.warning("claim refused", username=status.user.username, reason="no pod")
            raise Forbidden("this token is bound to no pod")
        return ActivationProof(pod_uid=uids[0], what=what)


def _read(review: Mapping[str, Any]) -> _Status:
    try:
        return _Status.model_validate(review.get("status") or {})
    except ValidationError as error:
        raise KubernetesUnavailable("Kubernetes' API answers a review of another shape") from error
