"""A relay and a bus in this process, and one activation over a real runtime process and real loopback ports."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from bridges import bridge_at
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from sidecar.domain.errors import BusUnavailable
from sidecar.domain.ids import new_id
from sidecar.pod import assembly
from sidecar.pod.acp.profile import Profile
from sidecar.pod.listening import bind_loopback, service
from sidecar.settings import PodSettings
from sidecar.wire import tools
from sidecar.wire.control import HandOver
from sidecar.wire.envelope import decode

AGENT = Path(__file__).with_name("fake_agent.py")
BUS = {"url": "nats://x", "user_jwt": "j", "user_seed": "s", "inbox_prefix": "_INBOX_s"}


class FakeRelay:
    """Keeps receipts as the real one does; `refuse` maps a path's end to (status, code)."""

    def __init__(self):
        self.session_id = "s-1"
        self.wakes = {}
        self.calls = []
        self.refuse = {}
        self.bells = asyncio.Queue()
        self.cancel_reason = None
        self.parked = self.ended = self.let_go = False
        self.effects = {}
        self.is_away = False
        self.reports = []

    def wake(self, text, kind="user"):
        wake_id = new_id()
        self.wakes[wake_id] = {
            "id": wake_id,
            "session_id": self.session_id,
            "kind": kind,
            "text": text,
            "created_at": "2026-01-01T00:00:00Z",
            "receipt": "accepted",
            "attempt": 0,
            "interruptions": 0,
        }
        self.bells.put_nowait(wake_id)
        return wake_id

    def undone(self):
        return [w for w in self.wakes.values() if w["receipt"] not in ("done", "undeliverable")]

    def app(self):
        own = f"/internal/sessions/{self.session_id}"
        return Starlette(
            routes=[
                Route(f"{own}/lease", self._handler(self._renew), methods=["PUT"]),
                Route(f"{own}/lease/release", self._handler(self._release), methods=["POST"]),
                Route(f"{own}/end", self._handler(self._end), methods=["POST"]),
                Route(f"{own}/wakes", self._handler(self._wakes), methods=["GET"]),
                Route(f"{own}/wakes/receipts", self._handler(self._report), methods=["POST"]),
                Route("/{path:path}", self._handler(self._effect), methods=["GET", "POST"]),
            ]
        )

    def _handler(self, act):
        async def handle(request):
            path = request.url.path
            body = json.loads(await request.body() or "{}")
            self.calls.append((request.method, path, body, dict(request.headers)))
            if self.is_away:
                return JSONResponse(
                    {"error": {"code": "relay_unavailable", "message": "away"}}, 503
                )
            for end, (status, code) in self.refuse.items():
                if path.endswith(end):
                    return JSONResponse({"error": {"code": code, "message": f"no: {code}"}}, status)
            return JSONResponse(act(body, request))

        return handle

    def _renew(self, body, request):
        return {
            "token": "renewed-token",
            "token_seconds": 900,
            "bus": BUS,
            "unread": len(self.undone()),
            "cancel_reason": self.cancel_reason,
            "attachments": [],
            "tools": list(tools.EVERYONE + tools.WITH_SPAWN),
        }

    def _release(self, body, request):
        if body["how"] == "park" and self.undone():
            return {"status": "running", "parked": False, "unread": len(self.undone())}
        self.parked = body["how"] == "park"
        self.let_go = body["how"] == "stop"
        return {"status": "parked", "parked": self.parked, "unread": 0}

    def _end(self, body, request):
        self.ended = body
        for wake in self.undone():
            wake["receipt"] = "done"
        return {"status": "complete", "summary": body["summary"], "usage": []}

    def _wakes(self, body, request):
        return {"wakes": self.undone()}

    def _report(self, body, request):
        moved = [self.wakes[each] for each in body["wake_ids"]]
        for wake in moved:
            self.reports.append((wake["id"], body["receipt"]))
            match body["receipt"]:
                case "interrupted":
                    wake["attempt"] = wake["interruptions"] = max(1, wake["attempt"])
                case "read":
                    wake |= {"receipt": "read", "attempt": wake["interruptions"] + 1}
                case receipt:
                    wake["receipt"] = receipt
        return {"wakes": moved}

    def _effect(self, body, request):
        key = request.headers.get("idempotency-key")
        answer = {
            "status": "pending",
            "session_id": f"child-{len(self.effects) + 1}",
            "wake_id": "w",
            "receipt": "accepted",
        }
        return self.effects.setdefault(key, answer) if key else answer


