"""The loopback server through the official MCP client."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest
from mcp.client.session import ClientSession
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

from sidecar.pod.mcp.messages import Status
from sidecar.pod.mcp.tool import key_of


@asynccontextmanager
async def client_of(activation):
    server = activation.mcp_entry
    headers = {each["name"]: each["value"] for each in server["headers"]}
    async with (
        create_mcp_http_client(headers=headers) as http,
        streamable_http_client(server["url"], http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        yield session


async def test_a_session_sees_the_tools_the_relay_allows_and_no_other(stage):
    async with stage.activation() as activation, client_of(activation) as mcp:
        names = {tool.name for tool in (await mcp.list_tools()).tools}
        await activation.leave("test over")
    assert {"spawn_session", "message_caller", "preview_deploy"} <= names
    assert "merge_branch" not in names


async def test_a_call_reaches_the_relay_with_an_idempotency_key(stage):
    async with stage.activation() as activation, client_of(activation) as mcp:
        answer = await mcp.call_tool("spawn_session", {"child_agent_id": "x", "brief": "go"})
        await activation.leave("test over")
    assert json.loads(answer.content[0].text)["session_id"] == "child-1"
    headers = next(
        h for m, p, _, h in stage.relay.calls if (m, p) == ("POST", "/internal/sessions")
    )
    assert headers["idempotency-key"].startswith("spawn_session:")
    assert headers["authorization"] in ("Bearer first-token", "Bearer renewed-token")


async def test_a_refusal_is_a_tool_error_that_starts_with_its_code(stage):
    stage.relay.refuse["/internal/sessions"] = (403, "grant_missing")
    async with stage.activation() as activation, client_of(activation) as mcp:
        answer = await mcp.call_tool("spawn_session", {"child_agent_id": "x"})
        await activation.leave("test over")
    assert answer.is_error
    assert answer.content[0].text.startswith("grant_missing: ")


async def test_bad_arguments_are_all_named_at_once(stage):
    async with stage.activation() as activation, client_of(activation) as mcp:
        answer = await mcp.call_tool("preview_deploy", {"repo": "no", "commit_sha": "x", "more": 1})
        await activation.leave("test over")
    text = answer.content[0].text
    assert answer.is_error
    assert text.startswith("invalid_arguments: ")
    assert all(name in text for name in ("repo", "branch", "commit_sha", "more"))


async def test_an_absent_relay_holds_a_call_back_and_then_says_so(stage, monkeypatch):
    monkeypatch.setattr("sidecar.client.relay.EFFECT_PATIENCE_SECONDS", 0.3)
    stage.relay.refuse["/internal/costs"] = (503, "relay_unavailable")
    async with stage.activation() as activation, client_of(activation) as mcp:
        answer = await mcp.call_tool("get_cost", {})
        del stage.relay.refuse["/internal/costs"]
        later = await mcp.call_tool("get_cost", {})
        await activation.leave("test over")
    assert answer.content[0].text.startswith("relay_unavailable: ")
    assert not later.is_error


@pytest.mark.parametrize("bearer", ["", "Bearer wrong", "Bearer first-token"])
async def test_nobody_without_the_bearer_is_let_in(stage, bearer):
    async with stage.activation() as activation:
        async with httpx.AsyncClient() as http:
            url = activation.mcp_entry["url"]
            answer = await http.post(url, json={}, headers={"authorization": bearer})
        await activation.leave("test over")
    assert answer.status_code == 401


def test_equal_calls_of_one_turn_have_different_keys_and_repeat_after_a_crash():
    call = Status(status="building")
    ordinals: dict[str, int] = {}
    first = key_of(wake_id="w", tool="emit_status", arguments=call, ordinals=ordinals)
    second = key_of(wake_id="w", tool="emit_status", arguments=call, ordinals=ordinals)
    again = key_of(wake_id="w", tool="emit_status", arguments=call, ordinals={})
    assert first == again != second
