"""The OpenAPI document says what the routes do."""

import re

from sidecar.relay.operator.routes import endpoints, routes


async def test_every_route_is_in_the_document_and_every_path_is_a_route(http):
    document = (await http.get("/api/openapi.json")).json()
    told = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    served = {
        (method, route.path)
        for route in routes
        for method in route.methods - {"HEAD"}
        if route.path.startswith("/api/")
    }
    assert told == served


async def test_every_reference_is_defined(http):
    answer = await http.get("/api/openapi.json")
    defined = set(answer.json()["components"]["schemas"])
    used = set(re.findall(r'"#/components/schemas/(\w+)"', answer.text))
    assert used <= defined
    assert {each.answers.__name__ for each in endpoints if each.answers} <= used


async def test_every_path_parameter_is_declared(http):
    document = (await http.get("/api/openapi.json")).json()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))


async def test_every_field_of_every_answer_says_what_it_holds(http):
    document = (await http.get("/api/openapi.json")).json()
    vague = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, said in schema.get("properties", {}).items()
        if set(said) <= {"title", "description", "default"}
    ]
    assert not vague
