import json
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from commands import x1

from infra.local import lock
from infra.local.cli import agentfiles
from infra.local.cli.relay import the_one
from infra.local.cli.tree import nested
from infra.local.errors import AskedFailed
from infra.local.state import StateDir

ROOT = {"id": "0197-aaaa-1111", "agent": "hirer", "status": "running", "summary": None}
CHILD = {
    "id": "0197-aaaa-2222",
    "agent": "app",
    "status": "complete",
    "summary": "\x1b[31mdone",
    "parent_session_id": ROOT["id"],
}
EVENTS = [
    {"sequence": 1, "type": "agent.text", "payload": {"text": "hello"}},
    {"sequence": 2, "type": "agent.tool_call", "payload": {"title": "ls"}},
]


class FakeRelay(BaseHTTPRequestHandler):
    asked: list = []

    def do_GET(self):
        if self.headers["Authorization"] != "Bearer secret":
            return self.answer(401, {"error": {"code": "unauthenticated", "message": "no"}})
        path, _, query = self.path.partition("?")
        if path == "/api/sessions":
            return self.answer(200, {"sessions": [ROOT, CHILD]})
        for session in (ROOT, CHILD):
            if path in {f"/api/sessions/{session['id']}", f"/api/sessions/{session['id'][-4:]}"}:
                return self.answer(200, session)
        if path.endswith("/events"):
            return self.answer(200, {"events": [] if "after=2" in query else EVENTS})
        return self.answer(
            404, {"error": {"code": "session_unknown", "message": "no such session"}}
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, json.loads(body)))
        self.answer(200, {"wake_id": "w1", "receipt": "accepted"})

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def relay(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeRelay)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    (tmp_path / "token").write_text("secret\n")
    yield {
        "X1_RELAY_URL": f"http://127.0.0.1:{server.server_port}",
        "X1_OPERATOR_TOKEN_FILE": str(tmp_path / "token"),
        "X1_STATE_DIR": str(tmp_path / "state"),
    }
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_session_tree_is_drawn_without_the_agents_control_characters(relay):
    shown = x1(relay, "sessions", "--tree")
    lines = shown.stdout.splitlines()
    assert lines[1].split()[1] == "hirer"
    assert "  app" in lines[2]
    assert "\x1b" not in shown.stdout


def test_sessions_as_json_is_the_relays_list(relay):
    assert json.loads(x1(relay, "sessions", "--json").stdout) == [ROOT, CHILD]


def test_events_can_be_narrowed_to_types(relay):
    shown = x1(relay, "events", "2222", "--types", "agent.text", "--json")
    assert [json.loads(line)["sequence"] for line in shown.stdout.splitlines()] == [1]


def test_saying_something_is_a_wake_of_the_abbreviated_session(relay):
    FakeRelay.asked.clear()
    assert "accepted" in x1(relay, "say", "1111", "go on").stdout
    ((_, body),) = FakeRelay.asked
    assert body["text"] == "go on"


def test_the_relays_refusal_is_exit_1_with_its_code(relay):
    shown = x1(relay, "show", "9999")
    assert shown.returncode == 1
    assert "session_unknown" in shown.stderr
    assert "next:     x1 sessions" in shown.stderr


def test_an_absent_relay_is_exit_3_with_the_next_command(relay):
    shown = x1({**relay, "X1_RELAY_URL": "http://127.0.0.1:1"}, "sessions")
    assert shown.returncode == 3
    assert "next:     x1 status" in shown.stderr


def test_without_a_stack_every_reader_says_so(tmp_path):
    shown = x1({"X1_STATE_DIR": str(tmp_path / "none")}, "sessions")
    assert shown.returncode == 3
    assert "x1 up" in shown.stderr


def test_a_state_directory_that_cannot_be_made_is_exit_3_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    shown = x1({"X1_STATE_DIR": str(tmp_path / "file" / "state")}, "up")
    assert shown.returncode == 3
    assert shown.stderr.splitlines()[0] == f"x1: {tmp_path}/file/state: Not a directory"
    assert "next:     X1_STATE_DIR=" in shown.stderr


def test_what_is_no_text_is_sent_as_such_beside_what_is(tmp_path):
    (tmp_path / "agent.yaml").write_bytes(b"slug: \xff")
    (tmp_path / "other.yaml").write_text("slug: other")
    (tmp_path / "charter.md").write_bytes(b"\xfe")
    told = agentfiles.request(tmp_path)
    assert told["files"] == [
        {"path": "agent.yaml", "text": ""},
        {"path": "other.yaml", "text": "slug: other"},
    ]
    assert told["texts"] == {"other.yaml": "slug: other"}
    assert told["unreadable"] == {
        "agent.yaml": "expected UTF-8 text; byte 6 is none: save it as UTF-8",
        "charter.md": "expected UTF-8 text; byte 0 is none: save it as UTF-8",
    }


def test_a_file_that_cannot_be_read_is_one_line_and_no_traceback(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").mkdir()
    shown = x1({"X1_STATE_DIR": str(tmp_path)}, "status")
    assert shown.returncode == 1
    assert shown.stderr.startswith(f"x1: {tmp_path}/run/status.json: Is a directory")


def test_logs_as_json_name_each_lines_component(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "relay.log").write_text("one\ntwo\n")
    (tmp_path / "logs" / "nats.log").write_text("three\n")
    shown = x1({"X1_STATE_DIR": str(tmp_path)}, "logs", "--json", "-n", "1")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [
        {"component": "nats", "line": "three"},
        {"component": "relay", "line": "two"},
    ]


def test_the_environment_as_json_is_what_its_lines_export(tmp_path):
    state = StateDir(root=tmp_path)
    state.create()
    state.secret("prefect-auth").write_text("x1:it's\n")
    urls = {"prefect": "http://p", "relay": "http://r", "forge": "http://f"}
    status = {"phase": "ready", "components": [], "urls": urls, "operator_token_file": "/t"}
    state.run("status.json").write_text(json.dumps(status))
    with lock.held(state):
        variables = json.loads(x1({"X1_STATE_DIR": str(tmp_path)}, "env", "--json").stdout)
        lines = x1({"X1_STATE_DIR": str(tmp_path)}, "env").stdout
    exported = dict(line.removeprefix("export ").split("=", 1) for line in lines.splitlines())
    assert variables["PREFECT_API_AUTH_STRING"] == "x1:it's"
    assert exported == {name: shlex.quote(value) for name, value in variables.items()}


def test_wrong_usage_is_exit_2(relay):
    assert x1(relay, "cancel", "1111").returncode == 2


def test_an_abbreviation_must_mean_one():
    assert (
        the_one([ROOT, CHILD], "2222", key="id", what="session", listed_by="x1 sessions")
        == CHILD["id"]
    )
    with pytest.raises(AskedFailed, match="2 sessions match"):
        the_one([ROOT, CHILD], "0197", key="id", what="session", listed_by="x1 sessions")
    with pytest.raises(AskedFailed, match="too short"):
        the_one([ROOT, CHILD], "22", key="id", what="session", listed_by="x1 sessions")


def test_a_child_whose_parent_is_not_listed_stands_at_the_top():
    assert [row["id"] for row in nested([CHILD])] == [CHILD["id"]]
    assert nested([ROOT, CHILD])[0]["children"][0]["id"] == CHILD["id"]


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom infra.local.cli.app import app\n"
        "print([m for m in ('prefect', 'psycopg', 'httpx', 'rich', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout.strip() == "[]"
