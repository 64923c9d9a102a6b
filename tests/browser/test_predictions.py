"""A prediction card in the learner's copy: its answer is nowhere in the page until it is chosen, and then it reads."""

import html
import json
import re
import urllib.request
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from labkit.course import learner, predictions
from labkit.course.predictions import Option, Prediction
from tests.browser import harness

COURSE = learner.Course()
NAME = COURSE.lesson("10")
CARDS = list(predictions.questions("10").values())
# long enough to wrap, with everything that is drawn mirrored, and next to its neighbours
ODD = Prediction("99.odd", "Which?", "It is (a < b) or [c > d], {x} ≤ 3.5 and y ≥ 7 % of $1,000: «so» it goes, 24/7.",
                 (Option("this", True), Option("that", means="One after another. " * 12, test="Try n = 1 (or 2).")))
BACK = str.maketrans({c: predictions.PAIRS[i ^ 1] for i, c in enumerate(predictions.PAIRS)})
# The words of an option as they are seen: characters sorted by where they are drawn, a blank where there is a gap.
SEEN = """
body => {
  const all = [], walk = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  for (let text; text = walk.nextNode();) for (let i = 0; i < text.length; i++) {
    const place = document.createRange();
    place.setStart(text, i); place.setEnd(text, i + 1);
    const box = place.getBoundingClientRect();
    if (text.data[i].trim() && box.width) all.push([Math.round(box.top), box.left, box.right, text.data[i]]);
  }
  all.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return all.map(([top, left, right, c], i) =>
    (i && (all[i - 1][0] != top || left - all[i - 1][2] > 2) ? ' ' : '') + c).join('');
}
"""


def text_of(option, card):
    return f"Yes. {card.because}" if option.right else " ".join(f"Not quite. {option.means} {option.test}".split())


def secrets():
    """Every sentence that the cards of notebook 10 say once an option is chosen."""
    said = [text for card in CARDS for option in card.options for text in (card.because, option.means, option.test)]
    return {sentence for text in said for sentence in re.split(r"(?<=[.?!:;]) ", text) if sentence}


def without_tags(page):
    return html.unescape(re.sub(r"<[^>]*>|&lrm;|\u200e", "", page))


def opened(lab, browser, name, notebook):
    """A page with that notebook, not run, when its kernel is ready."""
    put(lab, name, notebook)
    return harness.open_page(browser, lab, name)


def shut(page, lab):
    harness.shut(page, lab)
    page.close()


def put(lab, name, notebook):
    body = json.dumps({"type": "notebook", "content": notebook}).encode()
    request = urllib.request.Request(f"{lab}/api/contents/{name}?token=lab", body, method="PUT")
    urllib.request.urlopen(request, timeout=60)


@pytest.fixture(scope="module")
def page(lab, browser):
    """Notebook 10 of the learner's copy, not yet run; its kernel ends with the test."""
    page = opened(lab, browser, "learner.ipynb", COURSE.fresh(NAME))
    yield page
    shut(page, lab)


@pytest.fixture(scope="module")
def cards(page):
    """The cards of the page after all cells were run, the one of each question in its order."""
    tells_nothing(page)
    harness.run_all(page)
    tells_nothing(page)
    found = page.locator(".jp-OutputArea div:has(> details + details)")
    assert found.count() == len(CARDS)
    return [found.nth(n) for n in range(len(CARDS))]


def tells_nothing(page):
    """Neither the page's source nor its text nor the cells hold what an option says; nor does what is stored."""
    stored = page.evaluate("() => JSON.stringify(jupyterapp.shell.currentWidget.content.model.toJSON())")
    for place in (page.content(), page.evaluate("() => document.documentElement.textContent"), stored):
        for secret in secrets():
            for form in (secret, html.escape(secret), json.dumps(secret)[1:-1]):
                assert form not in place and form not in without_tags(place)


def choose(card, n):
    card.locator("summary").nth(n).click()
    return card.locator("details").nth(n).locator("p")


def wrong_and_right(card):
    options = [option.right for option in card.options]
    return options.index(False), options.index(True)


def test_nothing_is_told_before_a_choice_and_the_options_are_alike(cards):
    for card in cards:
        assert len(set(card.locator("details").evaluate_all("""all => all.map(details => {
            const copy = details.cloneNode(true);
            copy.querySelector('summary').textContent = '';
            copy.querySelectorAll('b, span').forEach(e => { e.textContent = ''; });
            return copy.outerHTML; })"""))) == 1
        assert card.locator("p:visible").count() == 0
        assert len(set(card.locator("summary").evaluate_all("all => all.map(e => getComputedStyle(e).color)"))) == 1


