"""`x1 agents plan --from-blocks` between a Prefect and a relay that only answer what they are asked here."""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from commands import x1

from infra.local import lock
from infra.local.state import StateDir
from sidecar.wire.agent_file import parse_agent

GOOD = {"name": "Ticker", "kind": "worker", "runtime": "claude-code", "model": None}
BAD = {"name": "Bad", "kind": "boss", "runtime": "claude-code", "budget": {"usd": -1}}


class FakeBoth(BaseHTTPRequestHandler):
    """Prefect's block documents, in pages, and the relay's plan."""

    blocks: dict = {}
    planned: list = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/block_documents/filter":
            assert self.headers["Authorization"] == "Basic " + base64.b64encode(b"x1:pw").decode()
            assert body["block_types"] == {"slug": {"any_": ["x1-agent"]}}
            found = [{"name": name, "data": data} for name, data in self.blocks.items()]
            return self.answer(found[body["offset"] :][: body["limit"]])
        assert self.path == "/api/agents/plan"
        assert self.headers["Authorization"] == "Bearer secret"
        self.planned.append(body)
        return self.answer({"applied": False, "changes": [], "unchanged": ["ticker"]})

    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def stack(tmp_path):
    """The environment of a command beside a stack that seems to run. Not the relay's real port."""
    FakeBoth.blocks, FakeBoth.planned = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeBoth)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state = StateDir(root=tmp_path / "state")
    state.create()
    state.run("ports.json").write_text(
        json.dumps(
            dict.fromkeys(("relay", "prefect", "forge", "previews", "nats"), server.server_port)
        )
    )
    state.secret("prefect-auth").write_text("x1:pw")
    state.secret("operator-token").write_text("secret")
    with lock.held(state):
        yield {
            "X1_RELAY_URL": f"http://127.0.0.1:{server.server_port}",
            "X1_OPERATOR_TOKEN_FILE": str(state.secret("operator-token")),
            "X1_STATE_DIR": str(state.root),
        }
    server.shutdown()
    thread.join()
    server.server_close()


def plan(environment, *words):
    return x1({"PATH": os.defpath, **environment}, "agents", "plan", *words)


def test_each_block_is_asked_about_as_the_agent_file_that_it_means(stack):
    FakeBoth.blocks = {"ticker": GOOD}
    done = plan(stack, "--from-blocks")
    assert (done.returncode, done.stderr) == (0, "")
    assert "unchanged: ticker" in done.stdout
    ((file,),) = [asked["files"] for asked in FakeBoth.planned]
    assert file["path"] == "block ticker"
    assert parse_agent(file["text"], "ticker", str).name == "Ticker"


def test_json_is_the_relays_answer_as_with_files(stack):
    FakeBoth.blocks = {"ticker": GOOD}
    assert json.loads(plan(stack, "--from-blocks", "--json").stdout)["unchanged"] == ["ticker"]


def test_only_the_blocks_that_are_named_are_taken(stack):
    FakeBoth.blocks = {"bad": BAD, "other": GOOD, "ticker": GOOD}
    assert plan(stack, "--from-blocks", "ticker").returncode == 0
    assert [each["path"] for each in FakeBoth.planned[0]["files"]] == ["block ticker"]


def test_blocks_beyond_prefects_first_page_are_taken_too(stack):
    FakeBoth.blocks = {f"agent-{number:03}": GOOD for number in range(250)}
    assert plan(stack, "--from-blocks").returncode == 0
    assert len(FakeBoth.planned[0]["files"]) == 250


def test_all_that_is_wrong_is_told_by_block_and_field_before_the_relay_is_asked(stack):
    FakeBoth.blocks = {"bad": BAD, "ticker": GOOD, "worse": {"instructions": {"file": "x.md"}}}
    done = plan(stack, "--from-blocks")
    assert done.returncode == 1
    for place in ("bad: kind", "bad: budget.usd", "worse: runtime", "worse: instructions.file"):
        assert f"block {place}: " in done.stderr
    assert "line " not in done.stderr
    assert FakeBoth.planned == []


def test_a_name_without_a_block_is_wrong_usage_that_lists_the_blocks(stack):
    FakeBoth.blocks = {"ticker": GOOD}
    done = plan(stack, "--from-blocks", "tucker")
    assert done.returncode == 2
    assert "no Agent block tucker" in done.stderr
    assert "Agent blocks: ticker" in done.stderr


def test_without_any_block_the_next_command_is_told(stack):
    done = plan(stack, "--from-blocks")
    assert done.returncode == 2
    assert "x1 agents apply PATH" in done.stderr


def test_without_a_stack_there_are_no_blocks_to_read(tmp_path):
    done = plan({"X1_STATE_DIR": str(tmp_path / "none")}, "--from-blocks")
    assert done.returncode == 3
    assert "x1 up" in done.stderr


def test_files_are_asked_for_by_one_path(stack):
    done = plan(stack, "one.yaml", "two.yaml")
    assert done.returncode == 2
    assert "2 paths" in done.stderr
