"""The scripted runtime as an ACP client meets it: a process, its answers, its updates, its death."""

import asyncio
import json
import time

import psutil
from pids import is_gone


def wake(text, wake_id, kind="user", **more):
    record = {"wake_id": wake_id, "kind": kind, "attempt": 1, **more}
    return f"{text}\n\n```json\n{json.dumps(record)}\n```"


async def test_initialize_is_answered_before_the_script_is_read(stage):
    stage.plays("- nonsense: 1")
    started = time.monotonic()
    answer = await (await stage.process()).call("initialize", protocolVersion=1)
    assert answer["result"]["protocolVersion"] == 1
    assert answer["result"]["agentCapabilities"]["loadSession"]
    assert time.monotonic() - started < 5


async def test_a_script_that_cannot_be_played_fails_the_session_with_every_finding(stage):
    stage.plays("- nonsense: 1\n- say: ${x\n")
    runtime = await stage.process()
    error = (await runtime.begin(stage.workspace))["error"]
    assert [each["line"] for each in error["data"]["findings"]] == [4, 5]


async def test_what_a_script_says_thinks_and_plans_is_told_in_order(stage):
    stage.plays("""
        - plan: [first, {content: second, status: in_progress}]
        - think: hm
        - say: got ${wake.text}
    """)
    runtime = await stage.runtime()
    answer = await runtime.prompt("hello")
    assert answer["result"] == {"stopReason": "end_turn"}
    kinds = [each["sessionUpdate"] for each in runtime.updates]
    assert kinds == ["plan", "agent_thought_chunk", "agent_message_chunk"]
    assert [each["status"] for each in runtime.updates[0]["entries"]] == ["pending", "in_progress"]
    assert runtime.texts() == ["got hello"]


async def test_a_command_runs_in_the_working_tree_and_tells_its_output(stage):
    (stage.workspace / "repo").mkdir()
    stage.plays("""
        - run: pwd; echo "$COLOUR"
          in: repo
          env: {COLOUR: blue}
          as: ran
        - say: ${ran.exit_code} ${ran.output}
    """)
    runtime = await stage.runtime()
    await runtime.prompt("go")
    assert runtime.results() == [("completed", f"{stage.workspace}/repo\nblue")]
    assert runtime.texts() == [f"0 {stage.workspace}/repo\nblue"]


async def test_what_a_wake_says_never_becomes_a_command(stage):
    stage.plays("- run: echo ${wake.text}")
    runtime = await stage.runtime()
    await runtime.prompt("$(touch owned); touch owned")
    assert runtime.results() == [("completed", "$(touch owned); touch owned")]
    assert not (stage.workspace / "owned").exists()


async def test_a_failing_command_fails_the_turn_and_names_its_line(stage):
    stage.plays("- say: first\n- run: echo broken >&2; exit 3\n")
    runtime = await stage.runtime()
    error = (await runtime.prompt("go"))["error"]
    assert error["message"] == "script line 5, run: exit 3: broken"
    assert error["data"] == {"code": "exit", "message": "exit 3: broken", "line": 5, "verb": "run"}


async def test_a_turn_that_failed_goes_on_at_the_failed_step_when_it_is_prompted_again(stage):
    stage.plays("- run: echo once >> log\n- run: test -e ready\n- say: through\n")
    runtime = await stage.runtime()
    assert "error" in await runtime.prompt(wake("go", "w1"))
    (stage.workspace / "ready").touch()
    assert "result" in await runtime.prompt(wake("go", "w1"))
    assert (stage.workspace / "log").read_text() == "once\n"
    assert runtime.texts() == ["through"]


async def test_a_kill_in_the_middle_of_a_step_costs_that_step_alone(stage):
    stage.plays("""
        - run: echo a >> log; echo 7
          as: seven
        - for: each
          in: [1, 2]
          do:
            - run: echo ${each} >> log; test ${each} = 1 || test -e go || sleep 60
        - say: ${seven.output} ${each}
    """)
    runtime = await stage.runtime()
    prompting = asyncio.ensure_future(runtime.prompt(wake("go", "w1")))
    log = stage.workspace / "log"
    await _until(lambda: log.exists() and log.read_text() == "a\n1\n2\n")
    prompting.cancel()
    children = psutil.Process(runtime.process.pid).children(recursive=True)
    await runtime.kill()
    for child in children:
        child.kill()
    (stage.workspace / "go").touch()
    again = await stage.runtime(load=runtime.session_id)
    assert "result" in await again.prompt("Your previous turn was cut.\n\n" + wake("go", "w1"))
    assert log.read_text() == "a\n1\n2\n2\n"
    assert again.texts()[-1] == "7 2"


