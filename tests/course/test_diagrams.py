"""The parts drawings are made of: limits that follow the data, bars that say what they have room for, lanes."""

import pytest

from labkit.course import diagrams, figures, labels
from labkit.course.figures import COLORS
from labkit.course.stage import Stage


def test_an_axis_from_zero_follows_the_data_up_and_down():
    figure, axes = figures.canvas()
    stage, tops = Stage(figure), []
    for top in (4.6, 900, 0.02):
        def draw(top=top):
            axes.plot([0, 1], [0, top])
            figures.from_zero(axes)

        stage.play(draw)
        tops.append(axes.get_ylim())
    assert tops == [(0, 5), (0, 1000), (0, 0.025)]


@pytest.mark.parametrize("value, limit", [(0, 1), (float("nan"), 1), (9.8, 12), (10, 12), (97, 100), (98, 120)])
def test_limits_are_round_numbers_with_a_little_room(value, limit):
    assert figures.round_up(value) == pytest.approx(limit)


def test_a_logarithmic_axis_keeps_its_ticks_from_drawing_to_drawing():
    _, axes = figures.canvas()
    figures.log_axes(axes, x=True)
    ticks = axes.yaxis.get_major_locator(), axes.xaxis.get_major_locator()
    figures.log_axes(axes, x=True)
    assert (axes.yaxis.get_major_locator(), axes.xaxis.get_major_locator()) == ticks
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_a_bar_says_as_much_as_it_has_room_for():
    def draw(axes):
        for row, width in enumerate((10, 0.8, 0.1)):
            axes.barh(row, width, color=COLORS["waiting"])
            figures.inside(axes, 0, width, row, ["write 15", "15"], "black")
        axes.set_xlim(0, 20)
        return ""

    axes = figures.picture(draw).figure.axes[0]
    assert [text.get_text() for text in axes.findobj(labels.Fitted)] == ["write 15", "15", ""]


def test_bars_of_a_lane_that_overlap_in_time_stand_below_each_other():
    _, axes = figures.canvas()
    diagrams.timeline(axes, [(0, 0, 4, "wasted"), (0, 2, 5, "wasted"), (0, 4, 6, "goodput"), (1, 0, 1, "goodput")])
    first, second, third, other = (bar.get_bbox() for bar in axes.patches)
    assert not first.overlaps(second) and not second.overlaps(third)
    assert first.y0 == third.y0 and other.height > 1.9 * first.height
