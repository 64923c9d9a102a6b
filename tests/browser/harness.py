"""A JupyterLab and a Chromium of one's own, which end with whoever started them, however that comes about.

`jupyterlab` and `chromium` are what the fixtures `lab` and `browser` give; `opened` runs one notebook in them.
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from labkit.loopback import Program
from tests import lessons, slices

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# A limit is there to end what hangs, not to judge what is slow.
LIMIT = 600.0
# As playwright starts it: nothing is slowed down because nobody looks, and nothing leaves this machine.
FLAGS = ["--headless", "--remote-debugging-port=0", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
         "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
         "--disable-renderer-backgrounding", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--disable-extensions", "--hide-scrollbars", "--mute-audio", "--password-store=basic",
         "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
SETTINGS = {"@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
            "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}
KERNEL = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
# Whether the notebook `name` is in front, with a kernel that waits for work.
READY = """
name => {
  const shown = window.jupyterapp?.shell.currentWidget;
  return shown?.context?.path === name && shown.context.isReady && shown.sessionContext.isReady
    && shown.content.widgets.length > 0 && shown.sessionContext.session?.kernel?.status === 'idle';
}
"""
# Whether each panel (a widget that comes with a picture) is on the page, with its picture.
DRAWN = """
() => jupyterapp.shell.currentWidget.content.widgets.every(cell => {
  const outputs = cell.model.sharedModel.outputs || [];
  const panels = outputs.filter(o => o.data && 'application/vnd.jupyter.widget-view+json' in o.data
                                     && 'image/png' in o.data).length;
  const pictures = [...cell.node.querySelectorAll('.jp-OutputArea .widget-html img')];
  return pictures.length >= panels && pictures.every(p => p.complete && p.naturalWidth);
})
"""
COMMAND = """
([name, arguments, limit]) => Promise.race([
  jupyterapp.commands.execute(name, arguments).then(said => typeof said === 'object' ? null : said),
  new Promise((_, fail) => setTimeout(() => fail(new Error(name + ' hangs')), limit))])
"""


def becomes(true, what, limit=LIMIT):
    """Wait until `true()`, which is returned; AssertionError with `what` after `limit` seconds."""
    end = time.monotonic() + limit
    while not (found := true()):
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.05)
    return found


def copied(home):
    """A home for JupyterLab: a copy of the notebooks, in `panels` what their panels need of them, and settings."""
    shutil.copytree(ROOT / "notebooks", home / "work", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (home / "work" / "panels").mkdir()
    for path in lessons.LESSONS:
        notebook = json.loads(path.read_text())
        notebook["cells"] = slices.for_panels(notebook["cells"])
        (home / "work" / "panels" / path.name).write_text(json.dumps(notebook))
    for name, body in SETTINGS.items():
        file = home / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body))
    return home


@contextlib.contextmanager
def jupyterlab():
    """Its URL. It works on a copy of the notebooks, with nothing of the user's configuration; the token is `lab`.

    It ends by kill -9, and its kernels within a second of it: they look at their parent.
    """
    home = copied(Path(tempfile.mkdtemp(prefix="labkit-")))
    folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "run",
               "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "spaces", "IPYTHONDIR": "ipython",
               "LABKIT_CACHE": "cache"}
    variables = os.environ | {name: str(home / folder) for name, folder in folders.items()}
    variables |= {"LABKIT_ENGINE": "twin", "LABKIT_TWIN_HURRY": "4", "LABKIT_ENGINE_IDLE": "0.5"}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root",
               f"--ServerApp.root_dir={home / 'work'}", "--IdentityProvider.token=lab", "--expose-app-in-browser",
               "--LabApp.news_url=", "--LabApp.extension_manager=readonly"]
    with Program(command, ready=r"http://127\.0\.0\.1:(\d+)/lab", patience=LIMIT, home=home,
                 environment=variables) as program:
        yield f"http://127.0.0.1:{program.port}"


@contextlib.contextmanager
def chromium():
    """A playwright context in a Chromium that is ours, not playwright's: that one would outlive a killed test run."""
    from playwright.sync_api import sync_playwright
    home = Path(tempfile.mkdtemp(prefix="labkit-"))         # a profile is too large for a small /dev/shm
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={home / 'profile'}", "about:blank"]
    listens = r"DevTools listening on ws://127\.0\.0\.1:(\d+)/"
    with Program(command, ready=listens, patience=LIMIT, home=home) as program, sync_playwright() as play:
        browser = play.chromium.connect_over_cdp(f"http://127.0.0.1:{program.port}", timeout=1000 * LIMIT)
        context = browser.new_context(viewport={"width": 1280, "height": 1400})
        context.set_default_timeout(1000 * LIMIT)
        yield context
        context.close()


def ready(page, name):
    """Wait for the notebook and its kernel. (Looking at every frame, as playwright would, costs a core.)"""
    page.wait_for_function(READY, arg=name, polling=100)


def open_page(browser, url, name):
    """A page of its own with the notebook, its kernel ready."""
    page = browser.new_page()
    page.goto(f"{url}/lab/tree/{name}?token=lab&reset")
    ready(page, name)
    return page


def command(page, name, arguments=None):
    """Run a command of JupyterLab to its end; what it says, if that is a plain value."""
    return page.evaluate(COMMAND, [name, arguments or {}, 1000 * LIMIT])


def run_all(page):
    """Run the notebook to its end, and wait until all its panels are drawn."""
    assert command(page, "notebook:run-all-cells"), "a cell failed, or none was run"
    page.wait_for_function(DRAWN, polling=100)


def kernels(url):
    """The ids of the kernels that JupyterLab has."""
    with urllib.request.urlopen(f"{url}/api/kernels?token=lab", timeout=LIMIT) as response:
        return [kernel["id"] for kernel in json.loads(response.read())]


def shut(page, url):
    """End the notebook's kernel and put the notebook away unsaved; return when the kernel is gone."""
    kernel = page.evaluate(f"() => {KERNEL}.id")
    page.evaluate("async () => { const shown = jupyterapp.shell.currentWidget;"
                  "await shown.sessionContext.shutdown(); shown.dispose(); }")
    becomes(lambda: kernel not in kernels(url), f"kernel {kernel} is left")


@contextlib.contextmanager
def tab(url, browser):
    """A page with JupyterLab and nothing in it, for `opened`: loading JupyterLab takes longer than most notebooks."""
    page = browser.new_page()
    page.goto(f"{url}/lab?token=lab&reset")
    page.wait_for_function("() => window.jupyterapp?.shell", polling=100)
    page.evaluate("() => jupyterapp.restored.then(() => null)")
    yield page
    page.close()


@contextlib.contextmanager
def opened(page, url, name):
    """The notebook in that tab, run to its end; afterwards it is put away and its kernel is gone."""
    command(page, "docmanager:open", {"path": name})
    ready(page, name)
    try:
        run_all(page)
        yield page
    finally:
        shut(page, url)
