"""A session that writes each number it is told into its repository, and what stands there: each once, in order."""

import re
import tempfile
from pathlib import Path

import httpx
from clusters import Cluster, patiently, until

from infra.local.forge.seed import seed_repository

AGENTS = Path(__file__).resolve().parents[1] / "cluster" / "agents"
REPO = "probe-co/ledger"
RECOVERY_SECONDS = 300


class Ledger:
    def __init__(self, cluster: Cluster, session_id: str, token: str) -> None:
        self.cluster, self.session_id, self._token = cluster, session_id, token
        self._before = self.pushed()
        self._first = self.told = int(self._before[-1]) if self._before else 0

    def tell(self) -> str:
        """Tells it the next number. Returns the wake once its turn has begun."""
        wake = self.cluster.say(self.session_id, f"count {self.told + 1}")
        self.told += 1
        until(lambda: self.receipt(wake) in {"read", "done"}, "the turn", RECOVERY_SECONDS)
        return wake

    def receipt(self, wake: str) -> str:
        found = self.cluster.get("/api/wakes", session_id=self.session_id)["wakes"]
        return next(each["receipt"] for each in found if each["id"] == wake)

    def finished(self, wake: str) -> None:
        until(lambda: self.receipt(wake) == "done", "the end of its turn", RECOVERY_SECONDS)

    def pushed(self) -> list[str]:
        """What stands at the forge: each number it was told, in order, once."""
        headers = {
            "authorization": f"Bearer {self._token}",
            "accept": "application/vnd.github.raw+json",
        }
        url = f"{self.cluster.urls['forge']}/repos/{REPO}/contents/counted?ref=main"
        answer = patiently(lambda: httpx.get(url, headers=headers, trust_env=False))
        return [] if answer.status_code == 404 else answer.raise_for_status().text.split()

    def judge(self) -> None:
        mine = [str(number) for number in range(self._first + 1, self.told + 1)]
        assert self.pushed() == [*self._before, *mine]
        self.cluster.heard(self.session_id, f"counted {self.told}")
        words = "\n".join(self.cluster.words(self.session_id))
        assert {n: len(re.findall(rf"counted {n}\b", words)) for n in mine} == dict.fromkeys(
            mine, 1
        )
        events = self.cluster.events(self.session_id)
        assert [each["sequence"] for each in events] == list(range(1, len(events) + 1))


def opened(cluster: Cluster) -> Ledger:
    """By a new session, which has heard its first word."""
    token = (cluster.state_dir / "secrets" / "forge-admin-token").read_text().strip()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "README.md").write_text("Numbers, each once.\n")
        seed_repository(cluster.urls["forge"], token, REPO, Path(scratch))
    cluster.x1("agents", "apply", str(AGENTS))
    session_id = cluster.start("ledger", "hello")
    cluster.heard(session_id, "heard hello")
    return Ledger(cluster, session_id, token)
