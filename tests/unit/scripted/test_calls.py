"""Tools, called at a real MCP server with the official client."""

import asyncio
import json

import pytest

pytestmark = pytest.mark.real


def wake(text, wake_id):
    return (
        f"{text}\n\n```json\n{json.dumps({'wake_id': wake_id, 'kind': 'user', 'attempt': 1})}\n```"
    )


async def test_a_tool_gets_values_of_earlier_results_and_of_the_wake(stage, serving):
    stage.plays("""
        - call: find
          with: {what: "${wake.text}", deep: {n: "${1 + 1}"}}
          as: found
        - call: take
          with: {ids: "${found.ids}"}
        - say: "took ${found.ids | join('+')}"
    """)
    tools = {"find": lambda what, deep: {"ids": [1, deep["n"]]}, "take": lambda ids: "ok"}
    async with serving(tools) as toolbox:
        runtime = await stage.runtime([toolbox.entry])
        await runtime.prompt("pears")
        await runtime.close()
    assert [call[:2] for call in toolbox.calls] == [
        ("find", {"what": "pears", "deep": {"n": 2}}),
        ("take", {"ids": [1, 2]}),
    ]
    assert runtime.texts() == ["took 1+2"]


async def test_a_refusal_is_rescued_by_its_code(stage, serving):
    stage.plays("""
        - call: claim
          rescue:
            - if: error.code == 'item_claimed'
              then: [{say: "taken, line ${error.line}"}]
              else: [{fail: "${error.message}"}]
        - say: went on
    """)
    async with serving({"claim": lambda: RuntimeError("item_claimed: by session 7")}) as toolbox:
        runtime = await stage.runtime([toolbox.entry])
        await runtime.prompt("go")
        await runtime.close()
    assert runtime.texts() == ["taken, line 5", "went on"]


async def test_a_refusal_without_rescue_fails_the_turn_with_the_tools_words(stage, serving):
    stage.plays("- call: claim\n")
    async with serving({"claim": lambda: RuntimeError("item_claimed: by session 7")}) as toolbox:
        runtime = await stage.runtime([toolbox.entry])
        error = (await runtime.prompt("go"))["error"]
        await runtime.close()
    assert error["message"] == "script line 4, call: item_claimed: by session 7"
    assert error["data"]["code"] == "item_claimed"


async def test_a_tool_that_is_not_offered_is_named_with_those_that_are(stage, serving):
    stage.plays("- call: merge_branch\n")
    async with serving({"a": lambda: 1, "b": lambda: 1}) as toolbox:
        runtime = await stage.runtime([toolbox.entry])
        error = (await runtime.prompt("go"))["error"]
        await runtime.close()
    assert error["message"].endswith("no tool 'merge_branch' is offered; there are: a, b")


async def test_a_server_that_is_away_fails_the_step_and_not_the_runtime(stage, serving):
    stage.plays("- call: a\n  rescue: [{say: 'away: ${error.code}'}]\n")
    async with serving({"a": lambda: 1}) as toolbox:
        pass
    runtime = await stage.runtime([toolbox.entry])
    answer = await runtime.prompt("go")
    assert answer["result"]["stopReason"] == "end_turn"
    assert runtime.texts() == ["away: unreachable"]


async def test_a_call_repeated_after_a_kill_carries_the_same_key_and_equal_calls_do_not(
    stage, serving
):
    stage.plays("""
        - for: each
          in: [1, 2]
          do:
            - call: spawn
              with: {name: same}
    """)
    hanging = asyncio.Event()

    async def spawn(name):
        if len(toolbox.calls) == 2:
            await hanging.wait()
        return name

    async with serving({"spawn": spawn}, keyed=("spawn",)) as toolbox:
        runtime = await stage.runtime([toolbox.entry])
        prompting = asyncio.ensure_future(runtime.prompt(wake("go", "w1")))
        async with asyncio.timeout(60):
            while len(toolbox.calls) < 2:
                await asyncio.sleep(0.02)
        prompting.cancel()
        await runtime.kill()
        hanging.set()
        again = await stage.runtime([toolbox.entry], load=runtime.session_id)
        assert "result" in await again.prompt(wake("go", "w1"))
        await again.close()
    first, second, repeated = (key for _, _, key in toolbox.calls)
    assert first != second
    assert second == repeated


async def test_end_tells_the_platform_and_tells_it_again_when_it_is_asked_again(stage, serving):
    stage.plays("- end: all done\n  outcome: good\n- say: never\n")
    async with serving({"end_session": lambda summary, outcome: "ok"}) as toolbox:
        runtime = await stage.runtime([toolbox.entry])
        await runtime.prompt(wake("go", "w1"))
        await runtime.kill()
        again = await stage.runtime([toolbox.entry], load=runtime.session_id)
        await again.prompt(wake("go", "w1"))
        await again.close()
    told = ("end_session", {"summary": "all done", "outcome": "good"}, None)
    assert toolbox.calls == [told, told]
    assert "never" not in runtime.texts() + again.texts()
