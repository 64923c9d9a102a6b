"""Every slider of every lesson in a real JupyterLab: keys, drag, Home, End; the picture must change each time."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
              pytest.mark.xdist_group("browser")]               # one browser at a time: it measures what a reader sees
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions",
         "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
SETTINGS = {"@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
            "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}
# What is on show in a slider's cell, and a watch over it frame by frame until it has changed and settled.
WATCH = """
window.sliders = () => [...document.querySelectorAll('.jp-OutputArea .widget-slider')]
  .filter(s => s.offsetParent && s.querySelector('.noUi-handle'));
window.pictureOf = i => sliders()[i].closest('.jp-Cell').querySelector('.widget-html img');
window.watch = (i, limit) => new Promise(done => {
  const before = pictureOf(i).src, start = performance.now(), r = {changed: false, blank: 0, last: start};
  let now = before;
  const tick = () => {
    const picture = pictureOf(i), t = performance.now();
    if (!picture || !picture.naturalWidth || picture.getBoundingClientRect().height < 20) r.blank++;
    if (picture && picture.src !== now) { now = picture.src; r.last = t; r.changed = now !== before; }
    if (r.changed && t - r.last > 150 || t - start > limit) done(r); else requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
});
null;
"""


def free_port():
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return line.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own on a copy of the notebooks, with nothing of the user's configuration."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "work", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name, body in SETTINGS.items():
        file = home / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body))
    env = os.environ | {"LABKIT_ENGINE": "twin", "LABKIT_TWIN_HURRY": "4", "LABKIT_CACHE": str(home / "cache"),
                        "JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data"),
                        "JUPYTER_RUNTIME_DIR": str(home / "run"), "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
                        "JUPYTERLAB_WORKSPACES_DIR": str(home / "spaces"), "IPYTHONDIR": str(home / "ipython")}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
             f"--ServerApp.root_dir={home / 'work'}", "--IdentityProvider.token=lab", "--expose-app-in-browser",
             "--LabApp.news_url=", "--LabApp.extension_manager=readonly"], env=env, stdout=log, stderr=log)
    try:
        for _ in range(240):
            assert server.poll() is None, (home / "log").read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{url}/api/status?token=lab", timeout=2)
                break
            except OSError:
                time.sleep(0.25)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        context = play.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("chrome")), executable_path=CHROMIUM, headless=True, args=FLAGS,
            viewport={"width": 1280, "height": 1400})
        yield context
        context.close()


def run_all(page, url, name):
    page.goto(f"{url}/lab/tree/{name}?token=lab&reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
                           " === 'idle'", timeout=90_000)
    page.evaluate("() => { window.done = 0; jupyterapp.commands.execute('notebook:run-all-cells')"
                  ".then(() => { window.done = 1; }); return null; }")
    page.wait_for_function("() => window.done", timeout=240_000)
    page.wait_for_timeout(1500)
    page.evaluate(WATCH)


def step(page, i, act):
    page.evaluate("i => { window.seen = watch(i, 10000); return null; }", i)
    act()
    seen = page.evaluate("() => window.seen")
    assert seen["blank"] == 0, "the picture was gone for a frame"
    return seen["changed"]


def use(page, i):
    """Keys, a drag, and both ends of slider i."""
    handle = page.evaluate_handle("i => { const h = sliders()[i].querySelector('.noUi-handle');"
                                  "h.scrollIntoView({block: 'center'}); h.focus({preventScroll: true}); return h; }", i)
    handle = handle.as_element()

    def value():
        return float(handle.get_attribute("aria-valuenow"))

    high = float(handle.get_attribute("aria-valuemax"))
    back, forth = ("ArrowLeft", "ArrowRight") if value() >= high else ("ArrowRight", "ArrowLeft")

    def moves(act):
        """The page may take the focus or still be moving just then: a person would try again."""
        return step(page, i, act) or step(page, i, act)

    def press(key):
        handle.focus()
        page.keyboard.press(key)

    for key in (back, forth):
        assert moves(lambda key=key: press(key)), f"slider {i}: {key} changed nothing"

    def drag():
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        way = -1 if value() >= high else 1
        page.mouse.move(x, y)
        page.mouse.down()
        for n in range(1, 9):
            page.mouse.move(x + way * 6 * n, y)
            page.wait_for_timeout(16)
        page.mouse.up()

    assert moves(drag), f"slider {i}: a drag changed nothing"
    for key in ("Home", "End"):
        if not at_end(key, handle):
            assert moves(lambda key=key: press(key)), f"slider {i}: {key} changed nothing"


def at_end(key, handle):
    end = {"Home": "aria-valuemin", "End": "aria-valuemax"}[key]
    return float(handle.get_attribute("aria-valuenow")) == float(handle.get_attribute(end))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_slider_moves_its_picture(lab, browser, path):
    page = browser.new_page()
    run_all(page, lab, path.name)
    errors = page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()
    assert not errors
    text = page.locator(".jp-Notebook").inner_text()
    assert not re.search("Error displaying widget|Failed to load model|could not be shown", text)
    count = page.evaluate("() => sliders().length")
    assert count >= 2
    for i in range(count):
        use(page, i)
    assert not page.locator("[role=alert]").count()
    folder = os.environ.get("BROWSER_OUT")
    if folder:
        page.screenshot(path=f"{folder}/{path.stem}.png")
    page.close()
