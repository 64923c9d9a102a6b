"""A panel never blinks: whatever the browser is doing, the old picture stays until the new one can be painted."""

import base64
import io
import json
import urllib.request

import numpy as np
import pytest
from PIL import Image

from tests.browser import harness

SLOWER = 6
MOVES = 40
# Panels whose picture is dark nearly everywhere, so that a hole in it is bright; each picture differs from the last.
# The second has its picture replaced where it stands, as everybody does it.
PANELS = """
import numpy as np
from IPython.display import display
from labkit.course import Panel, panel as module, slider

def draw(axes, rate):
    axes.set(xlim=(0, 1), ylim=(0, 1))
    noise = np.random.default_rng(rate).random((200, 500))      # hard to pack: a picture that takes time to decode
    axes.imshow(noise, cmap="gray", vmin=0, vmax=4, extent=(0, 1, 0, 1), aspect="auto", interpolation="bilinear")
    axes.plot([0, 1], [rate / 100] * 2, color="#444444")

def make():
    return Panel(lambda rate: rate, draw, lambda rate: f"rate {rate}", seed=None, rate=slider(50, 0, 100))

panel = make()
module.ARRIVED = ""
usual = make()
display(panel, usual)
"""
BURST = f"""
for rate in range({MOVES}):
    panel.set(rate=rate)
    usual.set(rate=rate)
"""
# Frame by frame in the page: is there a picture that could be painted, over the whole width of panel i?
WATCH = """() => {
  const stages = [...document.querySelectorAll('.labkit-stage')];
  const seen = stages.map(() => ({frames: 0, holes: 0, shown: new Set()}));
  let watching = true;
  const tick = () => {
    if (!watching) return;
    stages.forEach((stage, i) => {
      const ready = [...stage.querySelectorAll('img')].filter(
        img => img.complete && img.naturalWidth && img.getBoundingClientRect().width > 700);
      seen[i].frames += 1;
      if (!ready.length) seen[i].holes += 1;
      else seen[i].shown.add(ready[ready.length - 1].alt);
    });
    requestAnimationFrame(tick);
  };
  window.told = () => { watching = false; return seen.map(s => ({...s, shown: s.shown.size})); };
  requestAnimationFrame(tick);
}"""
# A browser that needs its time until a picture can be painted: it gets to know of each one later.
SLOW_DECODER = """() => {
  const plain = Object.getOwnPropertyDescriptor(Element.prototype, 'innerHTML');
  Object.defineProperty(Element.prototype, 'innerHTML', {...plain, set(html) {
    plain.set.call(this, html.replaceAll('src="data:image', 'data-later="data:image'));
    for (const img of this.querySelectorAll('img[data-later]'))
      setTimeout(() => { img.src = img.dataset.later; }, 200);
  }});
}"""


def notebook(url, name, *sources):
    """Put a notebook of these code cells into the running JupyterLab."""
    cells = [{"cell_type": "code", "id": f"c{i}", "metadata": {}, "source": source, "outputs": [],
              "execution_count": None} for i, source in enumerate(sources)]
    content = {"cells": cells, "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
               "nbformat": 4, "nbformat_minor": 5}
    body = json.dumps({"type": "notebook", "format": "json", "content": content}).encode()
    request = urllib.request.Request(f"{url}/api/contents/{name}?token=lab", body, method="PUT",
                                     headers={"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()


def open_panels(page, url, name):
    """Open the notebook, run its first cell, and wait until both panels show a picture."""
    page.goto(f"{url}/lab/tree/{name}?token=lab&reset")
    harness.ready(page, name)
    harness.command(page, "notebook:run-cell-and-select-next")
    shows(page, 50)


def burst(page):
    """Run the second cell: a panel that was used has made its own cell the active one."""
    page.locator(".jp-Notebook .jp-Cell .cm-content").nth(1).click()
    harness.command(page, "notebook:run-cell")
    shows(page, MOVES - 1)


def shows(page, rate):
    """Wait until both panels show the picture of this rate."""
    page.wait_for_function("alt => [...document.querySelectorAll('.labkit-stage')].every(stage => "
                           "[...stage.querySelectorAll('img')].some(i => i.naturalWidth && i.alt == alt))",
                           arg=f"rate {rate}")


class Film:
    """What the browser really painted, picture by picture, through its own protocol."""

    def __init__(self, page):
        self.line, self.frames = page.context.new_cdp_session(page), []
        self.line.on("Page.screencastFrame", self._keep)
        self.line.send("Page.startScreencast", {"format": "jpeg", "quality": 60, "everyNthFrame": 1})

    def _keep(self, event):
        self.frames.append((event["data"], event["metadata"]))
        self.line.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    def end(self):
        self.line.send("Page.stopScreencast")
        self.line.detach()

    def holes(self, box):
        """Frames in which the middle of the picture is bright."""
        return sum(self._brightness(data, meta, box) > 100 for data, meta in self.frames)

    @staticmethod
    def _brightness(data, meta, box):
        image = Image.open(io.BytesIO(base64.b64decode(data))).convert("L")
        scale = image.width / meta["deviceWidth"]
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        middle = image.crop(tuple(int(scale * c) for c in (x - 60, y - 40, x + 60, y + 40)))
        return float(np.asarray(middle).mean())


def watched(page, act):
    """What the page and what the painted pictures tell of each of the two panels while `act` is done."""
    boxes = [page.locator(".labkit-stage").nth(i).bounding_box() for i in (0, 1)]
    page.evaluate(WATCH)
    film = Film(page)
    act()
    film.end()
    told = page.evaluate("() => told()")
    return [one | {"painted": len(film.frames), "painted holes": film.holes(box)}
            for one, box in zip(told, boxes, strict=True)]


def keys(page):
    """Keep an arrow key of the first panel's slider pressed."""
    page.locator(".labkit-panel .noUi-handle").first.focus()
    for _ in range(MOVES):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("words => document.querySelector('.labkit-panel').innerText.includes(words)",
                           arg=f"rate {50 + MOVES}")


@pytest.fixture(scope="module")
def seen(lab, browser):
    """What was seen of the panel and of the usual way in a slow browser, and in one that decodes slowly."""
    page = browser.new_page()
    notebook(lab, "blink.ipynb", PANELS, BURST)
    open_panels(page, lab, "blink.ipynb")
    line = browser.new_cdp_session(page)
    line.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    slow = watched(page, lambda: (keys(page), burst(page)))
    line.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    page.evaluate(SLOW_DECODER)
    decoding = watched(page, lambda: burst(page))
    harness.shut(page, lab)
    page.close()
    print(slow, decoding, sep="\n")
    return {"slow": slow, "decoding": decoding}


@pytest.mark.parametrize("browser_is", ["slow", "decoding"])
def test_a_panel_never_blinks(seen, browser_is):
    panel, _ = seen[browser_is]
    assert panel["shown"] > 2 and panel["painted"] > 2, f"nothing moved: {panel}"
    assert panel["holes"] == 0 and panel["painted holes"] == 0, panel


def test_the_usual_way_does(seen):
    _, usual = seen["decoding"]
    assert usual["holes"] > 0 and usual["painted holes"] > 0, usual
