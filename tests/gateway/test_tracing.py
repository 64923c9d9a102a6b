"""The real Langfuse SDK against our receiver, and traces that never make anybody wait."""


import langfuse
import pytest

from labkit.gateway.telemetry import LocalReceiver, Span, Trace, Tracer
from labkit.gateway.telemetry.receiver import environment
from labkit.gateway.telemetry.tracer import BATCH


def trace(i=0, **more):
    now = 1_795_000_000.0
    return Trace(**{"request": f"r{i}", "user": "ada", "team": "eng", "tier": "small", "model": "m", "outcome": "ok",
                    "start": now, "end": now + 2, "first_token": now + 0.5, "prompt": "hello", "answer": "there",
                    "usage": {"input": 3, "output": 4}, "cost": 0.001,
                    "steps": [Span("queue", now, now + 0.25),
                              Span("attempt 1", now + 0.25, now + 2, "generation", "m")]} | more)


def test_prompts_tokens_and_cost_by_user_team_and_tier_come_back():
    with LocalReceiver() as receiver:
        counted = []
        tracer = Tracer(receiver.environment, count=counted.append)
        for i in range(5):
            tracer.record(trace(i, team="eng" if i < 3 else "ops", user=f"u{i % 2}"))
        assert tracer.flush() and counted == ["sent"] * 5
        found = receiver.query("SELECT team, COUNT(*) n, SUM(usd) usd, SUM(prompt_tokens) p, SUM(answer_tokens) a "
                               "FROM generation GROUP BY team ORDER BY team")
        assert found.to_dict("records") == [{"team": "eng", "n": 3, "usd": 0.003, "p": 9, "a": 12},
                                            {"team": "ops", "n": 2, "usd": 0.002, "p": 6, "a": 8}]
        once = receiver.query("SELECT DISTINCT input, output, tier, ROUND(seconds, 3) FROM generation")
        assert once.values.tolist() == [["hello", "there", "small", 1.75]]
        assert receiver.query("SELECT COUNT(DISTINCT trace_id) n, COUNT(*) m FROM observation").values.tolist() == [
            [5, 15]]
        tracer.close()


def test_the_sdk_itself_writes_and_reads_as_its_documentation_says():
    with LocalReceiver() as receiver, environment(receiver.environment):
        sdk = langfuse.Langfuse()
        assert sdk.auth_check()
        with langfuse.propagate_attributes(user_id="bob", tags=["lesson"]), \
                sdk.start_as_current_observation(name="chat", as_type="span") as root:
            with sdk.start_as_current_observation(name="model", as_type="generation", model="m", input="q") as one:
                one.update(output="a", usage_details={"input": 7, "output": 2}, cost_details={"total": 0.5})
            root.score_trace(name="helpful", value=1.0)
        sdk.flush()
        [read] = sdk.api.observations.get_many(user_id="bob", type="GENERATION").data
        assert (read.model, read.usage_details, read.cost_details) == ("m", {"input": 7, "output": 2}, {"total": 0.5})
        assert receiver.query("SELECT name, value FROM score").values.tolist() == [["helpful", 1.0]]
        sdk.shutdown()


def test_a_failed_request_is_an_error_and_a_cancelled_one_a_warning():
    with LocalReceiver() as receiver:
        tracer = Tracer(receiver.environment)
        now = 1_795_000_000.0
        tracer.record(trace(outcome="cancelled", steps=[Span("a", now, now + 1, "generation", "m", "cancelled")]))
        tracer.record(trace(outcome="upstream_error", steps=[Span("a", now, now + 1, "generation", "m", "timeout")]))
        tracer.flush()
        assert sorted(receiver.query("SELECT level, message FROM generation").values.tolist()) == [
            ["ERROR", "timeout"], ["WARNING", "cancelled"]]
        tracer.close()


@pytest.mark.parametrize("fault", [401, 503, "hang"])
def test_a_server_that_refuses_or_hangs_delays_nobody_and_every_trace_is_counted(fault):
    with LocalReceiver() as receiver:
        receiver.fault = fault
        counted = []
        tracer = Tracer(receiver.environment, max_waiting=50, count=counted.append)
        for i in range(300):
            tracer.record(trace(i))                             # had it waited for a place, none would be dropped here
        before = counted.count("dropped")
        tracer.close(patience=0.3)
        if fault == "hang":                                     # neither waits for an answer that never comes
            assert before >= 300 - 50 - BATCH and tracer._waiting.unfinished_tasks
        receiver.fault = None
        assert counted.count("dropped") >= 200 and len(counted) >= 300


def test_without_an_address_or_keys_it_says_which_variables_are_missing():
    with pytest.raises(ValueError, match="tracing: LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY must be set"):
        Tracer({"LANGFUSE_BASE_URL": "http://127.0.0.1:1"})


def test_a_stranger_is_not_let_in():
    with LocalReceiver() as receiver:
        wrong = {**receiver.environment, "LANGFUSE_SECRET_KEY": "sk-lf-wrong"}
        tracer = Tracer(wrong)
        tracer.record(trace())
        tracer.flush()
        assert tracer.dropped == 1 and receiver.query("SELECT * FROM observation").empty
        tracer.close()
