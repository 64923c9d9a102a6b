"""Programs: ready or an error that says why, and nothing left of them, however their owner goes."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from labkit.loopback import Program, ProgramError, folder, listening

pytestmark = pytest.mark.live
LONG = 30                   # s a test waits for what must come
LISTEN = "import socket; s = socket.create_server(('127.0.0.1', {})); print('port', s.getsockname()[1], flush=True); "
SLEEP = "import time; time.sleep(600)"


def python(code):
    return [sys.executable, "-c", code]


def alive(text):
    """Processes whose command line has `text`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if text in " ".join(process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def becomes(true):
    end = time.monotonic() + LONG
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


@pytest.fixture
def homes(tmp_path, monkeypatch):
    """Where programs have their folders in this test."""
    monkeypatch.setattr("labkit.loopback.programs.tempfile.mkdtemp", lambda prefix, dir: _folder(tmp_path))
    return tmp_path


def _folder(base):
    path = base / f"home-{len(list(base.iterdir()))}"
    path.mkdir()
    return str(path)


# ------------------------------------------------------------------------------------------------ ready
def test_a_port_of_its_own_choice_is_read_from_what_it_prints():
    with Program(python(LISTEN.format(0) + SLEEP), ready=r"^port (\d+)$") as program:
        socket.create_connection(("127.0.0.1", program.port), LONG).close()


def test_half_a_line_is_not_read():
    code = ("import os, time; print('port 12', end='', flush=True)\n"
            "while not os.path.exists('go'): time.sleep(0.01)\n"
            "print('345', flush=True); " + SLEEP)
    looks = []

    def seen(program):
        if program.output:
            looks.append(program._is(r"port (\d+)"))
            (program.home / "go").touch()
        return "345" in program.output

    with Program(python(code), ready=seen) as program:
        assert looks[0] is False
        program.wait_until(r"port (\d+)")
        assert program.port == 12345


def test_a_port_given_to_it_answers_when_it_is_ready():
    with Program(lambda it: python(LISTEN.format(it.port) + SLEEP), ready=listening) as program:
        socket.create_connection(("127.0.0.1", program.port), LONG).close()


def test_the_command_prepares_its_folder():
    def command(it):
        (it.home / "settings").write_text("seven")
        return python(f"print(open('settings').read(), flush=True); {SLEEP}")

    with Program(command, ready="^seven$") as program:
        assert program.log == "seven"


def test_several_start_side_by_side_and_are_waited_for_afterwards():
    programs = [Program(python(f"print({i}, flush=True); {SLEEP}")) for i in range(3)]
    for i, program in enumerate(programs):
        with program:
            program.wait_until(f"^{i}$")


# ------------------------------------------------------------------------------------------------ not ready
@pytest.mark.parametrize("ready", [listening, "^port", lambda program: False], ids=["its port", "a line", "a function"])
def test_a_program_that_ends_before_it_is_ready_is_an_error_at_once_with_its_last_lines(homes, ready):
    code = "import sys; print(*range(100), sep='\\n'); print('no room', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ProgramError, match=r"(?s) ended with code 3; it says: .*99.*no room") as error:
        Program(python(code), ready=ready, patience=LONG)       # if it waited, it would say so
    assert error.value.log.splitlines()[:2] == ["0", "1"]
    assert "\n90\n" not in str(error.value)
    assert isinstance(error.value, RuntimeError)
    assert list(homes.iterdir()) == []


def test_a_dead_program_is_not_ready_though_somebody_answers_at_its_port():
    with (socket.create_server(("127.0.0.1", 0)) as other,
          Program(python("print('in use'); raise SystemExit(1)")) as program):
        program.port = other.getsockname()[1]
        program.process.wait(LONG)
        with pytest.raises(ProgramError, match="ended with code 1; it says: in use"):
            program.wait_until(listening)


def test_a_command_that_is_not_there_is_an_error_that_names_it(homes):
    with pytest.raises(ProgramError, match="no-such-program ended with code 127; .*not found"):
        Program(["no-such-program"], ready=listening, patience=1e6)
    assert list(homes.iterdir()) == []


def test_a_program_that_is_never_ready_is_an_error_and_nothing_of_it_stays(homes):
    with pytest.raises(ProgramError, match=r" was not ready within 0.5 s; it says: still thinking 985.5"):
        Program(python(f"print('still thinking', 985.5, flush=True); {SLEEP}"), ready=lambda it: False if
                "985.5" not in it.output else _run_out(it), patience=0.5)
    assert becomes(lambda: not alive("985.5"))
    assert list(homes.iterdir()) == []


def _run_out(program):
    """Not ready, and by then patience is over."""
    time.sleep(0.6)
    return False


def test_an_error_in_between_leaves_nothing(homes):
    def broken(program):
        raise ZeroDivisionError

    for failing in (lambda: Program(broken), lambda: Program(python(f"983.5; {SLEEP}"), ready=broken),
                    lambda: Program(python(SLEEP), environment={"A": 1})):
        with pytest.raises((ZeroDivisionError, TypeError)):
            failing()
        assert list(homes.iterdir()) == []
    assert becomes(lambda: not alive("983.5"))


# ------------------------------------------------------------------------------------------------ leaving no trace
FAMILY = ("import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(987.5)']); "
          "print('ready', flush=True); time.sleep(987.5)")


@pytest.mark.parametrize("deaf", ["", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "],
                         ids=["willing", "deaf to TERM"])
@pytest.mark.parametrize("end", ["KILL", "TERM"])
def test_it_its_children_and_its_folder_are_gone_after_close(end, deaf):
    with Program(python(deaf + FAMILY), ready="ready", end=end) as program:
        assert len(alive("987.5")) == 2 + 1             # its guard carries the command line too
        home = program.home
    assert program.process.returncode is not None
    assert not home.exists()
    assert becomes(lambda: not alive("987.5"))          # the children are killed by then, and die at their leisure
    program.close()


def test_term_lets_it_say_goodbye_and_kill_does_not(tmp_path):
    code = ("import signal, sys, time, pathlib\n"
            f"def bye(*_): pathlib.Path({str(tmp_path / 'bye')!r}).touch(); sys.exit()\n"
            "signal.signal(signal.SIGTERM, bye); print('ready', flush=True); time.sleep(600)")
    for end, said in (("KILL", False), ("TERM", True)):
        with Program(python(code), ready="ready", end=end):
            pass
        assert (tmp_path / "bye").exists() == said


def test_killed_it_leaves_its_output_until_it_is_closed():
    with Program(python(f"print('words', flush=True); {SLEEP}"), ready="words") as program:
        program.kill()
        assert program.process.wait(LONG) == -9
        assert program.log == "words"
        with pytest.raises(ProgramError, match="code -9"):
            program.wait_until("words")
    assert not program.home.exists()


OWNER = ("import sys, time\nfrom labkit.loopback import Program\n"
         f"with Program([sys.executable, '-c', {FAMILY.replace('987.5', '986.25')!r}], ready='ready') as program:\n"
         "    print(program.home, flush=True)\n    time.sleep(600)")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_owner_is_ended(number):
    owner = subprocess.Popen(python(OWNER), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    home = Path(owner.stdout.readline().strip())
    assert len(alive("time.sleep(986.25)")) >= 2 and home.exists()
    owner.send_signal(number)
    owner.communicate()
    assert becomes(lambda: not alive("time.sleep(986.25)"))
    assert becomes(lambda: not home.exists())


def test_nothing_is_left_when_the_owner_is_interrupted_while_it_waits():
    code = OWNER.replace("ready='ready')", "ready=lambda it: print(it.home, flush=True))").replace("986.25", "982.25")
    owner = subprocess.Popen(python(code), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    home = Path(owner.stdout.readline().strip())
    owner.send_signal(signal.SIGINT)
    owner.communicate()
    assert owner.returncode != 0
    assert becomes(lambda: not alive("time.sleep(982.25)"))
    assert not home.exists()


def test_a_forked_process_that_holds_our_end_of_the_pipe_does_not_keep_it_alive():
    with Program(python(SLEEP)) as program:
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
    try:
        assert not program.home.exists()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run a program as somebody else")
def test_it_runs_as_somebody_else():
    with Program(["sh", "-c", "id -u; sleep 600"], ready=r"^\d+$", user="nobody") as program:
        assert int(program.log) == program.home.stat().st_uid != 0


@pytest.mark.parametrize("make, message", [
    (lambda: Program(["true"], end="HUP"), "Program.end = 'HUP': must be one of 'INT', 'KILL', 'QUIT', 'TERM'"),
    (lambda: Program(["true"], patience=0), "Program.patience = 0: must be a number > 0"),
])
def test_bad_input(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_a_folder_belongs_to_its_owner_alone():
    home = folder()
    try:
        assert home.stat().st_mode & 0o077 == 0
    finally:
        home.rmdir()
