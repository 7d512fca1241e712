"""Scripts in forks of a server behave as if Python had been started for each."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from connectomake.forking.fork import ExitStatus
from connectomake.forking.server import Server


@pytest.fixture(scope="module")
def server() -> Server:
    return Server("connectomake.preload")


def run(server: Server, tmp_path: Path, text: str, name: str = "script.py") -> ExitStatus:
    path = tmp_path / name
    path.write_text(text)
    return server.run(str(path))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit()", 0),
        ("import sys; sys.exit('no')", 1),
        ("raise ValueError", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("if __name__ != '__main__': raise SystemExit(9)", 0),
    ],
)
def test_exit_codes(server: Server, tmp_path: Path, text: str, code: int) -> None:
    assert run(server, tmp_path, text).code == code


def test_folder_environment_and_process_are_the_scripts_own(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOME_VALUE", "of today")
    text = "import os; open('out', 'w').write(f\"{os.getcwd()} {os.environ['SOME_VALUE']} {os.getpid()}\")"
    pids = set()
    for _ in range(2):
        assert run(server, tmp_path, text).code == 0
        words = (tmp_path / "out").read_text().split()
        assert words[:-1] == [str(tmp_path), "of", "today"]
        pids.add(int(words[-1]))
    assert len(pids - {os.getpid()}) == 2


def test_scripts_do_not_see_each_other(server: Server, tmp_path: Path) -> None:
    assert run(server, tmp_path, "import connectomake; connectomake.left_behind = 1").code == 0
    assert run(server, tmp_path, "import connectomake, sys; sys.exit(hasattr(connectomake, 'left_behind'))").code == 0


def test_many_at_once(server: Server, tmp_path: Path) -> None:
    def one(i: int) -> int:
        return run(server, tmp_path, f"import time, sys; time.sleep(.2); sys.exit({i})", f"{i}.py").code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == list(range(24))


def test_what_the_kernel_measured(server: Server, tmp_path: Path) -> None:
    text = "import time\nheld = bytearray(300 << 20)\nbegan = time.process_time()\nwhile time.process_time() < began + .3: pass"
    ended, idle = run(server, tmp_path, text), run(server, tmp_path, "import time; time.sleep(.3)")
    assert 0.3 <= ended.cpu_s < 3
    assert idle.cpu_s < 0.3
    assert ended.rss_mb > 300 + idle.rss_mb / 2
    assert 0 < idle.inherited_mb <= idle.rss_mb, "what the server held is not the script's own"
    assert 300 < ended.rss_mb - ended.inherited_mb < ended.rss_mb
    assert ended.read_mb >= 0
    assert ended.written_mb >= 0


HEAD = """
import sys
from connectomake.forking.server import Server
Server().run(sys.argv[1])
"""


@pytest.mark.slow
def test_the_server_ends_with_its_head_however_that_ends(tmp_path: Path) -> None:
    script = tmp_path / "sleep.py"
    script.write_text("import time; print('runs', flush=True); time.sleep(3)")
    head = subprocess.Popen([sys.executable, "-c", HEAD, str(script)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert head.stdout is not None
    assert head.stdout.readline() == "runs\n"
    servers = children(head.pid)
    assert servers
    head.send_signal(signal.SIGKILL)
    head.wait()
    wait_for(lambda: not any(alive(p) for p in servers))


def wait_for(condition: Any, seconds: int = 1800) -> None:
    """Wait for an event; a limit only so that a broken program ends."""
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(p) for task in tasks for p in task.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False


def servers() -> list[int]:
    return [p for p in children(os.getpid()) if b"connectomake.forking.serve" in Path(f"/proc/{p}/cmdline").read_bytes()]


def test_a_server_that_died_is_started_again(tmp_path: Path) -> None:
    server, others = Server(), set(servers())
    assert run(server, tmp_path, "pass").code == 0
    (first,) = set(servers()) - others
    os.kill(first, signal.SIGKILL)
    assert run(server, tmp_path, "import sys; sys.exit(3)").code == 3
    (second,) = set(servers()) - others
    assert second != first
    assert run(server, tmp_path, "pass").code == 0
    assert set(servers()) - others == {second}, "and only once"


@pytest.mark.slow
def test_scripts_that_ran_when_it_died_are_run_again(tmp_path: Path) -> None:
    """All at once, in one new server."""
    server, others, gate = Server(), set(servers()), tmp_path / "gate"
    text = f"""
import time
from pathlib import Path
Path(f"{{Path(__file__).stem}}.began").touch()
while not Path({str(gate)!r}).exists():
    time.sleep(.01)
"""
    names = [str(tmp_path / f"{i}.py") for i in range(4)]
    for name in names:
        Path(name).write_text(text.replace("{Path(__file__).stem}", name))
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.run, name) for name in names]
        while not all(Path(f"{name}.began").exists() for name in names):
            time.sleep(0.01)
        (first,) = set(servers()) - others
        os.kill(first, signal.SIGKILL)
        gate.touch()
        assert [a.result().code for a in asked] == [0] * 4
    assert len(set(servers()) - others) == 1


@pytest.mark.slow
def test_a_script_that_kills_its_server_is_an_error_not_a_hang(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        run(Server(), tmp_path, "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
