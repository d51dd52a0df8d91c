"""What is said about a script that cannot be played: every fault, at its line, before anything is played."""

import re
import textwrap
from pathlib import Path

import pytest

import sidecar.scripted
from sidecar.scripted.__main__ import main
from sidecar.scripted.errors import ScriptInvalid
from sidecar.scripted.reading import read_script
from sidecar.scripted.script import Verb

TOP = "version: 1\non:\n  - do:\n"


def faults(text):
    with pytest.raises(ScriptInvalid) as caught:
        read_script(textwrap.dedent(text))
    return [str(finding) for finding in caught.value.findings]


def fault_of(step):
    found = faults(TOP + textwrap.indent(textwrap.dedent(step).strip(), "      "))
    assert len(found) == 1, found
    return found[0].partition(": ")[2]


def test_all_faults_come_at_once_in_the_order_of_their_lines():
    found = faults("""\
        version: 2
        vars: [1]
        on:
          - when: {kind: nonsense}
            do:
              - shout: hello
              - say: ${oops
        extra: 1
    """)
    assert [each.partition(",")[0] for each in found] == [
        *("line 1", "line 2", "line 4", "line 6", "line 7", "line 8"),
    ]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("- shout: hi", "expected a step with one of say, think"),
        ("- {say: hi, run: ls}", "came with say and run"),
        ("- hello", "came 'hello'"),
        ("- say: [a]", "expected a text, came ['a']"),
        ("- say: no", "put quotes around the word"),
        ("- {say: hi, as: x}", "`say` has no `as`; there are: say"),
        ("- {call: 'a b'}", "expected a tool's name"),
        ("- call: end_session", "write `end: <summary>` instead"),
        ("- {call: x, with: [1]}", "expected with to be a mapping"),
        ("- {run: ls, timeout: 0}", "expected seconds, more than 0 and at most 3600, came 0"),
        ("- {run: ls, timeout: true}", "expected seconds"),
        ("- {run: ls, as: 1x}", "expected a name"),
        ("- {run: ls, as: wake}", "'wake' is set by the player"),
        ("- {run: ls, check: maybe}", "expected true or false"),
        ("- {run: ls, rescue: no}", "expected a list of steps, came False"),
        ("- read: x", "`read` needs `as`"),
        ("- {read: x, as: y, format: toml}", "expected text, json or yaml, came 'toml'"),
        ("- write: x", "`write` needs either `content` or `verbatim`"),
        ("- {write: x, content: a, verbatim: b}", "`write` needs either"),
        ("- {edit: x, find: a}", "`edit` needs `replace`"),
        ("- {if: x}", "`if` needs `then`"),
        ("- {if: 'x ==', then: []}", "in ${x ==}"),
        ("- {for: x, do: []}", "`for` needs `in`"),
        ("- {while: x, do: [], at_most: 0}", "expected a whole number from 1 to 1000, came 0"),
        ("- play: elsewhere", "no routine 'elsewhere'; there are: none"),
        ("- {set: {error: 1}}", "'error' is set by the player"),
        ("- wait: 4000", "expected seconds"),
        ("- plan: {a: 1}", "expected a list of entries"),
        ("- say: ${a", "without its closing brace"),
        ("- say: ${a b}", "in ${a b}"),
        ("- say: ${a | nonsense}", "nonsense"),
    ],
)
def test_each_fault_says_what_was_expected_and_what_came(step, said):
    assert said in fault_of(step)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1", "expected a list of at least one handler"),
        ("version: 1\non: [{when: {}}]", "a handler needs `do`"),
        ("version: 1\non: [{when: {matches: '('}, do: []}]", "no regular expression"),
        ("version: 1\non: [{when: {sender: 1}, do: []}]", "expected a text, came 1"),
        ("version: 1\non: [{do: [], then: []}]", "this has no `then`"),
        ("- a", "expected a script to be a mapping"),
        ("version: 1\non: [{do: []}]\nroutines: {a: 1}", "expected a list of steps, came 1"),
        ("version: 1\nversion: 1\non: []", "given twice"),
        ("a: [", "line 1"),
        ("a: &x [1]\nb: *x", "aliases are refused"),
    ],
)
def test_faults_around_the_steps_are_said_too(text, said):
    assert any(said in each for each in faults(text))


def test_the_readmes_example_can_be_played():
    readme = Path(sidecar.scripted.__file__).with_name("README.md").read_text()
    script = read_script(re.search(r"```yaml\n(.*?)```", readme, re.DOTALL)[1])
    assert [handler.name for handler in script.handlers] == ["a report", "anything else"]


def test_every_word_of_the_language_is_in_the_readme():
    readme = Path(sidecar.scripted.__file__).with_name("README.md").read_text()
    assert [verb for verb in Verb if f"`{verb}:" not in readme] == []


def test_check_judges_files_and_says_so(tmp_path, capsys):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("version: 1\non: [{do: [{say: hi}]}]")
    bad.write_text("version: 1\non: [{do: [{sing: hi}]}]")
    assert main(["check", str(good)]) == 0
    assert main(["check", str(good), str(bad)]) == 1
    assert main(["check", str(tmp_path / "none.yaml")]) == 1
    assert main(["nonsense"]) == 2
    said = capsys.readouterr()
    assert "can be played" in said.out
    assert "line 2, on[0].do[0]" in said.err
