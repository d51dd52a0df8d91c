"""An ACP agent whose prompts are its program: lines of `do:` words inside the wake's text. Keeps its history."""
# A stranger's program, short on purpose.
# ruff: noqa: C901, PLR0912, PTH110, PTH118, PTH123, SIM115, T201

import json
import os
import sys
import time
import urllib.request

STATE = os.path.join(os.environ["HOME"], "fake-agent.jsonl")
servers = []


def out(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def update(session, **fields):
    out({"method": "session/update", "params": {"sessionId": session, "update": fields}})


def say(session, text):
    update(session, sessionUpdate="agent_message_chunk", content={"type": "text", "text": text})


def remember(text):
    with open(STATE, "a") as file:
        file.write(json.dumps(text) + "\n")


def call_tool(name, arguments):
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }
    base = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    base |= {h["name"]: h["value"] for h in servers[0]["headers"]}

    def post(payload, extra):
        request = urllib.request.Request(
            servers[0]["url"], json.dumps(payload).encode(), base | extra
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode(), answer.headers

    hello = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "fake", "version": "1"},
        },
    }
    _, headers = post(hello, {})
    extra = {"mcp-session-id": headers["mcp-session-id"], "mcp-protocol-version": "2025-06-18"}
    post({"jsonrpc": "2.0", "method": "notifications/initialized"}, extra)
    text, _ = post(body, extra)
    data = next(
        line[5:] for line in text.splitlines() if line.startswith("data:") and line[5:].strip()
    )
    return json.loads(data)["result"]


def do(session, word):
    name, _, rest = word.partition(" ")
    if name == "say":
        say(session, rest)
    elif name == "env":
        say(session, json.dumps(dict(os.environ)))
    elif name == "die":
        os._exit(3)
    elif name == "die-once":
        if not os.path.exists(STATE + ".died"):
            open(STATE + ".died", "w").close()
            os._exit(3)
    elif name == "garbage":
        print("this is no protocol", flush=True)
    elif name == "flood":
        for number in range(int(rest)):
            say(session, f"{number} ")
    elif name == "tool":
        tool, _, arguments = rest.partition(" ")
        update(
            session,
            sessionUpdate="tool_call",
            toolCallId="t1",
            title=tool,
            rawInput={"a": 1},
            status="pending",
        )
        result = call_tool(tool, json.loads(arguments or "{}"))
        text = result["content"][0]["text"]
        update(
            session,
            sessionUpdate="tool_call_update",
            toolCallId="t1",
            status="failed" if result.get("isError") else "completed",
            rawOutput=text,
        )
    elif name == "orphan":
        if os.fork() == 0:
            os.setsid()
            for descriptor in (0, 1, 2):
                os.close(descriptor)
            with open(os.path.join(os.environ["HOME"], "orphan.pid"), "w") as file:
                file.write(str(os.getpid()))
            time.sleep(600)
            os._exit(0)
    elif name == "hang":
        time.sleep(600)


for line in sys.stdin:
    message = json.loads(line)
    method, params, number = message.get("method"), message.get("params", {}), message.get("id")
    if method == "initialize":
        capabilities = {"loadSession": True, "mcpCapabilities": {"http": True}}
        out(
            {
                "id": number,
                "result": {
                    "protocolVersion": 1,
                    "agentCapabilities": capabilities,
                    "agentInfo": {"version": "9"},
                },
            }
        )
    elif method in ("session/new", "session/load"):
        servers[:] = params["mcpServers"]
        if method == "session/load" and os.path.exists(STATE):
            for kept in open(STATE):
                content = {"type": "text", "text": json.loads(kept)}
                update("s1", sessionUpdate="user_message_chunk", content=content)
        out({"id": number, "result": {"sessionId": "s1"}})
    elif method == "session/prompt":
        text = params["prompt"][0]["text"]
        remember(text)
        for word in text.splitlines():
            if word.startswith("do: "):
                do("s1", word[4:])
        out(
            {
                "id": number,
                "result": {
                    "stopReason": "end_turn",
                    "usage": {"inputTokens": 10, "outputTokens": 2},
                },
            }
        )
    elif number is not None:
        out({"id": number, "error": {"code": -32601, "message": "no"}})
