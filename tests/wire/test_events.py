"""The chunks of a stream are written in one place; scripted engine, twin and gateway send the same shape."""

import json

import pytest

from labkit.wire import events


def body(raw):
    assert raw.startswith(b"data: ") and raw.endswith(b"\n\n")
    return json.loads(raw[6:])


def test_a_chunk_has_the_fields_of_the_protocol_and_usage_only_if_told():
    choice = {"index": 0, "delta": {"content": "hi"}, "finish_reason": None}
    plain = body(events.chunk("m", [choice]))
    assert plain == {"object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    told = body(events.chunk("m", [], {"prompt_tokens": 3}, id="x"))
    assert told["usage"] == {"prompt_tokens": 3} and told["choices"] == [] and told["id"] == "x"


def test_a_whole_answer_becomes_one_chunk():
    message = {"role": "assistant", "content": "hello"}
    raw = json.dumps({"id": "1", "object": "chat.completion", "model": "m", "usage": {"total_tokens": 5},
                      "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]})
    found = body(events.from_answer(raw.encode()))
    assert found["object"] == "chat.completion.chunk" and found["usage"] == {"total_tokens": 5}
    assert found["choices"] == [{"index": 0, "delta": message, "finish_reason": "stop"}]


@pytest.mark.parametrize("said, text", [
    ('{"error": {"message": "too\\nlong", "code": 400}}', "too long"), ('{"message": "flat"}', "flat"),
    ('{"error": "a text"}', "a text"), ("<html>\n502</html>", "<html> 502</html>"), ("[1]", "[1]"), ("", ""),
    ('{"error": {"message": null}}', '{"error": {"message": null}}'), ("x" * 900, "x" * 300)])
def test_an_error_is_one_line_whatever_the_engine_says(said, text):
    assert events.error_text(said) == text
