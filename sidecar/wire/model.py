"""The base of every model that travels: unknown fields are ignored, so that versions may differ."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
)

from sidecar.domain.names import RUNTIMES, is_valid_branch


class WireModel(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def _written(secret: SecretStr, info: SerializationInfo) -> str:
    return secret.get_secret_value() if (info.context or {}).get("reveal") else str(secret)


Secret = Annotated[SecretStr, PlainSerializer(_written, return_type=str, when_used="json")]
"""Written masked, unless the caller serialises with the context {"reveal": True}."""


def reveal(model: BaseModel) -> bytes:
    """JSON with secrets in clear, for a peer that must have them. Never log what this returns."""
    return model.model_dump_json(context={"reveal": True}).encode()


class StrictModel(BaseModel):
    """For what people and agents write by hand: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _branch(value: str) -> str:
    if not is_valid_branch(value):
        raise ValueError("expected the name of a git branch, without refs/heads/")
    return value


def _runtime(value: str) -> str:
    if value not in RUNTIMES:
        raise ValueError(f"expected one of {', '.join(RUNTIMES)}")
    return value


BranchName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_branch)]
"""As git takes it; printable, so that it can stand in a prompt and in a log."""
RuntimeName = Annotated[str, Field(max_length=63), AfterValidator(_runtime)]
