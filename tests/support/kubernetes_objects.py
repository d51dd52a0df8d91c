"""Kubernetes' API as far as previews' objects go: a dictionary behind HTTP. Nothing runs in it."""

import json
from pathlib import Path
from typing import Any

import httpx

from sidecar.client.kubernetes import KubernetesApi

LISTED_WHOLE = "/events"


class KubernetesObjects:
    """`held` are objects by their path. `is_away` answers 503 to everything, `refusal` 422 to what is applied."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.is_away = False
        self.refusal = ""

    def api(self, folder: Path) -> KubernetesApi:
        (folder / "token").write_text("token")
        transport = httpx.MockTransport(self._answer)
        return KubernetesApi("http://kubernetes", folder, transport=transport)

    def of(self, kind: str, **labels: str) -> list[dict[str, Any]]:
        wanted = {f"x1flows.io/{name}": value for name, value in labels.items()}
        return [each for each in self.held.values() if each["kind"] == kind and _has(each, wanted)]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            return httpx.Response(503, json={"message": "away"})
        path, query = request.url.path, request.url.params.get("labelSelector", "")
        wanted = dict(each.split("=", 1) for each in query.split(",") if each)
        match request.method:
            case "PATCH" if self.refusal:
                return httpx.Response(422, json={"message": self.refusal})
            case "PATCH":
                self.held[path] = json.loads(request.content)
            case "POST":
                body = json.loads(request.content)
                self.held.setdefault(f"{path}/{body['metadata']['name']}", body)
            case "DELETE":
                for key in self._below(path, wanted):
                    del self.held[key]
            case _ if wanted or path.endswith(LISTED_WHOLE):
                return _found([self.held[key] for key in self._below(path, wanted)])
            case _:
                return self._one(path)
        return httpx.Response(200, json={})

    def _one(self, path: str) -> httpx.Response:
        if path in self.held:
            return httpx.Response(200, json=self.held[path])
        return httpx.Response(404, json={"message": "not found"})

    def _below(self, path: str, wanted: dict[str, str]) -> list[str]:
        return [
            key
            for key, each in self.held.items()
            if key.rpartition("/")[0] == path and _has(each, wanted)
        ]


def _found(items: list[dict[str, Any]]) -> httpx.Response:
    return httpx.Response(200, json={"items": items})


def _has(each: dict[str, Any], wanted: dict[str, str]) -> bool:
    labels = each["metadata"].get("labels", {})
    return all(labels.get(name) == value for name, value in wanted.items())
