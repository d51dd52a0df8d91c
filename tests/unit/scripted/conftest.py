"""The scripted runtime as a real process, driven by a small ACP client; a real MCP server to call."""

import asyncio
import json
import os
import socket
import sys
import textwrap
from contextlib import asynccontextmanager

import mcp_types as types
import pytest
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

ANSWER_SECONDS = 60
"""On a busy machine: the first answers wait for a Python that starts and loads what it needs."""


class Runtime:
    """One process. `said` are the texts of the updates since the last prompt, `updates` all of them."""

    def __init__(self, process):
        self.process = process
        self.session_id = None
        self.updates = []
        self._last = 0
        self.heard = asyncio.Condition()
        self._answers = {}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self):
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            async with self.heard:
                if "method" in message:
                    self.updates.append(message["params"]["update"])
                else:
                    self._answers[message["id"]] = message
                self.heard.notify_all()

    def send(self, method, params, number=None):
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        if number is not None:
            message["id"] = number
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def call(self, method, **params):
        self._last += 1
        number = self._last
        self.send(method, params, number)
        async with self.heard:
            await asyncio.wait_for(
                self.heard.wait_for(lambda: number in self._answers), ANSWER_SECONDS
            )
        return self._answers[number]

    async def begin(self, cwd, servers=(), load=None):
        await self.call("initialize", protocolVersion=1)
        params = {"cwd": str(cwd), "mcpServers": list(servers)}
        if load:
            self.session_id = load
            return await self.call("session/load", sessionId=load, **params)
        answer = await self.call("session/new", **params)
        self.session_id = answer.get("result", {}).get("sessionId")
        return answer

    async def prompt(self, text):
        blocks = [{"type": "text", "text": text}]
        return await self.call("session/prompt", sessionId=self.session_id, prompt=blocks)

    def texts(self, kind="agent_message_chunk"):
        return [
            each["content"]["text"].strip()
            for each in self.updates
            if each["sessionUpdate"] == kind
        ]

    def results(self):
        return [
            (each["status"], each["content"][0]["content"]["text"].strip())
            for each in self.updates
            if each.get("status") in ("completed", "failed")
        ]

    async def until(self, condition):
        async with self.heard:
            await asyncio.wait_for(self.heard.wait_for(condition), ANSWER_SECONDS)

    async def kill(self):
        self.process.kill()
        await self.close()

    async def close(self):
        if self.process.returncode is None:
            self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), ANSWER_SECONDS)
        await self._reading


class Stage:
    """Where runtimes play: a workspace, a state directory, a script."""

    def __init__(self, folder):
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.script = folder / "script.yaml"
        self.state = folder / "state"
        self.running = []

    def plays(self, text):
        """Steps alone are one handler for everything."""
        text = textwrap.dedent(text)
        if not text.lstrip().startswith("version"):
            text = "version: 1\non:\n  - do:\n" + textwrap.indent(text, "      ")
        self.script.write_text(text)
        return self

    async def process(self, **env):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "sidecar.scripted"),
            cwd=self.workspace,
            env={
                **os.environ,
                "X1_SCRIPT": str(self.script),
                "X1_SCRIPT_STATE": str(self.state),
                **env,
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        runtime = Runtime(process)
        self.running.append(runtime)
        return runtime

    async def runtime(self, servers=(), load=None, **env):
        runtime = await self.process(**env)
        answer = await runtime.begin(self.workspace, servers, load)
        assert "result" in answer, answer
        return runtime


@pytest.fixture
async def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    for runtime in stage.running:
        if runtime.process.returncode is None:
            await runtime.close()


class Toolbox:
    """A real MCP server; `tools` are functions by name, `calls` what was asked."""

    def __init__(self, tools, keyed=()):
        self.tools = tools
        self.keyed = keyed
        self.calls = []
        self.entry = None

    async def list_tools(self, _, __):
        return types.ListToolsResult(
            tools=[
                types.Tool(name=name, description=name, input_schema=self._schema(name))
                for name in self.tools
            ]
        )

    def _schema(self, name):
        properties = {"idempotency_key": {"type": "string"}} if name in self.keyed else {}
        return {"type": "object", "properties": properties}

    async def call_tool(self, _, params):
        arguments = dict(params.arguments or {})
        key = arguments.pop("idempotency_key", None)
        self.calls.append((params.name, arguments, key))
        answer = self.tools[params.name](**arguments)
        if asyncio.iscoroutine(answer):
            answer = await answer
        is_error = isinstance(answer, Exception)
        text = str(answer) if is_error else json.dumps(answer)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], is_error=is_error
        )


@pytest.fixture
def serving():
    @asynccontextmanager
    async def serve(tools, keyed=()):
        toolbox = Toolbox(tools, keyed)
        server = Server("x1", on_list_tools=toolbox.list_tools, on_call_tool=toolbox.call_tool)
        manager = StreamableHTTPSessionManager(server)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            web = uvicorn.Server(
                uvicorn.Config(manager.asgi_app, log_config=None, lifespan="off", ws="none")
            )
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
            headers = [{"name": "Authorization", "value": "Bearer b"}]
            toolbox.entry = {"type": "http", "name": "x1", "url": url, "headers": headers}
            async with manager.run():
                running = asyncio.ensure_future(web.serve(sockets=[listener]))
                try:
                    yield toolbox
                finally:
                    web.should_exit = True
                    await running

    return serve