async def test_load_tells_the_conversation_again_with_what_it_was_told(stage):
    stage.plays("- say: hi\n")
    runtime = await stage.runtime()
    await runtime.prompt(wake("go", "w-77"))
    await runtime.kill()
    again = await stage.runtime(load=runtime.session_id)
    assert "w-77" in again.texts("user_message_chunk")[0]
    assert again.texts() == ["hi"]


async def test_a_turn_that_ended_is_not_played_again(stage):
    stage.plays("- run: echo x >> log\n")
    runtime = await stage.runtime()
    for _ in range(2):
        answer = await runtime.prompt(wake("go", "w1"))
        assert answer["result"]["stopReason"] == "end_turn"
    assert (stage.workspace / "log").read_text() == "x\n"


async def test_variables_outlive_turns_and_processes(stage):
    stage.plays("""
        version: 1
        vars: {n: 0}
        on:
          - do: [{set: {n: "${n + 1}"}}, {say: "${n}"}]
    """)
    runtime = await stage.runtime()
    await runtime.prompt("one")
    await runtime.prompt("two")
    await runtime.kill()
    again = await stage.runtime(load=runtime.session_id)
    await again.prompt("three")
    assert again.texts()[-1] == "3"


async def test_a_conversation_nobody_knows_cannot_be_loaded(stage):
    stage.plays("- say: hi")
    runtime = await stage.process()
    for session_id in ("00000000-0000-0000-0000-000000000000", "../../etc/passwd"):
        answer = await runtime.begin(stage.workspace, load=session_id)
        assert "no conversation" in answer["error"]["message"]


async def test_cancel_ends_the_command_and_the_turn(stage):
    stage.plays("- run: sleep 60 & echo $! > pid; wait\n")
    runtime = await stage.runtime()
    prompting = asyncio.ensure_future(runtime.prompt("go"))
    pid = stage.workspace / "pid"
    await _until(lambda: pid.exists() and pid.read_text().strip())
    runtime.send("session/cancel", {"sessionId": runtime.session_id})
    assert (await prompting)["result"]["stopReason"] == "cancelled"
    await _until(lambda: is_gone(int(pid.read_text())))
    assert runtime.results()[-1][0] == "failed"


async def test_a_closed_input_ends_the_process_and_its_command(stage):
    stage.plays("- run: echo $$ > pid; exec sleep 60\n")
    runtime = await stage.runtime()
    prompting = asyncio.ensure_future(runtime.prompt("go"))
    pid = stage.workspace / "pid"
    await _until(lambda: pid.exists() and pid.read_text().strip())
    prompting.cancel()
    await runtime.close()
    await _until(lambda: is_gone(int(pid.read_text())))


async def test_a_command_that_takes_too_long_is_ended(stage):
    stage.plays("- run: echo hm; sleep 60\n  timeout: 3\n")
    runtime = await stage.runtime()
    error = (await runtime.prompt("go"))["error"]
    assert error["message"] == "script line 4, run: took over 3 s; it said last: hm"


async def test_a_command_left_in_the_background_does_not_hold_the_turn(stage):
    stage.plays("- run: sleep 60 & echo started\n- say: next\n")
    runtime = await stage.runtime()
    async with asyncio.timeout(50):
        await runtime.prompt("go")
    assert runtime.texts() == ["next"]


async def test_an_unknown_method_and_an_unknown_session_are_answered(stage):
    stage.plays("- say: hi")
    runtime = await stage.runtime()
    assert (await runtime.call("session/fork"))["error"]["code"] == -32601
    runtime.session_id = "other"
    assert (await runtime.prompt("go"))["error"]["code"] == -32002


async def test_garbage_on_its_input_does_not_end_it(stage):
    stage.plays("- say: hi")
    runtime = await stage.runtime()
    runtime.process.stdin.write(b"garbage\n[1]\n\n")
    await runtime.prompt("go")
    assert runtime.texts() == ["hi"]


async def _until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)
