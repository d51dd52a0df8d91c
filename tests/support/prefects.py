"""Prefect's API of a connected installation, with an operator's login."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from clusters import Cluster, patiently, until

SWEEP = "sweep/previews"
SWEEP_SECONDS = 180.0


@dataclass(frozen=True)
class Prefect:
    http: httpx.Client

    @classmethod
    @contextmanager
    def of(cls, cluster: Cluster) -> Generator["Prefect"]:
        login = (cluster.state_dir / "secrets" / "prefect-auth").read_text().strip().partition(":")
        with httpx.Client(
            base_url=f"{cluster.urls['prefect']}/api",
            auth=(login[0], login[2]),
            trust_env=False,
            timeout=60,
        ) as http:
            yield cls(http)

    def swept(self) -> str:
        """What a sweep of the previews says that it did: the schedule's own deployment, run now."""

        def ended() -> dict[str, Any] | None:
            """None for one that was not let in beside the schedule's: one at a time."""
            state = self._run(SWEEP)
            return None if state["type"] == "CANCELLED" else state

        state = until(ended, "a sweep", SWEEP_SECONDS)
        assert state["type"] == "COMPLETED", state
        return state["message"]

    def filtered(self, kind: str, offset: int, limit: int) -> httpx.Response:
        """One page of everything of a kind."""
        asked = {"limit": limit, "offset": offset}
        return self.http.post(f"/{kind}/filter", json=asked).raise_for_status()

    def events(self) -> Iterator[str]:
        """All that are kept, a page at a time."""
        answer = self.http.post("/events/filter", json={"limit": 50, "filter": {}})
        while True:
            yield answer.raise_for_status().text
            following = answer.json().get("next_page")
            if not following:
                return
            answer = self.http.get(f"/events/filter/next?{urlsplit(following).query}")

    def _run(self, deployment: str) -> dict[str, Any]:
        found = self._got(f"/deployments/name/{deployment}")
        asked = self.http.post(f"/deployments/{found['id']}/create_flow_run", json={})
        run = asked.raise_for_status().json()["id"]

        def ended() -> dict[str, Any] | None:
            state = self._got(f"/flow_runs/{run}")["state"]
            return (
                state if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None
            )

        return until(ended, f"the end of {deployment}", SWEEP_SECONDS)

    def _got(self, path: str) -> Any:
        return patiently(lambda: self.http.get(path)).raise_for_status().json()
