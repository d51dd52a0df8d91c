"""The language: expressions, branches, loops, routines, rescue, files, wakes."""

import json
from datetime import UTC, datetime

import pytest

from sidecar.domain.ids import SessionId, WakeId
from sidecar.domain.wake import Wake, WakeKind, prompt
from sidecar.scripted.errors import StepFailed
from sidecar.scripted.expressions import Template
from sidecar.scripted.prompts import prompt_of


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("${a}", [1, 2]),
        ("a is ${a}", "a is [1, 2]"),
        ("${a | map('string') | join('-')}", "1-2"),
        ("${{'k': a[0]}['k']}", 1),
        ("${'}'}", "}"),
        ("$${a} costs $5", "${a} costs $5"),
        ("${d.items}", "mine"),
        ("${'x @ abc' | find('@ ([a-z]+)')}", "abc"),
        ("${'---\\nb: 1\\n---\\nbody' | front_matter}", {"b": 1}),
        ("${'[1]' | from_json}", [1]),
        ("", ""),
    ],
)
def test_a_template_alone_keeps_its_type_and_within_text_becomes_text(source, value):
    assert Template(source).value({"a": [1, 2], "d": {"items": "mine"}}) == value


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("${nothing}", "'nothing' is undefined"),
        ("${d.none.more}", "has no attribute 'none'"),
        ("${1 / 0}", "division by zero"),
        ("${d.__class__.__mro__}", "has no attribute '__class__'"),
        ("${''.__class__.__mro__}", "unsafe"),
        ("${range(10 ** 9) | list}", "Range too big"),
        ("${'a' | from_json}", "Expecting value"),
    ],
)
def test_what_an_expression_cannot_do_is_said(source, said):
    with pytest.raises(StepFailed, match=r"^\$\{") as caught:
        Template(source).value({"d": {}})
    assert said in str(caught.value)


def test_values_are_quoted_for_the_shell_unless_the_author_vouches_for_them():
    names = {"x": "a b; rm", "n": 3}
    assert Template("echo ${x} ${n} ${x | raw}").command(names) == "echo 'a b; rm' 3 a b; rm"


def record(**fields):
    return f"\n\n```json\n{json.dumps(fields)}\n```"


def test_a_prompt_without_a_record_is_one_wake_of_kind_user():
    prompt = prompt_of("hello")
    assert not prompt.is_named
    assert [(wake.kind, wake.text) for wake in prompt.wakes] == [("user", "hello")]


def test_each_wake_of_a_prompt_has_its_text_its_sender_and_its_payload():
    first = "Message from hirer-app:\nready" + record(
        wake_id="w1", kind="message", from_session_id="s1", attempt=2
    )
    second = "it serves" + record(wake_id="w2", kind="preview", payload={"status": "ready"})
    prompt = prompt_of(f"Your previous turn was cut.\n\n{first}\n\n---\n\n{second}")
    assert prompt.identity == "w1+w2"
    one, two = prompt.wakes
    assert (one.sender, one.text, one.from_session_id, one.attempt) == (
        "hirer-app",
        "ready",
        "s1",
        2,
    )
    assert (two.kind, two.payload) == ("preview", {"status": "ready"})


def test_a_wake_that_comes_again_after_a_crash_reads_as_it_did_before():
    sent = Wake(
        id=WakeId("w1"),
        session_id=SessionId("s"),
        kind=WakeKind.MESSAGE,
        text="ready",
        sender="hirer-app",
        created_at=datetime.now(UTC),
    )
    before, again = prompt_of(prompt((sent,))), prompt_of(prompt((sent,), interrupted=True))
    assert again == before
    assert (again.wakes[0].sender, again.wakes[0].text) == ("hirer-app", "ready")


def test_dashes_in_a_text_do_not_end_its_wake():
    text = "a\n\n---\n\nb"
    assert prompt_of(text + record(wake_id="w1")).wakes[0].text == text


def wake(text, wake_id="w", **fields):
    return text + record(wake_id=wake_id, **fields)


