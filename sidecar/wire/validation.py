"""What pydantic finds wrong with a document, said with the document's own places and lines."""

from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sidecar.domain.errors import Finding, InvalidArguments
from sidecar.wire.yaml_lines import Document

Model = TypeVar("Model", bound=BaseModel)


def validated(document: Document, model: type[Model], what: str) -> Model:
    """Raises InvalidArguments with every finding at once."""
    try:
        return model.model_validate(document.value if document.value is not None else {})
    except ValidationError as error:
        found = tuple(findings(document, error))
        raise InvalidArguments(f"{what} is not usable", found) from error


def findings(document: Document, error: ValidationError) -> Iterator[Finding]:
    for each in error.errors(include_url=False):
        path = tuple(part for part in each["loc"] if not _is_type_tag(part))
        message = each["msg"].removeprefix("Value error, ")
        came = each.get("input")
        if each["type"] not in {"missing", "extra_forbidden"} and _is_scalar(came):
            message = f"{message}; found {came!r}"
        yield document.finding(path, message)


def _is_type_tag(part: str | int) -> bool:
    """Pydantic puts the name of a union's member into the place; a reader did not write it."""
    return isinstance(part, str) and (part.startswith(("function-", "tagged-")) or "[" in part)


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
