"""Every control of every lesson in a real JupyterLab: keys, drag, Home, End; the picture must change each time."""

import os
import re

import pytest

from tests.browser.harness import KERNEL, LIMIT, opened
from tests.lessons import LESSONS, PANELS

# What a reader sees in a control's cell, frame by frame. `settled`: the kernel is done with every message a widget has
# sent, and none followed for two frames (a widget sends what it held back when it hears that the last one is done).
WATCH = """
window.unanswered = new Set();
KERNEL.anyMessage.connect((_, {direction, msg}) => {
  if (direction === 'send' && msg.header.msg_type === 'comm_msg') unanswered.add(msg.header.msg_id);
  if (msg.header.msg_type === 'status' && msg.content.execution_state === 'idle')
    unanswered.delete(msg.parent_header.msg_id);
});
window.cellOf = control => control.closest('.jp-Cell');
window.controls = kind => [...document.querySelectorAll('.jp-OutputArea .jupyter-widgets ' + kind)]
  .filter(c => c.offsetParent && cellOf(c).querySelector('.widget-html img'));
window.pictures = cell => [...cell.querySelectorAll('.widget-html img')];
window.shows = cell => pictures(cell).map(p => p.src).join();
window.whole = cell => pictures(cell).some(p => p.complete && p.naturalWidth
  && p.checkVisibility({opacityProperty: true}) && p.getBoundingClientRect().height >= 20);
window.frame = () => new Promise(requestAnimationFrame);
window.settled = async cell => {
  for (let quiet = 0; quiet < 2; quiet++) {
    await frame();
    if (unanswered.size || !pictures(cell).every(p => p.complete)) quiet = -1;
  }
};
window.watch = cell => {
  const before = shows(cell), seen = {frames: 0, blank: 0, changed: false};
  let going = true;
  const look = () => {
    seen.frames++;
    if (!whole(cell)) seen.blank++;
    if (shows(cell) !== before) seen.changed = true;
    if (going) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  window.stop = async () => { await settled(cell); going = false; return seen; };
};
null;
""".replace("KERNEL", KERNEL)


def step(page, control, act):
    """Whether the picture changed by `act`, when all that followed from it is over."""
    control.evaluate("c => watch(cellOf(c))")
    act()
    seen = page.evaluate("() => stop()")
    assert seen["blank"] == 0, f"the picture was gone for {seen['blank']} of {seen['frames']} frames"
    return seen["changed"]


def moves(page, control, act, what):
    """The page may take the focus or still be moving just then: a person would try again."""
    assert any(step(page, control, act) for _ in range(3)), f"{what} changed nothing"


def use(page, handle, name):
    """Keys, a drag, and both ends of a slider."""
    handle.evaluate("h => { h.scrollIntoView({block: 'center'}); h.focus({preventScroll: true}); }")

    def at(which):
        return float(handle.get_attribute(f"aria-value{which}"))

    def press(key):
        handle.focus()
        page.keyboard.press(key)

    back, forth = ("ArrowLeft", "ArrowRight") if at("now") >= at("max") else ("ArrowRight", "ArrowLeft")
    for key in (back, forth):
        moves(page, handle, lambda key=key: press(key), f"{name}: {key}")

    def drag():
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        way = -1 if at("now") >= at("max") else 1
        page.mouse.move(x, y)
        page.mouse.down()
        for n in range(1, 9):
            page.mouse.move(x + way * 6 * n, y)
            page.evaluate("() => frame()")
        page.mouse.up()

    moves(page, handle, drag, f"{name}: a drag")
    for key, end in (("Home", "min"), ("End", "max")):
        if at("now") != at(end):
            moves(page, handle, lambda key=key: press(key), f"{name}: {key}")


def fill(page, box, name):
    """Another number in a box, and back."""
    first = box.input_value()

    def put(text):
        box.fill(text)
        box.press("Enter")

    for text in (str(int(first) + 4), first):
        moves(page, box, lambda text=text: put(text), f"{name}: {text}")


def handles(page, kind):
    """All controls of that kind, with a name to call each by."""
    found = page.evaluate_handle("kind => controls(kind)", kind).get_properties().values()
    return [(one.as_element(), f"{kind} {i}") for i, one in enumerate(found)]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_control_moves_its_picture(lab, tab, path):
    with opened(tab, lab, f"panels/{path.name}") as page:
        page.evaluate(WATCH)
        assert page.evaluate("() => document.querySelectorAll('.labkit-panel').length") == PANELS[path.stem]
        assert not page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()
        text = page.locator(".jp-Notebook").inner_text(timeout=1000 * LIMIT)
        assert not re.search("Error displaying widget|Failed to load model|could not be shown", text)
        sliders = handles(page, ".widget-slider .noUi-handle")
        assert len(sliders) >= 2
        for handle, name in sliders:
            use(page, handle, name)
        for box, name in handles(page, "input[type=number]"):
            fill(page, box, name)
        assert not page.locator("[role=alert]").count()
        if folder := os.environ.get("BROWSER_OUT"):
            page.screenshot(path=f"{folder}/{path.stem}.png")
