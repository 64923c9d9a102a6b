"""The bounds against the reference's table, the catalogue against its own shapes, and the judge against real tables."""

import math

import pandas as pd
import pytest

from labkit import files
from labkit.inference import catalogue, roofline

# tokens/s at batch 1 and 512 tokens of context, as computed independently before this package existed
TABLE = {("Phi-2", "FP16"): (59, 55, 285, 373, 613, 878), ("Mistral-7B", "FP16"): (None, 21, 109, 143, 234, 336),
         ("Mistral-7B", "AWQ"): (81, 76, 393, 516, 847, 1214), ("Mistral-7B", "FP8"): (44, 41, 213, 279, 458, 657),
         ("Llama-3-8B", "FP16"): (None, 20, 103, 135, 222, 318), ("Llama-3-8B", "FP8"): (40, 37, 192, 252, 414, 593),
         ("Llama-3-8B", "AWQ"): (67, 63, 328, 430, 706, 1012)}
L4 = {("Phi-2", "FP16"): (55, 361, 900, 1197), ("Mistral-7B", "AWQ"): (76, 542, 1591, 2346),
      ("Llama-3-8B", "FP16"): (20, 154, 560, 995), ("Llama-3-8B", "AWQ"): (63, 460, 1407, 2140)}
FIT = {("Phi-2", "FP16"): (45_400, 22), ("Mistral-7B", "FP16"): (45_500, 22), ("Mistral-7B", "AWQ"): (124_000, 60),
       ("Llama-3-8B", "FP16"): (33_500, 16), ("Llama-3-8B", "FP8"): (86_700, 42), ("Llama-3-8B", "AWQ"): (112_000, 54)}


@pytest.mark.parametrize("row", TABLE)
def test_bounds_of_six_cards(row):
    found = roofline.table().loc[[row]].iloc[0]
    for gpu, expected in zip(found.index, TABLE[row], strict=True):
        if expected is None:
            assert math.isnan(found[gpu]), gpu
        else:
            assert found[gpu] == pytest.approx(expected, rel=0.02, abs=0.5), gpu


@pytest.mark.parametrize("row", L4)
def test_bounds_of_an_l4_by_batch(row):
    bounds = [roofline.decode_bound(row[0], "L4", batch, 512, row[1]) for batch in (1, 8, 32, 64)]
    assert bounds == pytest.approx(L4[row], rel=0.02)


@pytest.mark.parametrize("row", FIT)
def test_what_fits_on_an_l4(row):
    tokens, sequences = FIT[row]
    assert roofline.kv_tokens(row[0], "L4", quantization=row[1]) == pytest.approx(tokens, rel=0.02)
    assert roofline.max_sequences(row[0], "L4", quantization=row[1]) == sequences


@pytest.mark.parametrize("name", catalogue.MODELS)
def test_parameters_follow_from_the_shapes(name):
    assert catalogue.counted(catalogue.MODELS[name]) == catalogue.MODELS[name].parameters


def test_phi2_keys_and_values_are_dearer_than_those_of_a_model_three_times_its_size():
    assert roofline.kv_bytes_per_token("Phi-2") == 320 * 1024
    assert roofline.kv_bytes_per_token("Llama-3-8B") == 128 * 1024
    assert roofline.decode_bound("Phi-2", "L4", 64) < roofline.decode_bound("Llama-3-8B", "L4", 64, quantization="AWQ")


def test_the_19_gigabytes_of_a_model_of_5():
    """Weights, and 2,881 blocks of 16 tokens taken in advance: what the essay's log says, to 0.3 %."""
    pool = 2881 * 16 * roofline.kv_bytes_per_token("Phi-2")
    assert (roofline.weight_bytes("Phi-2") + pool) / 2**30 == pytest.approx(19.297, rel=0.003)


def test_the_judge_passes_what_is_possible():
    table = pd.read_csv(files.data("published.csv"))
    judged = roofline.judge(table)
    assert set(judged.verdict) == {"plausible"} and not any(judged.note)
    assert judged.ratio.between(0.55, 0.86).all()


@pytest.mark.parametrize("row, verdict", [
    ("Phi-2,L4,FP16,1,60,199.1", "impossible"),             # the essay's "baseline" of its quantization benchmark
    ("Mistral-7B,L4,FP16,1,100,35.7", "impossible"),        # a public CSV's latencies: 128 tokens in 3.587 s
    ("Llama-3-8B,T4,FP16,1,100,10", "does not fit"),
    ("Phi-2,L4,FP16,1,120,55", "too good"),
    ("Phi-2,L4,FP16,1,120,5", "slow"),
    ("Phi-2,L4,FP16,1,120,41.5", "plausible")])
def test_the_judge_flags(row, verdict):
    judged = roofline.judge("model,gpu,quantization,batch,context,tokens_per_s\n" + row)
    assert list(judged.verdict) == [verdict]


def test_the_judge_notices_rows_that_were_multiplied_and_not_measured():
    judged = roofline.judge("model, gpu, batch, context, tokens_per_s\n" + "\n".join(
        f"Phi-2, L4, {n}, 100, {rate}" for n, rate in ((1, 41.45), (4, 165.8), (8, 331.6), (16, 663.2), (32, 934.4))))
    assert list(judged.note) == ["", "exactly 4 x batch 1", "exactly 8 x batch 1", "exactly 16 x batch 1", ""]


@pytest.mark.parametrize("call, message", [
    (lambda: roofline.decode_bound("Phi", "L4"), "model = 'Phi': must be one of 'Phi-2', "),
    (lambda: roofline.decode_bound("Phi-2", "L40"), "gpu = 'L40': must be one of 'T4', "),
    (lambda: roofline.decode_bound("Phi-2", "L4", 0), "batch = 0: must be a whole number >= 1"),
    (lambda: roofline.decode_bound("Phi-2", "L4", 1, 9, "INT2"), "quantization = 'INT2': must be one of 'FP32', "),
    (lambda: roofline.kv_tokens("Phi-2", "L4", 1.2), "utilization = 1.2: must be a number > 0 and <= 1"),
    (lambda: roofline.judge("model,gpu\nPhi-2,L4"), "table: columns tokens_per_s missing; it has model, gpu"),
    (lambda: roofline.judge("model,gpu,tokens_per_s\nPhi-2,L4,41\nPhi-2,L5,41"), "table, row 2: gpu = 'L5': must be"),
    (lambda: roofline.judge("model,gpu,tokens_per_s\nPhi-2,L4,-3"), "table, row 1: tokens_per_s = -3.0: must be")])
def test_bad_input_gets_one_clear_line(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(message)
