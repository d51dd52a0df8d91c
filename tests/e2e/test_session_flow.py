"""Sessions as people run them from a plain shell: Prefect's own commands beside `x1 env`, the relay and its pages."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pids import working_at

pytestmark = [pytest.mark.real, pytest.mark.e2e, pytest.mark.timeout(900)]

BIN = Path(sys.executable).parent
PROJECT = Path(__file__).parents[2]
WAIT_SECONDS = 240
AGENT = """\
slug: {slug}
name: Watcher
kind: orchestrator
runtime: scripted
instructions: Say what you heard.
heartbeat: Look around.
script: {{file: watcher-script.yaml}}
"""
SCRIPT = """\
version: 1
on:
  - name: the end
    when: {text: "finish"}
    do:
      - end: All is done.
  - name: anything else
    do:
      - say: "Heard: ${wake.text}"
"""
SLUGS = ("watcher-one", "watcher-two", "watcher-three", "watcher-four")


@dataclass(frozen=True)
class Shell:
    """A plain shell after `eval "$(x1 env)"`."""

    environment: dict[str, str]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            env=self.environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout

    def read(self, *words: str) -> Any:
        return json.loads(self.run("x1", *words, "--json"))

    def start(self, slug: str, *parameters: str) -> str:
        """`prefect deployment run`; the flow run's id."""
        given = [word for each in parameters for word in ("-p", each)]
        said = self.run("prefect", "deployment", "run", f"session/{slug}", *given)
        found = re.search(r"UUID: ([0-9a-f-]{36})", said)
        assert found, said
        return found[1]

    def session_of(self, slug: str, text: str) -> str:
        """Waits until an agent's session has said that it heard `text`."""
        return eventually(lambda: self._who_heard(slug, text), f"{slug} hears {text}")

    def _who_heard(self, slug: str, text: str) -> str | None:
        for session in self.read("sessions"):
            if session["agent"] == slug:
                told = self.run("x1", "events", session["id"], "--types", "agent.text", "--json")
                if f"Heard: {text}" in told:
                    return session["id"]
        return None

    def status(self, session_id: str) -> str:
        return self.read("show", session_id)["status"]

    @property
    def prefect(self) -> httpx.Client:
        user, _, password = self.environment["PREFECT_API_AUTH_STRING"].partition(":")
        url = self.environment["PREFECT_API_URL"]
        return httpx.Client(base_url=url, auth=(user, password), trust_env=False, timeout=30)

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        with self.prefect as client:
            return client.get(f"/flow_runs/{flow_run_id}").raise_for_status().json()


def eventually(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}"
        time.sleep(0.3)
    return found


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    state, agents = tmp_path_factory.mktemp("x1"), tmp_path_factory.mktemp("agents")
    (agents / "watcher-script.yaml").write_text(SCRIPT)
    (agents / "agents").mkdir()
    for slug in SLUGS:
        (agents / "agents" / f"{slug}.yaml").write_text(AGENT.format(slug=slug))
    (agents / "agents" / "watcher-script.yaml").symlink_to(agents / "watcher-script.yaml")
    plain = {"PATH": f"{BIN}:{os.defpath}", "HOME": os.environ["HOME"], "X1_STATE_DIR": str(state)}
    try:
        Shell(environment=plain).run("x1", "up")
        variables = Shell(environment=plain).read("env")
        ready = Shell(environment=plain | variables)
        for slug in SLUGS:
            ready.run("x1", "agents", "apply", str(agents / "agents" / f"{slug}.yaml"))
        yield ready
    finally:
        Shell(environment=plain).run("x1", "down")
    assert working_at(str(state)) == []


def test_a_second_start_of_a_live_orchestrator_is_forwarded_to_it(shell):
    shell.start("watcher-one", "text=first")
    session_id = shell.session_of("watcher-one", "first")
    second = shell.start("watcher-one", "text=second")
    assert shell.session_of("watcher-one", "second") == session_id
    state = eventually(
        lambda: (found := shell.flow_run(second)["state"])["type"] == "COMPLETED" and found,
        "the second start's end",
    )
    assert state["name"] == "Forwarded"
    assert f"/sessions/{session_id}" in state["message"]


def test_a_scheduled_start_of_a_live_orchestrator_is_a_heartbeat(shell):
    shell.start("watcher-two", "text=first")
    session_id = shell.session_of("watcher-two", "first")
    shell.start("watcher-two", "trigger=scheduler")
    assert shell.session_of("watcher-two", "Look around.") == session_id


def test_a_run_cancelled_in_prefect_cancels_its_session(shell):
    run = shell.start("watcher-three", "text=first")
    session_id = shell.session_of("watcher-three", "first")
    shell.run("prefect", "flow-run", "cancel", run)
    eventually(lambda: shell.status(session_id) == "cancelled", "the session is cancelled")
    eventually(
        lambda: shell.flow_run(run)["state"]["type"] == "CANCELLED", "its run is cancelled too"
    )


def test_a_session_cancelled_by_the_relay_or_on_its_page_ends_its_run_as_cancelled(shell):
    for cancel in (by_command, on_page):
        run = shell.start("watcher-three", f"text={cancel.__name__}")
        session_id = shell.session_of("watcher-three", cancel.__name__)
        cancel(shell, session_id)
        eventually(lambda s=session_id: shell.status(s) == "cancelled", "it is cancelled")
        eventually(
            lambda r=run: shell.flow_run(r)["state"]["type"] == "CANCELLED", "its run is cancelled"
        )


def by_command(shell: Shell, session_id: str) -> None:
    shell.run("x1", "cancel", session_id, "--reason", "enough")


def on_page(shell: Shell, session_id: str) -> None:
    url = shell.environment["X1_RELAY_URL"]
    token = Path(shell.environment["X1_OPERATOR_TOKEN_FILE"]).read_text().strip()
    with httpx.Client(
        base_url=url, headers={"origin": url}, trust_env=False, timeout=60
    ) as browser:
        assert browser.post("/login", data={"token": token}).status_code == 303
        page = browser.get(f"/sessions/{session_id}").raise_for_status().text
        found = re.search(r'name="csrf" value="([^"]+)"', page)
        assert found, page
        fields = {"csrf": found[1], "reason": "enough"}
        assert browser.post(f"/sessions/{session_id}/cancel", data=fields).status_code == 303


def test_a_session_that_ends_leaves_its_summary_and_usage_in_prefect(shell):
    started = shell.read("start", "watcher-four", "--text", "finish")
    session_id = started["session_id"]
    eventually(lambda: shell.status(session_id) == "complete", "the session is complete")

    def artifacts() -> dict[str, Any] | None:
        wanted = [f"{session_id}-summary", f"{session_id}-usage"]
        with shell.prefect as client:
            asked = {"artifacts": {"key": {"any_": wanted}}}
            found = client.post("/artifacts/filter", json=asked).raise_for_status().json()
        return {each["key"]: each for each in found} if len(found) == len(wanted) else None

    left = eventually(artifacts, "both artifacts")
    assert left[f"{session_id}-summary"]["data"].startswith("All is done.")
    assert {each["flow_run_id"] for each in left.values()} == {started["flow_run_id"]}


def test_the_products_own_deployments_are_registered_by_prefects_command(shell):
    said = shell.run("prefect", "--no-prompt", "deploy", "--all")
    assert "preview" in said
    with shell.prefect as client:
        found = client.get("/deployments/name/preview/preview").raise_for_status().json()
    assert (found["entrypoint"], found["work_pool_name"]) == (
        "flows.preview.preview",
        "x1-previews",
    )
