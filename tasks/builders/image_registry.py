"""Asking the registry whether an image is there: https://distribution.github.io/distribution/spec/api/

The token protocol is spoken here as builds and nodes speak it: asked, refused, sent to the relay, asked again.
"""

import re
from pathlib import Path
from typing import Final

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_exponential_jitter,
)

from sidecar.authorities import trusted
from sidecar.domain.errors import RegistryUnavailable
from tasks.builders.image_source import ImageSource

SECONDS: Final = 10.0
USER: Final = "x1"
PATIENCE_SECONDS: Final = 300.0
"""As long a registry, or the relay that it sends for tokens, may be away before a build is given up."""
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
BUSY: Final = (429, 500, 502, 503, 504)
KINDS: Final = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json,"
    " application/vnd.docker.distribution.manifest.v2+json,"
    " application/vnd.docker.distribution.manifest.list.v2+json"
)
DIGEST: Final = re.compile(r"^sha256:[0-9a-f]{64}$")
_CHALLENGE: Final = re.compile(r'(realm|service|scope)="([^"]*)"')


async def digest_of(
    source: ImageSource,
    tag: str,
    *,
    is_plain: bool,
    authorities: Path | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
    transport: httpx.AsyncBaseTransport | None = None,
) -> str | None:
    """`sha256:…` of the tagged image, None when there is none. Asked again while nobody answers.

    `authorities` is a file of those, PEM, who are trusted beside the public ones.
    Raises RegistryUnavailable, also for a login that is refused.
    """
    scheme = "http" if is_plain else "https"
    url = f"{scheme}://{source.registry}/v2/{source.repository}/manifests/{tag}"
    async with httpx.AsyncClient(
        timeout=SECONDS, trust_env=False, verify=trusted(authorities), transport=transport
    ) as http:
        try:
            answer = await _patient(patience_seconds)(_asked, http, url, source)
        except httpx.HTTPError as error:
            raise RegistryUnavailable(
                f"the registry {source.registry} does not answer: {type(error).__name__}"
            ) from error
    if answer.status_code == NOT_FOUND:
        return None
    digest = answer.headers.get("docker-content-digest", "")
    if answer.is_error or not DIGEST.match(digest):
        raise RegistryUnavailable(
            f"the registry {source.registry} answers HTTP {answer.status_code} to {tag}"
        )
    return digest


def _patient(seconds: float) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(_is_busy),
        stop=stop_after_delay(seconds),
        wait=wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.5),
        retry_error_callback=_last,
    )


def _is_busy(answer: httpx.Response) -> bool:
    return answer.status_code in BUSY


def _last(tries: RetryCallState) -> httpx.Response:
    """The last answer, or what was raised instead."""
    assert tries.outcome is not None
    return tries.outcome.result()


async def _asked(http: httpx.AsyncClient, url: str, source: ImageSource) -> httpx.Response:
    answer = await http.head(url, headers={"accept": KINDS})
    if answer.status_code != UNAUTHORIZED:
        return answer
    wanted = dict(_CHALLENGE.findall(answer.headers.get("www-authenticate", "")))
    realm = wanted.pop("realm", "")
    if not realm:
        return answer
    given = await http.get(realm, params=wanted, auth=(USER, source.push_token.get_secret_value()))
    if given.is_error:
        return given
    bearer = f"Bearer {given.json()['token']}"
    return await http.head(url, headers={"accept": KINDS, "authorization": bearer})
