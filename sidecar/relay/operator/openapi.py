"""/api/openapi.json: written from the same table that makes the routes, so it cannot say anything else."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sidecar.relay.operator.endpoint import EVENT_STREAM, Endpoint, Query
from sidecar.wire.operator import ID, ErrorAnswer, EventModel

REFERENCE: Final = "#/components/schemas/{model}"
ONE_OF_A_STREAM: Final = {
    "type": "object",
    "description": "One server-sent event.",
    "required": ["id", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": REFERENCE.format(model=EventModel.__name__)},
        },
    },
}
ERRORS: Final = {
    401: "Not the operator.",
    403: "A browser's request from another page.",
    404: "There is no such thing.",
    409: "Not as things stand.",
    422: "These arguments are not acceptable; `findings` say which.",
    503: "Something that is needed does not answer; try again.",
}


def document(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "x1 relay, operator API", "version": version("x1flows")},
        "security": [{"operator": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(endpoints),
            "securitySchemes": {
                "operator": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "x1_operator"},
            },
        },
    }


def _operation(each: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": each.says,
        "operationId": f"{each.method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', each.path)}",
        "parameters": _parameters(each),
        "responses": _responses(each),
    }
    if each.takes is not None:
        operation["requestBody"] = {"required": True, "content": _json(each.takes)}
    return operation


def _parameters(each: Endpoint) -> list[dict[str, Any]]:
    is_session = each.path.startswith("/api/sessions/")
    schema = {"type": "string", "pattern": ID} if is_session else {"type": "string", "minLength": 1}
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in re.findall(r"{(\w+)}", each.path)
    ]
    return [*in_path, *_named(each.query, "query"), *_named(each.headers, "header")]


def _named(queries: Sequence[Query], where: str) -> list[dict[str, Any]]:
    return [
        {"name": query.name, "in": where, "description": query.says, "schema": query.schema}
        | ({"required": True} if query.is_required else {})
        | ({"explode": False} if query.schema["type"] == "array" else {})
        for query in queries
    ]


def _responses(each: Endpoint) -> dict[str, Any]:
    failed = {
        str(status): {"description": says, "content": _json(ErrorAnswer)}
        for status, says in ERRORS.items()
    }
    if each.answers is not None:
        done: dict[str, Any] = {"description": "Done.", "content": _json(each.answers)}
        return {str(each.status): done} | failed
    stream = {"description": "Events.", "content": {EVENT_STREAM: {"schema": ONE_OF_A_STREAM}}}
    return {"200": stream, "204": {"description": "It ended, and all is told."}} | failed


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}}


def _schemas(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    taken = {each.takes for each in endpoints if each.takes is not None}
    answered = {each.answers for each in endpoints if each.answers is not None}
    _, found = models_json_schema(
        [
            *((model, "validation") for model in sorted(taken, key=_name)),
            *((model, "serialization") for model in sorted(answered | {ErrorAnswer}, key=_name)),
        ],
        ref_template=REFERENCE,
    )
    return found["$defs"]


def _name(model: type[BaseModel]) -> str:
    return model.__name__