async def test_the_first_handler_that_fits_plays_the_wake(stage):
    stage.plays("""
        version: 1
        vars: {mine: s1}
        on:
          - when: {kind: message, text: ready, if: wake.from_session_id == mine}
            do: [{say: mine}]
          - when: {kind: preview, payload: {preview.status: ready}}
            do: [{say: serves}]
          - when: {sender: bob}
            do: [{say: bob}]
          - when: {matches: '^a+$'}
            do: [{say: as}]
    """)
    runtime = await stage.runtime()
    await runtime.prompt(wake("is ready", "1", kind="message", from_session_id="s1"))
    await runtime.prompt(wake("x", "2", kind="preview", payload={"preview": {"status": "ready"}}))
    await runtime.prompt("Message from bob:\n" + wake("hi", "3", kind="message"))
    await runtime.prompt(wake("aaa", "4"))
    await runtime.prompt(wake("is ready", "5", kind="message", from_session_id="s2"))
    assert runtime.texts()[:4] == ["mine", "serves", "bob", "as"]
    assert runtime.texts()[4].startswith("No handler of the script fits this message")


async def test_routines_loops_and_done(stage):
    stage.plays(
        """
        version: 1
        vars: {n: 0}
        on:
          - do:
              - while: n < 3
                do: [{play: count}]
              - for: each
                in: [a, b]
                do:
                  - if: each == 'b'
                    then: [{done: "at ${each}"}]
              - say: never
        routines:
          count: [{set: {n: "${n + 1}"}}, {say: "n ${n}"}]
    """.replace("in: [a, b]", "in: \"['a', 'b']\"")
    )
    runtime = await stage.runtime()
    await runtime.prompt("go")
    assert runtime.texts() == ["n 1", "n 2", "n 3", "at b"]


async def test_routines_that_play_each_other_without_end_are_stopped(stage):
    stage.plays("""
        version: 1
        on: [{do: [{play: a}]}]
        routines: {a: [{play: b}], b: [{play: a}]}
    """)
    runtime = await stage.runtime()
    assert "without end" in (await runtime.prompt("go"))["error"]["message"]


async def test_files_are_written_edited_and_read(stage):
    stage.plays("""
        - write: repo/a.txt
          content: "one ${wake.text}\\n"
        - write: repo/b.txt
          verbatim: "${as it stands}\\n"
        - edit: a.txt
          in: repo
          find: one
          replace: two
        - read: repo/a.txt
          as: a
        - say: ${a}
    """)
    runtime = await stage.runtime()
    await runtime.prompt("x")
    assert runtime.texts() == ["two x"]
    assert (stage.workspace / "repo/b.txt").read_text() == "${as it stands}\n"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("- read: none\n  as: x\n", "script line 4, read: none cannot be read"),
        ("- edit: a\n  find: zebra\n  replace: y\n", "expected once in a, found nowhere: 'zebra'"),
        ("- edit: a\n  find: n\n  replace: y\n", "expected once in a, found 2 times: 'n'"),
        ("- read: a\n  as: x\n  format: json\n", "a is not json"),
        ("- read: bad.yaml\n  as: x\n  format: yaml\n", "bad.yaml is not yaml"),
        ("- read: ../secret\n  as: x\n", "../secret leads out of the workspace"),
        ("- read: link/secret\n  as: x\n", "link/secret leads out of the workspace"),
        ("- write: /etc/x\n  content: y\n", "/etc/x leads out of the workspace"),
        ("- run: ls\n  in: nowhere\n", "there is no directory 'nowhere'"),
        ("- fail: because ${wake.text}\n", "script line 4, fail: because go"),
        ("- say: ${nope}\n", "script line 4, say: ${nope}: 'nope' is undefined"),
        (
            "- for: x\n  in: \"'text'\"\n  do: []\n",
            "script line 4, for: `in` needs a list, came 'text'",
        ),
    ],
)
async def test_a_step_that_cannot_be_done_says_why_and_where(stage, step, said):
    (stage.workspace / "a").write_text("nn")
    (stage.workspace / "bad.yaml").write_text("a: [")
    (stage.workspace.parent / "secret").write_text("s")
    (stage.workspace / "link").symlink_to("..")
    runtime = await stage.plays(step).runtime()
    assert said in (await runtime.prompt("go"))["error"]["message"]


async def test_an_edit_that_was_made_already_is_left_as_it_is(stage):
    (stage.workspace / "a").write_text("x = 1\n")
    stage.plays("""
        - edit: a
          find: "x = 1\\n"
          replace: "x = 1\\ny = 2\\n"
    """)
    runtime = await stage.runtime()
    await runtime.prompt("one")
    await runtime.prompt("two")
    assert (stage.workspace / "a").read_text() == "x = 1\ny = 2\n"