def test_a_wrong_choice_is_told_what_it_means_and_the_right_one_why(cards):
    for told, card in zip(cards, CARDS, strict=True):
        wrong, right = wrong_and_right(card)
        body = choose(told, wrong)
        assert body.inner_text() == text_of(card.options[wrong], card)
        assert card.because not in told.evaluate("card => card.outerHTML")
        assert told.locator("p:visible").count() == 1
        body = choose(told, right)
        assert body.inner_text() == text_of(card.options[right], card)
        assert body.locator("bdo").count() == 0 and body.locator("span").evaluate("e => e.childNodes.length") == 1
        assert told.locator("p:visible").count() == 1                               # the wrong one is shut again
        colors = told.locator("p b").evaluate_all("all => all.map(e => e.style.color)")
        assert colors[wrong] and colors[right] and colors[wrong] != colors[right]
        choose(told, right)                                                         # shut, open, still the same
        assert choose(told, right).inner_text() == text_of(card.options[right], card)


def test_a_card_works_by_keyboard_alone(page, cards):
    told, card = cards[0], CARDS[0]
    page.evaluate("() => { jupyterapp.shell.currentWidget.content.mode = 'command'; }")
    told.locator("details[open] > summary").evaluate_all("all => all.forEach(e => e.click())")
    told.evaluate("card => { card.tabIndex = -1; card.focus(); }")
    for n, key in ((0, "Enter"), (1, "Space")):
        page.keyboard.press("Tab")
        assert told.locator("summary").nth(n).evaluate("e => e === document.activeElement")
        page.keyboard.press(key)
        body = told.locator("details").nth(n).locator("p")
        body.wait_for(state="visible")
        assert body.inner_text() == text_of(card.options[n], card)
        assert page.evaluate("() => jupyterapp.shell.currentWidget.content.mode") == "command"


def test_in_an_original_that_nobody_trusts_cards_read_and_results_are_folded(lab, browser):
    """JupyterLab takes scripts out of stored results until the notebook is run."""
    original = json.loads((COURSE.root / "notebooks" / NAME).read_text())
    below, shown = set(), {f'course.predict("{card.id}")': card for card in CARDS}
    for n, cell in enumerate(original["cells"]):
        if card := shown.get("".join(cell["source"])):
            cell["outputs"][0]["data"]["text/html"] = card._repr_html_()
            below.add(next(i for i in range(n + 1, 999) if original["cells"][i].get("outputs")))
    page = opened(lab, browser, "original.ipynb", original)
    found = page.locator(".jp-OutputArea div:has(> details + details)")
    found.last.wait_for()
    for n, card in enumerate(CARDS):
        for i, option in enumerate(card.options):
            body = choose(found.nth(n), i)
            assert body.locator("bdo").count() and body.evaluate(SEEN).translate(BACK) == text_of(option, card)
    hidden = page.evaluate("""() => jupyterapp.shell.currentWidget.content.widgets.map(
        cell => Boolean(cell.outputHidden && !cell.node.querySelector('.jp-OutputArea-output')))""")
    assert below == {n for n, is_hidden in enumerate(hidden) if is_hidden}
    shut(page, lab)


def still(browser, body):
    """A page that shows the HTML `body` and runs no script of it."""
    page = browser.new_page()
    page.context.new_cdp_session(page).send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.set_content(f'<meta charset="utf-8"><body style="font:15px monospace;background:#fff">{body}</body>')
    return page


@pytest.mark.parametrize("card", [*CARDS, ODD], ids=lambda card: card.id)
def test_without_any_script_a_chosen_option_still_reads(browser, card):
    page = still(browser, card._repr_html_())
    for n, option in enumerate(card.options):
        body = choose(page.locator("div"), n)
        assert body.locator("bdo").count()                                          # no script has run
        assert body.evaluate(SEEN).translate(BACK) == text_of(option, card)
    page.close()


def test_what_is_written_backwards_looks_like_what_it_says(browser):
    text = predictions.PAIRS + "(a<b)≤[c]«d»"
    page = still(browser, f"<div>{predictions.backwards(text)}</div><div>{text.replace('<', '&lt;')}</div>")
    pictures = [np.array(Image.open(BytesIO(page.locator("div").nth(n).screenshot()))) for n in (0, 1)]
    assert pictures[0].min() < 128 and np.array_equal(*pictures)
    page.close()
