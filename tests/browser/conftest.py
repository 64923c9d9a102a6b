"""What the browser tests share: one JupyterLab and one Chromium for all of them."""

import pytest

from tests.browser import harness


@pytest.fixture(scope="session")
def lab():
    """The URL of a JupyterLab on a copy of the notebooks."""
    with harness.jupyterlab() as url:
        yield url


@pytest.fixture(scope="session")
def browser():
    """A playwright context."""
    with harness.chromium() as context:
        yield context


@pytest.fixture(scope="session")
def tab(lab, browser):
    """A page with JupyterLab, for one notebook after the other (`harness.opened`)."""
    with harness.tab(lab, browser) as page:
        yield page


@pytest.hookimpl(tryfirst=True)         # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items):
    """All tests in this folder need the browser: `-m browser` runs them, `-m "not browser"` the rest."""
    needed = pytest.mark.skipif(harness.CHROMIUM is None, reason="no Chromium: apt-get install chromium")
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)
            item.add_marker(needed)
            if item.path.name in ("test_blink.py", "test_predictions.py"):          # they share what takes long
                item.add_marker(pytest.mark.xdist_group(item.path.stem))
