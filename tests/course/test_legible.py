"""The picture contract sees each fault it names, and nothing in a sound picture; labels find their places."""

import numpy as np
import pytest

from labkit.course import figures, ink, labels, legible

BLUE, ORANGE, BLACK = figures.COLORS["simulated"], figures.COLORS["attempts"], figures.COLORS["theory"]


def drawn(draw, axes=1, size=(5, 3)):
    """A figure, drawn and laid out as stored pictures are."""
    return figures.picture(lambda where: draw(where) or "", axes=axes, size=size).figure


def sound(axes):
    x = np.linspace(0, 10, 50)
    axes.plot(x, x, color=BLUE)
    axes.plot(x, 10 - x / 2, color=ORANGE)
    figures.label(axes, 2, 2, "rising", BLUE)
    figures.label(axes, 2, 9, "falling", ORANGE)
    axes.set(xlabel="time (s)", ylabel="requests per second")


def test_a_sound_picture_has_no_faults():
    assert legible.faults(drawn(sound)) == []


def off_canvas(axes):
    sound(axes)
    axes.figure.text(0.9, 0.5, "a note that runs out of the picture")


def cut_off(axes):
    sound(axes)
    axes.text(10, 7, "mean TTFT of all", clip_on=True)


def on_each_other(axes):
    sound(axes)
    axes.text(5, 0.5, "one text")
    axes.text(5.3, 0.6, "another")


def on_a_line(axes):
    sound(axes)
    axes.text(4.2, 4.6, "struck through")


def on_its_own_line(axes):
    sound(axes)
    axes.text(4.2, 4.6, "attempts sent", color=BLUE)


def on_dots(axes):
    sound(axes)
    axes.plot([6, 7], [2, 2], "o", color=BLUE)
    axes.text(5.9, 1.8, "neutral")


def across_a_bar(axes):
    axes.bar([0], [3], 0.5, color=BLUE)
    axes.text(0.1, 2, "over the edge")
    axes.set(xlim=(-1, 1), xlabel="request", ylabel="time (s)")


def colours_by_name(axes):
    sound(axes)
    axes.set_xlabel("time (s): blue is rising, orange falls")


def no_label(axes):
    sound(axes)
    axes.set_ylabel("")


def no_unit(axes):
    sound(axes)
    axes.set_ylabel("latency")


def series_outside(axes):
    sound(axes)
    axes.plot([0, 10], [400, 500], color=BLUE)
    axes.set_ylim(0, 12)


def series_mostly_outside(axes):
    sound(axes)
    axes.plot(np.arange(10), np.arange(10) ** 2, color=BLUE)
    axes.set_ylim(0, 12)


def dots_outside(axes):
    sound(axes)
    axes.scatter([1, 2], [40, 50], color=BLUE)
    axes.set_ylim(0, 12)


def bar_outside(axes):
    sound(axes)
    axes.bar([20], [5], color=BLUE)
    axes.set_xlim(0, 10)


def nothing_finite(axes):
    sound(axes)
    axes.plot([1, 2], [np.nan, np.nan], color=BLUE)


def nameless(axes):
    sound(axes)
    axes.plot([1, 2, 3], [1, 6, 1], "o", color=figures.COLORS["real"])


@pytest.mark.parametrize("draw, said", [
    (off_canvas, "The text “a note that runs out of the picture” leaves the canvas."),
    (cut_off, "The text “mean TTFT of all” is cut off at the edge of its axes."),
    (on_each_other, "The texts “one text” and “another” overlap."),
    (on_a_line, "The text “struck through” lies on a line of the colour #0072b2."),
    (on_its_own_line, "The text “attempts sent” lies on a line of the colour #0072b2."),
    (on_dots, "The text “neutral” lies on dots of the colour #0072b2."),
    (across_a_bar, "The text “over the edge” lies across the edge of a bar of the colour #0072b2."),
    (colours_by_name, "The text “time (s): blue is rising, orange falls” is a legend by colour words (“blue”)."),
    (no_label, "The y axis has numbers (0 to 10) and no label."),
    (no_unit, "The label of the y axis, “latency”, has no unit."),
    (series_outside, "A line of the colour #0072b2 lies outside the axes ("),
    (series_mostly_outside, "A line of the colour #0072b2 has 60% of its points outside the axes (x"),
    (dots_outside, "A set of dots of the colour #0072b2 lies outside the axes ("),
    (bar_outside, "A bar of the colour #0072b2 lies outside the axes ("),
    (nothing_finite, "A line of the colour #0072b2 lies outside the axes ("),
    (nameless, "Nothing names the series of the colour #cc79a7, one of 3 in its axes."),
], ids=lambda value: getattr(value, "__name__", ""))
def test_each_fault_is_seen_and_said(draw, said):
    assert [fault for fault in legible.faults(drawn(draw)) if fault.startswith(said)]


