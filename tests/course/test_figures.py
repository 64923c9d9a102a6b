"""Pictures as bytes: fast, and as they were drawn."""

import io

import numpy as np
from PIL import Image

from labkit.course import figures


class TestEncoder:
    def drawn(self, color="C0", extra=None):
        figure, axes = figures.canvas((3, 2))
        axes.fill_between([0, 1], 0, 1, color=color)
        if extra:
            axes.plot([0.5], [0.5], "o", color=extra)
        figure.canvas.draw()
        return figure

    def off(self, figure, png):
        """How far each pixel is from what was drawn, 0 to 255."""
        wrote = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)
        return np.abs(wrote - np.asarray(figure.canvas.buffer_rgba())[:, :, :3]).max(2)

    def test_pictures_one_after_the_other_are_as_drawn(self):
        encoder = figures.Encoder()
        for color in ["C0", "C1", "white", "C2", "C0", "black"]:
            figure = self.drawn(color)
            assert (self.off(figure, encoder.png(figure)) > encoder.NEAR).sum() <= encoder.FEW

    def test_a_marker_in_a_new_color_is_not_lost(self):
        encoder = figures.Encoder()
        encoder.png(self.drawn("C0"))
        figure = self.drawn("C0", extra="#D55E00")
        assert (self.off(figure, encoder.png(figure)) > encoder.NEAR).sum() <= encoder.FEW

    def test_a_picture_does_not_depend_on_those_shown_between(self):
        encoder = figures.Encoder()
        first = encoder.png(self.drawn())
        encoder.png(self.drawn("black", extra="#D55E00"))
        assert encoder.png(self.drawn()) == first

    def test_paper_is_paper(self):
        encoder, figure = figures.Encoder(), self.drawn()
        for _ in range(2):
            assert self.off(figure, encoder.png(figure))[0, 0] == 0