class FakeBus:
    def __init__(self, relay):
        self.relay = relay
        self.events = []
        self.seen = set()
        self.is_away = False
        self.refused = []

    async def publish_events(self, session_id, body, message_id):
        if self.is_away:
            self.refused += [each.type for each in decode(body)]
            raise BusUnavailable("away")
        if message_id not in self.seen:
            self.seen.add(message_id)
            self.events += decode(body)

    @asynccontextmanager
    async def doorbell(self, session_id):
        async def bells():
            while True:
                yield await self.relay.bells.get()

        yield bells()

    async def aclose(self):
        return None

    def texts(self):
        return "".join(e.payload["text"] for e in self.events if e.type == "agent.text")

    def of(self, kind):
        return [e.payload for e in self.events if e.type == kind]


class Stage:
    """One machine: state that outlives activations, a relay, a bus."""

    def __init__(self, root, relay, bus, port):
        self.root, self.relay, self.bus, self.port = root, relay, bus, port
        self.kind = "orchestrator"
        self.idle_minutes = 10.0
        self.silence_seconds = 60.0
        self.argv = [sys.executable, str(AGENT)]
        self.activations = 0
        self.script = None
        self.bridge_socket = None
        self.egress = self.egress_url = None

    @property
    def state(self):
        return self.root / "state"

    def hand_over(self):
        self.activations += 1
        bundle = {
            "session_id": self.relay.session_id,
            "activation_id": f"a-{self.activations}",
            "agent": "tester",
            "kind": self.kind,
            "workspace": "default",
            "generation": self.activations,
            "parent_session_id": None,
            "root_session_id": self.relay.session_id,
            "token": "first-token",
            "token_seconds": 900,
            "bus": BUS,
            "egress": self.egress,
            "attachments": [],
            "runtime": {"name": "fake"},
            "tools": list(tools.EVERYONE + tools.WITH_SPAWN),
            "spawnable": [],
            "idle_minutes": self.idle_minutes,
            "turns_done": 0,
            "page_url": "http://x",
        }
        return HandOver.model_validate(
            {
                "bundle": bundle,
                "holder": "run/nonce",
                "workspace_dir": str(self.root / "tree"),
                "state_dir": str(self.state),
            }
        )

    @asynccontextmanager
    async def activation(self):
        async def connect(_):
            return self.bus

        settings = PodSettings(
            relay_url=f"http://127.0.0.1:{self.port}",
            control_socket=self.root / "c.sock",
            bridge_socket=self.bridge_socket,
            state_dir=self.root / "own" if self.bridge_socket else None,
            egress_url=self.egress_url,
        )
        profile = Profile(argv=self.argv, silence_seconds=self.silence_seconds)
        async with assembly.assembled(
            settings, self.hand_over(), connect=connect, load=lambda _: profile
        ) as activation:
            yield activation


async def until(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def eventually():
    return until


@pytest.fixture
async def stage(request, tmp_path):
    """One machine, or with the parameter `bridged` the agent's zone behind a bridge."""
    relay = FakeRelay()
    listener = bind_loopback(0)
    port = listener.getsockname()[1]
    server = service(relay.app())
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[listener]))
        stage = Stage(tmp_path, relay, FakeBus(relay), port)
        try:
            async with AsyncExitStack() as stack:
                if getattr(request, "param", "") == "bridged":
                    stage.bridge_socket = tmp_path / "b.sock"
                    stage.bridge = await stack.enter_async_context(bridge_at(stage.bridge_socket))
                yield stage
        finally:
            server.should_exit = True
            await serving