def test_ticks_outside_the_limits_of_a_logarithmic_axis_are_not_drawn():
    def long(axes):
        axes.plot([100, 1e8], [1, 2], color=BLUE)
        figures.log_axes(axes, x=True, y=False)
        axes.set(xlim=(100, 1e8), xlabel="requests", ylabel="time (s)")

    assert legible.faults(drawn(long)) == []


@pytest.mark.parametrize("draw", [series_outside, dots_outside, bar_outside, nameless])
def test_what_lies_outside_is_let_pass_where_it_may(draw):
    assert legible.faults(drawn(draw), series=False) == []


# ------------------------------------------------------------------------------------------------ labels
def crowd(axes):
    """Four noisy lines that meet on the right, each labelled at its end."""
    x = np.arange(60.0)
    rng = np.random.default_rng(1)
    for i, name in enumerate(("offered", "attempts", "goodput", "wasted")):
        y = 30 + (4 - i) * (60 - x) + rng.normal(0, 2, 60)
        axes.plot(x, y, color=figures.COLORS[name])
        figures.label(axes, 59, y[-1], name, figures.COLORS[name], ha="right")
    axes.set(xlabel="time (s)", ylabel="per second")


def test_labels_of_lines_that_meet_are_pushed_apart():
    assert legible.faults(drawn(crowd)) == []


def test_without_moving_they_would_lie_on_each_other(monkeypatch):
    monkeypatch.setattr(labels, "_place", lambda axes, wanted, ends: None)
    assert any("overlap" in fault for fault in legible.faults(drawn(crowd)))


def meeting(axes):
    """Four lines that end in the same corner, each named beside its end."""
    for i, name in enumerate(("offered", "attempts", "goodput", "wasted")):
        axes.plot([0, 10], [i, 0.1 * i], color=figures.COLORS[name])
        figures.end_label(axes, 10, 0.1 * i, name, figures.COLORS[name])
    figures.room_for_ends(axes, 0, 10, 0.25)
    axes.set(xlabel="time (s)", ylabel="per second")


def test_labels_of_line_ends_stand_beside_them_in_their_order():
    figure = drawn(meeting)
    assert legible.faults(figure) == []
    places = [ink.box(text) for text in figure.axes[0].artists[0].get_children()]
    assert all(upper.y0 > lower.y1 for lower, upper in zip(places, places[1:], strict=False))
    assert all(place.x0 > figure.axes[0].transData.transform((10, 0))[0] for place in places)


def test_a_label_stays_where_it_was_wanted_if_there_is_room():
    def roomy(axes):
        axes.plot([0, 1], [0, 1], color=BLUE)
        figures.label(axes, 0.2, 0.8, "here", BLUE)

    figure = drawn(roomy)
    (text,) = figure.axes[0].artists[0].get_children()
    wanted = figure.axes[0].transData.transform((0.2, 0.8))
    assert np.allclose(text.get_window_extent().min, wanted, atol=3)


def test_a_label_follows_its_line_when_the_limits_change():
    def late(axes):
        axes.plot([0, 10], [5, 5], color=BLUE)
        figures.label(axes, 100, 5, "the end", BLUE)                # outside: wanted where nothing can be
        axes.set(xlim=(0, 10), ylim=(0, 10), xlabel="time (s)", ylabel="share")

    figure = drawn(late)
    (text,) = figure.axes[0].artists[0].get_children()
    middle = figure.axes[0].transData.inverted().transform(ink.box(text).get_points().mean(axis=0))
    assert 0 < middle[0] < 10 and 4 < middle[1] < 6


def test_places_are_the_same_every_time():
    def places():
        return [ink.box(text).bounds for text in drawn(crowd).axes[0].artists[0].get_children()]

    assert places() == places()


def test_a_point_that_is_nowhere_has_no_label():
    figure = drawn(lambda axes: figures.label(axes, np.nan, 1, "?", BLUE))
    assert not figure.axes[0].artists[0].get_children()[0].get_visible()
