"""Panel, exercise, claims and figures."""

import gc
import html
import io

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.ticker import FuncFormatter
from PIL import Image, ImageColor

from labkit.course import Exercise, Panel, check, choice, claims, figures, ready, slider, toggle
from labkit.course.setup import Line, Report


def make(**extra):
    def simulate(rate, mode, loud, seed):
        if rate == 13:
            raise ZeroDivisionError("thirteen is not computed")
        return np.random.default_rng(seed).poisson(rate, 50) * (2 if loud else 1) + len(mode)
    return Panel(simulate, lambda axes, r: axes.plot(r), lambda r: f"mean {r.mean():.2f}",
                 rate=slider(20, 1, 100, unit="1/s"), mode=choice("a", ["a", "bb"]), loud=toggle(False), **extra)


def test_a_panel_follows_its_controls():
    panel = make(presets={"busy": {"rate": 90}})
    before = panel._picture.value
    assert panel.set(rate=50, mode="bb").values == {"rate": 50, "mode": "bb", "loud": False, "seed": 1}
    assert panel._picture.value != before and panel.text in panel._picture.value and panel.text in panel._words.value
    panel._widgets["rate"].value = 70
    assert 65 < panel.result.mean() < 80
    panel._buttons["busy"].click()
    assert panel.values["rate"] == 90
    panel._buttons["reset"].click()
    assert panel.values["rate"] == 20


def test_the_same_values_give_the_same_picture():
    panel = make()
    first = panel._picture.value
    panel.set(rate=99, loud=True)
    assert panel.reset()._picture.value == first


def test_a_panel_shows_text_picture_and_widget():
    bundle, about = DisplayFormatter().format(make())
    assert bundle["text/plain"].startswith("mean ")
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert about["image/png"] == {"width": 760, "height": 320}          # twice the density
    assert Image.open(io.BytesIO(bundle["image/png"])).size == (1520, 640)


def test_panels_and_stored_pictures_are_on_the_same_paper():
    panel = make()
    paper = ImageColor.getrgb(figures.PAPER)
    for png in (figures.encode(panel.figure), panel._repr_png_()[0], panel.at(rate=50)._repr_png_()[0]):
        assert Image.open(io.BytesIO(png)).convert("RGB").getpixel((2, 2)) == paper


def test_wrong_settings_are_named_and_nothing_moves():
    panel = make()
    for values, message in (({"rate": 101}, "rate = 101: must be a whole number >= 1 and <= 100"),
                            ({"mode": "c"}, "mode = 'c': must be one of 'a', 'bb'"),
                            ({"rates": 5}, "rates: no such control; this panel has rate, mode, loud, seed")):
        with pytest.raises(ValueError) as error:
            panel.set(loud=True, **values)
        assert str(error.value) == message
        assert panel.values == {"rate": 20, "mode": "a", "loud": False, "seed": 1}
    with pytest.raises(ValueError):
        make(presets={"bad": {"rate": 0}})


def test_a_failure_is_shown_and_raised_and_the_last_result_stays():
    panel = make()
    good, picture = panel.result, panel._picture.value
    with pytest.raises(ZeroDivisionError):
        panel.set(rate=13)
    assert "thirteen is not computed" in panel._words.value and 'role="alert"' in panel._words.value
    assert panel.result is good and panel._picture.value == picture
    panel._widgets["rate"].value = 14
    assert 'role="alert"' not in panel._words.value and panel._picture.value != picture
    panel._widgets["rate"].value = 13       # from the browser: shown, not raised
    assert 'role="alert"' in panel._words.value


def test_a_drawing_that_fails_leaves_the_picture():
    def draw(axes, rate):
        axes.plot([0, rate])
        if rate == 3:
            raise RuntimeError("three is not drawn")
    panel = Panel(lambda rate: rate, draw, str, seed=None, rate=slider(1, 0, 9))
    before = figures.encode(panel.figure)
    with pytest.raises(RuntimeError):
        panel.set(rate=3)
    assert 'role="alert"' in panel._words.value and panel.result == 1 and panel.text == "1"
    assert figures.encode(panel.figure) == before
    assert 'role="alert"' not in panel.reset()._words.value and figures.encode(panel.figure) == before


def test_looking_at_other_values_moves_nothing():
    panel = make().set(rate=30)
    shown, drawn = (panel.result, panel.text, panel.values, panel._picture.value), figures.encode(panel.figure)
    there = panel.at(rate=50)
    assert (panel.result, panel.text, panel.values, panel._picture.value) == shown
    assert figures.encode(panel.figure) == drawn
    assert repr(there) == panel.set(rate=50).text and np.array_equal(there.result, panel.result)
    with pytest.raises(ValueError, match="rate = 101"):
        panel.at(rate=101)


def test_the_seed_is_any_whole_number():
    panel = make()
    first = panel.result
    assert not np.array_equal(panel.set(seed=20_261_123).result, first)
    for value in panel.controls["seed"].extremes():
        assert panel.set(seed=value).values["seed"] == value
    with pytest.raises(ValueError, match="seed = -1: must be a whole number >= 0"):
        panel.set(seed=-1)


