"""Reading GitHub's answers: what they hold, as far as it is used, and what they say when they refuse.

No error's text holds a token: what was presented and what looks like one is masked, and validation shows no input.
"""

from typing import Annotated, Final, TypeVar

import httpx
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    RootModel,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from sidecar.domain.errors import Forbidden, ForgeUnavailable
from sidecar.redaction import MASK, Redactor

FORBIDDEN, TOO_MANY = 403, 429
MAX_MESSAGE: Final = 200
Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Installation(Shape):
    id: int


class MintedToken(Shape):
    token: Annotated[SecretStr, StringConstraints(min_length=1)]
    expires_at: AwareDatetime


class Commit(Shape):
    sha: Sha


class Branch(Shape):
    commit: Commit


class Comparison(Shape):
    """`new` compared to `old`: ahead, behind, diverged or identical."""

    status: str


class Entry(Shape):
    """One of a directory's; `type` is file, dir, symlink or submodule."""

    type: str
    name: str


class Listing(RootModel[tuple[Entry, ...]]):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


ShapeT = TypeVar("ShapeT", bound=BaseModel)


def good(answer: httpx.Response) -> httpx.Response:
    if answer.is_error or answer.is_redirect:
        raise Forbidden(f"the forge answers {answer.status_code}: {said(answer)}")
    return answer


def told(answer: httpx.Response, shape: type[ShapeT]) -> ShapeT:
    """What is no GitHub's answer comes from something between: a proxy, or a page that says sorry."""
    try:
        return shape.model_validate_json(good(answer).content)
    except ValidationError as error:
        raise ForgeUnavailable(
            f"the forge answers {answer.status_code} with what is no {shape.__name__.lower()}"
        ) from error


def is_listing(answer: httpx.Response) -> bool:
    """A directory comes as JSON, whatever was asked for; a file, JSON or not, as the raw media type:
    https://docs.github.com/en/rest/repos/contents
    """
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    return answer.is_success and kind == "application/json"


def is_limit(answer: httpx.Response) -> bool:
    """GitHub's limits come as 429 or as 403:
    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    headers = answer.headers
    return answer.status_code == TOO_MANY or (
        answer.status_code == FORBIDDEN
        and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0")
    )


def said(answer: httpx.Response) -> str:
    """GitHub's own words, bounded and without secrets: they end in errors that agents read."""
    try:
        found = answer.json()
    except ValueError:
        found = answer.text
    words = str(found.get("message", found) if isinstance(found, dict) else found)
    presented = answer.request.headers.get("authorization", "").partition(" ")[2]
    return Redactor().mask_text(words.replace(presented, MASK) if presented else words)[
        :MAX_MESSAGE
    ]
