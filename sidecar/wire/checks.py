"""Checks as agents and specs write them."""

from typing import Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from sidecar.domain.check import Check
from sidecar.domain.errors import Finding, InvalidArguments
from sidecar.wire.model import StrictModel
from sidecar.wire.yaml_lines import dotted

MAX_CHECKS = 50


class JsonEquals(StrictModel):
    pointer: str = Field(pattern=r"^(/.*)?$", max_length=256)
    equals: Any


class CheckModel(StrictModel):
    """`{method: GET, path: /, status: 200, contains: text}`; `contains` takes one text or a list."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    path: str = Field(default="/", pattern=r"^/", max_length=2048)
    headers: dict[str, str] = Field(default_factory=dict, max_length=20)
    body: str | None = Field(default=None, max_length=64 * 1024)
    status: int = Field(default=200, ge=100, le=599)
    contains: list[str] = Field(default_factory=list, max_length=20)
    not_contains: list[str] = Field(default_factory=list, max_length=20)
    json_equals: list[JsonEquals] = Field(default_factory=list, alias="json", max_length=20)
    max_ms: float | None = Field(default=None, gt=0)

    @field_validator("contains", "not_contains", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("json_equals", mode="before")
    @classmethod
    def _as_pairs(cls, value: object) -> object:
        """`json: {/status: ok}` is what most people write."""
        if isinstance(value, dict):
            return [{"pointer": pointer, "equals": equals} for pointer, equals in value.items()]
        return value

    @model_validator(mode="after")
    def _headers_are_plain(self) -> Self:
        for name, text in self.headers.items():
            if any(character in f"{name}{text}" for character in "\r\n\0"):
                raise ValueError(f"header {name!r} holds a line break")
        return self

    def to_check(self) -> Check:
        return Check(
            method=self.method,
            path=self.path,
            headers=self.headers,
            body=self.body,
            status=self.status,
            contains=tuple(self.contains),
            not_contains=tuple(self.not_contains),
            json_equals={each.pointer: each.equals for each in self.json_equals},
            max_ms=self.max_ms,
        )


_CHECKS: TypeAdapter[list[CheckModel]] = TypeAdapter(list[CheckModel])


def parse_checks(document: object, where: str = "checks") -> tuple[Check, ...]:
    """Raises InvalidArguments with all findings; an empty list is one."""
    try:
        models = _CHECKS.validate_python(document)
    except ValidationError as error:
        findings = tuple(
            Finding(path=f"{where}{dotted(each['loc'])}", message=each["msg"])
            for each in error.errors(include_url=False)
        )
        raise InvalidArguments(f"{where} cannot be used", findings) from error
    if not models or len(models) > MAX_CHECKS:
        raise InvalidArguments(f"{where}: expected 1 to {MAX_CHECKS} checks, came {len(models)}")
    return tuple(model.to_check() for model in models)


def dump_check(check: Check) -> dict[str, Any]:
    """The JSON that `parse_checks` reads back."""
    return {
        "method": check.method,
        "path": check.path,
        "headers": dict(check.headers),
        "body": check.body,
        "status": check.status,
        "contains": list(check.contains),
        "not_contains": list(check.not_contains),
        "json": [{"pointer": key, "equals": value} for key, value in check.json_equals.items()],
        "max_ms": check.max_ms,
    }