@pytest.mark.parametrize("scale", ["linear", "log", "symlog"])
def test_scenery_that_looks_the_same_is_drawn_once(scale, monkeypatch):
    """Setting a scale makes new locators, even where it was the same: that must not cost a new scenery."""
    def draw(axes, rate):
        axes.set(xlim=(1, 60), ylim=(1, 200), xlabel="time (s)", yscale=scale)
        axes.set_xticks([1, 30, 60], ["start", "half", "end"])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}/s"))
        axes.plot(np.arange(1, 60), np.full(59, rate))
    panel = Panel(lambda rate: rate, draw, str, seed=None, rate=slider(20, 1, 100))
    scenes, set_scene = [], panel._stage._set_scene
    monkeypatch.setattr(panel._stage, "_set_scene", lambda *args: (scenes.append(1), set_scene(*args)))
    for rate in (30, 40, 50):
        panel.set(rate=rate)
    assert not scenes


def test_ticks_that_changed_are_drawn_again():
    def draw(axes, unit):
        axes.set(xlim=(0, 10), ylim=(0, 10))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g} {unit}"))
    panel = Panel(lambda unit: unit, draw, str, seed=None, unit=choice("s", ["s", "ms"]))
    before = panel._picture.value
    assert panel.set(unit="ms")._picture.value != before


def test_check_says_what_is_wrong():
    exercise = Exercise("9.9", lambda value: None if value == 4 else "two and two are something else")
    assert check(exercise, 4) and repr(check(exercise, 4)) == "[ OK ] 9.9"
    assert not check(exercise, 5) and "something else" in repr(check(exercise, 5))
    assert "not answered yet" in repr(check(exercise, ...))
    broken = Exercise("9.8", lambda value: 1 / 0)
    assert "could not be used" in repr(check(broken, 1))


def test_ready_and_reports():
    assert ready() and repr(ready()).startswith("[OK] Python 3.") and "\n" not in repr(ready())
    report = Report([Line(True, "a"), Line(False, "b", "do this"), Line(False, "c", "do that")])
    assert not report and repr(report) == "[FAIL] b: do this\n[FAIL] c: do that"
    assert repr(Report([Line(True, "a 1"), Line(True, "b 2")])) == "[OK] a 1, b 2"


def test_ready_leaves_what_is_loaded_out_of_the_search_for_garbage():
    gc.unfreeze()
    ready()
    assert gc.get_freeze_count() > 10_000


def test_a_claim_is_a_line_and_the_rest_on_demand():
    card = claims.settle("V04", measured="37 % <b>")
    assert repr(card) == f"V04: {card.claim.verdict}"
    page = card._repr_html_()
    line, rest = page.split("</summary>")
    assert "<details" in line and " open" not in line and "37 % &lt;b&gt;" in line
    assert html.escape(card.claim.finding) in rest and html.escape(card.claim.finding) not in line


def test_unknown_claims_are_refused():
    with pytest.raises(ValueError, match="'S999' is not in data/claims.csv"):
        claims.settle("S999", measured="")
    assert len(claims.summary()) == len(claims.ledger())


def test_many_claims_are_one_line_and_a_folded_table():
    cards = claims.settle_all(V31="500 + 50 + 100 = 650 (formula)", V32="<read>")
    assert repr(cards) == "V31 holds; V32 not as stated"
    page = cards._repr_html_()
    assert page.startswith("<details") and "2 more claims" in page and page.count("<tr>") == 3
    assert "&lt;read&gt;" in page
    with pytest.raises(ValueError, match="settle_all: name at least one claim"):
        claims.settle_all()
    with pytest.raises(ValueError, match="'V999' is not in data/claims.csv"):
        claims.settle_all(V31="", V999="")


@pytest.mark.parametrize("draw", [
    lambda axes: figures.timeline(axes, [(0, 1, 2, "waiting"), (1, 2, 4, "goodput")], [(0, 3, "x")]),
    lambda axes: figures.space_time(axes, ["A", "B"], [("A", 1, "write"), ("B", 3, "read")],
                                    [("A", 1, "B", 2, False), ("B", 3, "A", 4, True)]),
    lambda axes: figures.matrix(axes, ["r"], ["c", "d"], [["same", "lost"]], {"same": "#009E73", "lost": "#D55E00"}),
    lambda axes: figures.band(axes, [0, 1, 2], np.arange(12).reshape(4, 3), "#0072B2", "text"),
    lambda axes: figures.against_theory(axes, [0, 1], [0, 1], [0.5], [0.6], [0.1]),
], ids=["timeline", "space_time", "matrix", "band", "theory"])
def test_shared_drawings_put_something_on_the_page(draw):
    def blank(axes):
        return "blank"
    drawn = figures.picture(lambda axes: (draw(axes), "text")[1])
    assert repr(drawn) == "text"
    assert drawn._repr_png_()[0] != figures.picture(blank)._repr_png_()[0]


def test_colours_are_distinct():
    assert len(set(figures.COLORS.values())) == len(figures.COLORS)
