"""Rounding by hand: what it keeps, what it costs, and that files hold what the numbers say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.inference import exercises
from labkit.inference.quantization import checkpoints, rounding

matrices = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(
    0, 0.02, (8, 64)).astype(np.float32))


@given(matrices, st.integers(2, 8), st.sampled_from([8, 16, 32, 64]))
@settings(max_examples=80, deadline=None)
def test_no_weight_is_off_by_more_than_half_a_step(weight, bits, group):
    for q in (rounding.symmetric(weight, bits, group), rounding.asymmetric(weight, bits, group)):
        off = np.abs(q.weight() - weight).reshape(q.numbers.shape)
        assert (off <= q.scales * 0.5001 + 1e-7).all() or q.zeros.any() and (off <= q.scales * 1.0001).all()
    assert (rounding.symmetric(weight, bits, group).weight() * weight >= -1e-9).all()          # no sign is turned


@given(matrices)
@settings(max_examples=20, deadline=None)
def test_zero_stays_zero(weight):
    weight[:, ::3] = 0
    assert (rounding.asymmetric(weight, 4, 32).weight()[:, ::3] == 0).all()


@pytest.mark.parametrize("seed", range(20))
def test_every_bit_less_doubles_the_error(seed):
    weight, inputs = exercises.matrix(1, seed)
    errors = [rounding.output_error(weight, rounding.symmetric(weight, bits).weight(), inputs) for bits in (8, 7, 6, 5)]
    assert all(1.85 < b / a < 2.25 for a, b in zip(errors, errors[1:], strict=False))


@pytest.mark.parametrize("seed", range(20))
def test_awq_beats_rounding_where_some_channels_are_loud(seed):
    weight, inputs = exercises.matrix(20, seed)
    plain = rounding.output_error(weight, rounding.asymmetric(weight, 4, 128).weight(), inputs)
    factor, alpha = rounding.awq_scale([weight], inputs, lambda w: rounding.asymmetric(w, 4, 128))
    scaled = rounding.asymmetric(weight * factor, 4, 128).weight() / factor
    assert 0 < alpha < 1 and rounding.output_error(weight, scaled, inputs) < 0.75 * plain


def test_bits_per_weight():
    weight = np.random.default_rng(0).normal(size=(4, 256)).astype(np.float32)
    assert rounding.asymmetric(weight, 4, 128).bits_per_weight == 4 + 20 / 128
    assert rounding.symmetric(weight, 8).bits_per_weight == 8 + 16 / 256


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_packing_four_bits_loses_nothing(seed):
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.05, (16, 64)).astype(np.float32)
    stored = checkpoints._int4({"a_proj.weight": weight})
    expected = rounding.asymmetric(weight, 4, checkpoints.GROUP)
    exact = (expected.numbers - expected.zeros) * expected.scales.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(checkpoints._unpack(stored, "a_proj"), exact.reshape(16, 64), rtol=1e-6)
    assert stored["a_proj.qweight"].shape == (64, 2) and stored["a_proj.qweight"].dtype == np.int32


@pytest.mark.parametrize("call, message", [
    (lambda w: rounding.symmetric(w, 9), "bits = 9: must be a whole number >= 2 and <= 8"),
    (lambda w: rounding.asymmetric(w, 4, 48), "group = 48: must divide the 64 inputs"),
    (lambda w: checkpoints.build("x", "INT4"), "form = 'INT4': must be one of 'AWQ', 'RTN', 'INT8'"),
    (lambda w: checkpoints.build("x", "AWQ", [1]), "text = 1 tokens: AWQ needs at least 16 to see what the inputs are"),
])
def test_bad_input_gets_one_clear_line(call, message):
    with pytest.raises(ValueError) as caught:
        call(np.zeros((2, 64), np.float32))
    assert str(caught.value).startswith(message)
