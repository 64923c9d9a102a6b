"""How wide a key or value is, is written once: bound, room, twin and drawing must agree on it."""

import pytest

from labkit.course import figures
from labkit.inference import catalogue, drawings, roofline, twin


@pytest.mark.parametrize("quantization, width", [("FP32", 4), ("FP16", 2), ("FP8", 2), ("AWQ", 2)])
def test_everybody_takes_the_same_width(quantization, width):
    m, g = catalogue.model("Qwen3-0.6B"), catalogue.gpu("L4")
    each = 2 * m.layers * m.kv_heads * m.head_size * width
    assert roofline.kv_bytes_per_token(m, quantization) == each
    room = (g.memory * 0.9 - roofline.OVERHEAD) * roofline.GIB - roofline.weight_bytes(m, quantization)
    assert roofline.kv_tokens(m, g, quantization=quantization) == int(room / each)
    step = roofline.step_seconds(m, g, 8, 1000, quantization)
    assert step.kv == pytest.approx(each * 8000 / (g.bandwidth * 1e9))
    assert roofline.decode_bound(m, g, 8, 1000, quantization) == pytest.approx(8 / step.bound)
    assert twin.from_roofline(m, g, quantization, memory=1.0).context == pytest.approx(each / (g.bandwidth * 1e9))
    _, axes = figures.canvas()
    drawings.step_parts(axes, "Qwen3-0.6B", "L4", 8, 1000, quantization)
    assert any(bar.get_width() == pytest.approx(1000 * step.kv) for bar in axes.patches)


def test_what_does_not_fit_in_four_bytes_is_said_not_to_fit():
    assert roofline.kv_tokens("Qwen3-0.6B", "L4", quantization="FP32") == 78_739
    rows = [{"model": "Qwen3-0.6B", "gpu": "L4", "tokens_per_s": 100, "quantization": "FP32", "batch": 100,
             "context": 1000}]
    assert roofline.judge(rows).verdict[0] == "does not fit"
