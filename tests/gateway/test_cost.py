"""Arithmetic of money: against numbers computed by hand, and its laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.gateway import cost
from labkit.gateway.cost import Own, Traffic


def test_prices_of_a_token_by_hand():
    assert cost.per_million(0.45, 934.4) == pytest.approx(0.45 / 3600 / 934.4 * 1e6) == pytest.approx(0.1338, abs=1e-4)
    assert cost.per_million(0.45, 934.4, 0.1) == pytest.approx(1.338, abs=1e-3)
    assert cost.per_million(0.45, 41.5) == pytest.approx(3.012, abs=1e-3)


@given(st.floats(0.01, 100), st.floats(1, 1e5), st.floats(0.01, 1))
def test_half_the_use_is_twice_the_price(hourly, throughput, use):
    assert cost.per_million(hourly, throughput, use / 2) == pytest.approx(2 * cost.per_million(hourly, throughput, use))


def test_machines_cover_the_busiest_hour_and_cost_as_much_at_night():
    load = Traffic(daily=86_400, prompt=0, answer=100, peak=5)     # one request a second, five in the busiest hour
    own = Own(hourly=1, throughput=200, spare=1)
    assert load.busiest == 500 and own.machines(load) == 4
    assert own.monthly(load) == 4 * 730 and own.utilization(load) == pytest.approx(100 / 800)
    assert own.machines(Traffic(daily=0)) == 2


def test_at_the_break_even_the_two_cost_the_same_and_beyond_own_is_cheaper():
    own, load = Own(spare=0), Traffic()
    point = cost.break_even(own, load, 30, 60)
    assert point == pytest.approx(0.45 * 730 / (730 / 24 * 0.009), rel=0.02)        # 1,200 requests a day
    for factor in (1.01, 2, 10, 100):
        more = Traffic(daily=point * factor)
        assert own.monthly(more) <= cost.hosted(more, 30, 60)
    assert own.monthly(Traffic(daily=point * 0.95)) > cost.hosted(Traffic(daily=point * 0.95), 30, 60)


def test_against_a_hosted_model_of_the_same_size_one_l4_may_never_pay():
    assert cost.break_even(Own(throughput=934.4, spare=1), Traffic(peak=3), 0.04, 0.04) == math.inf
    assert cost.break_even(Own(people=0, spare=0), Traffic(daily=1), 1e6, 1e6) == 1


def test_the_essays_rows():
    table = cost.essay_monthly()
    assert (table.rebuilt - table.stated).abs().max() < 1       # this is how its numbers came about
    assert table.payable["all optimizations"] == 324 and table.against_gpt35["all optimizations"] == 21.6
    requests = cost.essay_requests()
    assert requests.iloc[0, 1] == pytest.approx(0.38, abs=0.01)
    assert requests.iloc[1, 1] == pytest.approx(0.091, abs=1e-3)
    roi = cost.essay_roi()
    assert roi.recomputed["return"] == pytest.approx(34.9, abs=0.1) and roi.recomputed.iloc[-1] == 1_620_000
    assert cost.essay_roi(6).recomputed["return"] < 1


def test_hosted_prices_have_a_date_and_a_source():
    table = cost.prices()
    assert table.read.str.match(r"\d{4}-\d{2}").all() and (table.source != "").all() and (table.prompt > 0).all()


@pytest.mark.parametrize(("call", "message"), [
    (lambda: cost.per_million(1, 0), "throughput = 0: must be a number > 0"),
    (lambda: cost.per_million(1, 1, 0), "utilization = 0: must be a number > 0 and <= 1"),
    (lambda: Traffic(peak=0.5), "Traffic.peak = 0.5: must be a number >= 1"),
    (lambda: Own(spare=-1), "Own.spare = -1: must be a whole number >= 0"),
    (lambda: cost.essay_roi(-1), "months_of_work = -1: must be a number >= 0"),
])
def test_bad_input_names_field_value_and_range(call, message):
    with pytest.raises(ValueError) as refused:
        call()
    assert str(refused.value) == message
