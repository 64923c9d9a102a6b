"""However a test run ends, its JupyterLab, its kernels with what they started, Chromium and playwright end too."""

import signal
import sys
import uuid

import psutil
import pytest

from labkit.loopback import Program
from tests.browser.harness import ROOT, becomes

MARK = "LABKIT_TEST_RUN"
# A run like ours, caught in the middle of a notebook that has an engine and a cell that never ends.
RUN = """
from tests.browser import harness
CODE = '''
from labkit.inference import engine
e = engine.start("twin")
while True:
    pass
'''

def test_caught(lab, browser):
    page = harness.open_page(browser, lab, "00_start_here.ipynb")
    page.evaluate("code => { %s.requestExecute({code}); return null; }" % harness.KERNEL, CODE)
    page.wait_for_function("() => false")
"""
COMMAND = [sys.executable, "-m", "pytest", "-n", "1", "-p", "tests.conftest", "-p", "tests.browser.conftest",
           "-p", "no:cacheprovider"]
WHAT = ("exec(eval(sys.stdin", "jupyterlab", "ipykernel", "twin", "playwright", "chrom")


def alive(mark):
    """The command lines of the living processes that have `mark` in their environment."""
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found


def running(mark):
    """Whether everything a run consists of is there."""
    commands = " ".join(alive(mark).values()).lower()
    return all(word in commands for word in WHAT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_stays(number, tmp_path):
    (tmp_path / "test_caught.py").write_text(RUN)
    mark = uuid.uuid4().hex
    run = Program(["env", f"{MARK}={mark}", f"PYTHONPATH={ROOT}", *COMMAND, f"--rootdir={tmp_path}", tmp_path])
    try:
        becomes(lambda: running(mark) or run.process.poll() is not None, lambda: f"not all is there: {alive(mark)}")
        assert run.process.poll() is None, run.log
        run.process.send_signal(number)
        becomes(lambda: not alive(mark), lambda: f"these stay: {alive(mark)}", limit=120)
    finally:
        run.close()
        for pid in alive(mark):
            psutil.Process(pid).kill()
