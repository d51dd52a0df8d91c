"""The proof: the forge's roadmap, and the preview over HTTP. What agents or the relay claim counts for nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import yaml

from infra.local import secrets
from infra.local.demo.errors import DemoFailed
from infra.local.demo.example import APP, BLOCKED, OWN, SHIPPED
from infra.local.demo.screen import Screen
from infra.local.state import StateDir
from infra.local.status import read_running
from sidecar.domain.check import Check
from sidecar.wire.checks import parse_checks
from tasks.previews.checks import run_checks
from tasks.previews.way import Way

STEP: Final = "The proof"
RAW: Final = "application/vnd.github.raw+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """`commits` are the newest of each repository's main, oldest first: (repo, sha, title)."""

    revision: str
    url: str
    previews: list[dict[str, Any]]
    commits: list[tuple[str, str, str]]


def roadmap_verdicts(roadmap: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool]]:
    """One sentence an item of the forge's roadmap, and whether it is as it must be at the end. Pure."""
    standing = {str(item["id"]): item for item in roadmap}
    expected = dict.fromkeys(SHIPPED, "done") | {BLOCKED: "blocked"}
    verdicts: list[tuple[str, bool]] = []
    for item_id in dict.fromkeys((*standing, *expected)):
        item, wanted = standing.get(item_id, {}), expected.get(item_id, "done")
        status = item.get("status", "gone from the roadmap")
        why = f" ({item['blocked_by']})" if item.get("blocked_by") else ""
        said = f"{item_id} is {status}{why} on the forge's main"
        is_good = status == wanted
        verdicts.append((said if is_good else f"{said}, expected {wanted}", is_good))
    return verdicts


class Inspection:
    """`way` is how the previews' URLs are reached from here."""

    def __init__(self, state: StateDir, way: Way) -> None:
        self._state = state
        self._way = way
        self._urls = read_running(state)["urls"]

    async def statuses(self) -> dict[str, str]:
        return {item["id"]: item["status"] for item in await self._roadmap()}

    async def prove(self, screen: Screen) -> Proof:
        """Raises DemoFailed, after having said all that is right and wrong."""
        roadmap = await self._roadmap()
        faults = self._judge_roadmap(roadmap, screen)
        revision = await self._head(APP)
        preview = await self._preview_of_main()
        faults += self._judge_preview(preview, revision, screen)
        if preview is not None:
            checks = [check for item in roadmap if item["id"] in SHIPPED for check in _checks(item)]
            faults += await self._judge_answers(preview["url"], checks, revision, screen)
        if faults:
            raise DemoFailed(
                STEP,
                expected="the forge and the preview to show what was shipped",
                came="; ".join(faults),
                then=f"x1 previews, x1 logs --state-dir {self._state.root}",
            )
        assert preview is not None
        commits = [line for repo in (OWN, APP) for line in await self._commits(repo)]
        return Proof(
            revision=revision,
            url=preview["url"],
            previews=await self._previews(),
            commits=commits,
        )

    def _judge_roadmap(self, roadmap: list[dict[str, Any]], screen: Screen) -> list[str]:
        judged = roadmap_verdicts(roadmap)
        for said, is_good in judged:
            screen.verdict(said, is_good=is_good)
        return [said for said, is_good in judged if not is_good]

    def _judge_preview(
        self, preview: dict[str, Any] | None, revision: str, screen: Screen
    ) -> list[str]:
        if preview is None:
            screen.verdict("main has no preview", is_good=False)
            return ["main has no preview"]
        is_good = preview["status"] == "ready" and preview["serving"] == revision
        said = f"main's preview is {preview['status']} and serves {str(preview['serving'])[:8]}"
        screen.verdict(f"{said}; main is {revision[:8]}", is_good=is_good)
        return [] if is_good else [f"{said}, expected ready with {revision[:8]}"]

    async def _judge_answers(
        self, url: str, checks: list[Check], revision: str, screen: Screen
    ) -> list[str]:
        """Every acceptance check of what was shipped, asked over the proxy once more."""
        faults: list[str] = []
        for each in await run_checks(url, revision, checks, way=self._way):
            faults += [
                f"{each['method']} {each['path']}: {failure}" for failure in each["failures"]
            ]
        good = len(checks) - len({fault.partition(": ")[0] for fault in faults})
        said = f"{good} of {len(checks)} checks pass at {url}, each answered by {revision[:8]}"
        screen.verdict(said, is_good=not faults)
        return faults

    async def _roadmap(self) -> list[dict[str, Any]]:
        answer = await self._forge(f"/repos/{OWN}/contents/roadmap.yaml?ref=main", accept=RAW)
        return yaml.safe_load(answer.text)["items"]

    async def _head(self, repo: str) -> str:
        return str((await self._forge(f"/repos/{repo}/branches/main")).json()["commit"]["sha"])

    async def _commits(self, repo: str) -> list[tuple[str, str, str]]:
        listed = (await self._forge(f"/repos/{repo}/commits?sha=main")).json()
        lines = [
            (repo, each["sha"], each["commit"]["message"].splitlines()[0]) for each in listed[:12]
        ]
        return lines[::-1]

    async def _forge(self, path: str, accept: str = "application/json") -> httpx.Response:
        token = secrets.read(self._state, "forge-admin-token")
        headers = {"authorization": f"Bearer {token}", "accept": accept}
        return await _got(f"{self._urls['forge']}{path}", headers)

    async def _previews(self) -> list[dict[str, Any]]:
        token = secrets.read(self._state, "operator-token")
        url = f"{self._urls['relay']}/api/previews"
        answer = await _got(url, {"authorization": f"Bearer {token}"})
        return answer.json()["previews"]

    async def _preview_of_main(self) -> dict[str, Any] | None:
        return next(
            (p for p in await self._previews() if p["repo"] == APP and p["branch"] == "main"), None
        )


def _checks(item: dict[str, Any]) -> tuple[Check, ...]:
    return parse_checks(item["acceptance"], f"{item['id']}.acceptance")


async def _got(url: str, headers: dict[str, str]) -> httpx.Response:
    """Raises DemoFailed."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            return (await http.get(url, headers=headers)).raise_for_status()
    except httpx.HTTPError as error:
        raise DemoFailed(
            STEP, expected=f"an answer of {url}", came=str(error), then="x1 status, x1 logs"
        ) from error
