"""A forked flow run behaves like a process of its own, and nobody's death leaves it running."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pids import is_gone

SERVER = textwrap.dedent("""
    import runpy, sys
    from flows import forkserver
    forkserver.PRELOADED = ("json",)
    forkserver._read_settings_again = lambda: None
    runpy.run_module = lambda *a, **k: exec(open(__import__("os").environ["PROGRAM"]).read(), {})
    sys.argv = ["forkserver", sys.argv[1]]
    forkserver.main()
""")
CLIENT = "import os, sys; from pathlib import Path; from flows.forked import run; sys.exit(run(Path(sys.argv[1]), os.environ))"


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


DIES_AFTER_FORKING = """
    import os, signal
    forkserver._tell = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, Path]]:
    with serving(tmp_path, SERVER) as made:
        yield made


@contextmanager
def serving(tmp_path: Path, program: str) -> Iterator[tuple[subprocess.Popen, Path]]:
    path = tmp_path / "f.sock"
    with subprocess.Popen([sys.executable, "-c", program, str(path)]) as process:
        try:
            eventually(path.exists)
            yield process, path
        finally:
            process.kill()


def start(path: Path, tmp_path: Path, program: str) -> subprocess.Popen:
    script = tmp_path / "program.py"
    script.write_text(program)
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(path)],
        env=os.environ | {"PROGRAM": str(script), "MARK": "mine"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )


def pid_of(run: subprocess.Popen) -> int:
    return int(run.stdout.readline())


SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_a_run_has_its_clients_environment_directory_output_and_exit_code(server, tmp_path):
    program = "import os, sys; print(os.environ['MARK'], os.getcwd()); sys.exit(7)"
    with start(server[1], tmp_path, program) as run:
        output, _ = run.communicate(timeout=30)
    assert (run.returncode, output.split()) == (7, ["mine", str(tmp_path)])


def test_sigterm_reaches_the_run(server, tmp_path):
    program = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print(os.getpid(), flush=True)\nwhile True: time.sleep(0.05)"
    )  # one long sleep may begin right after the signal was noted, and not be cut short by it
    with start(server[1], tmp_path, program) as run:
        pid_of(run)
        run.terminate()
        assert run.wait(30) == 5


def test_a_killed_client_takes_its_run_along(server, tmp_path):
    with start(server[1], tmp_path, SLEEPS) as run:
        pid = pid_of(run)
        run.kill()
    eventually(lambda: is_gone(pid))


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\2{}"])
def test_a_client_that_hangs_up_or_says_nonsense_takes_no_run_along(server, tmp_path, sent):
    with start(server[1], tmp_path, SLEEPS) as run:
        pid = pid_of(run)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(server[1]))
            other.sendall(sent)
        with start(server[1], tmp_path, "print('served')") as another:
            assert another.communicate(timeout=60)[0] == "served\n"
        assert not is_gone(pid)
        run.kill()


def test_a_killed_server_takes_its_runs_along(server, tmp_path):
    with start(server[1], tmp_path, SLEEPS) as run:
        pid = pid_of(run)
        server[0].kill()
        assert run.wait(30) == 70
    eventually(lambda: is_gone(pid))


def test_a_server_killed_before_it_told_of_a_run_leaves_no_run(tmp_path):
    dying = SERVER.replace(
        "forkserver.main()", textwrap.dedent(DIES_AFTER_FORKING) + "forkserver.main()"
    )
    with serving(tmp_path, dying) as (_, path), start(path, tmp_path, "print('runs')") as run:
        output, _ = run.communicate(timeout=30)
    assert (run.returncode, output) == (70, "")


def test_a_killed_run_says_which_signal_ended_it(server, tmp_path):
    with start(server[1], tmp_path, SLEEPS) as run:
        os.kill(pid_of(run), signal.SIGKILL)
        assert run.wait(30) == 128 + signal.SIGKILL


def test_a_malformed_request_harms_nobody(server, tmp_path):
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(server[1]))
        stranger.sendall(b"\xff\xff\xff\xff garbage")
    with start(server[1], tmp_path, "print('fine')") as run:
        assert run.communicate(timeout=30)[0] == "fine\n"
