"""Server-sent events of the OpenAI protocol, written once: the chunks of a stream, its end, and what an error says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

DONE = b"data: [DONE]\n\n"


def event(data: bytes) -> bytes:
    r"""One event with `data` (a JSON text, no line breaks in it) as its only field.

    >>> event(b'{"a": 1}')
    b'data: {"a": 1}\n\n'
    """
    return b"data: " + data + b"\n\n"


def chunk(model: str, choices: Sequence[dict[str, Any]], usage: dict[str, int] | None = None,
          **more: Any) -> bytes:
    """A piece of a streamed chat answer as an event.

    model: the name the caller sees.
    choices: each with `index`, `delta` and `finish_reason`; none in the event that only brings the usage.
    usage: tokens so far, if they are told.
    more: fields beside these, `id` and `created` for instance.
    """
    body = {"object": "chat.completion.chunk", "model": model, "choices": [*choices], **more}
    return event(json.dumps(body if usage is None else {**body, "usage": usage}).encode())


def from_answer(answer: bytes) -> bytes:
    """A whole answer (the JSON of a chat completion) as the single chunk of a stream."""
    found = json.loads(answer)
    choices = [{"index": each["index"], "delta": each["message"], "finish_reason": each["finish_reason"]}
               for each in found.pop("choices")]
    return event(json.dumps({**found, "object": "chat.completion.chunk", "choices": choices}).encode())


def error_text(body: str) -> str:
    """What an error body says, in one line of at most 300 characters; the body itself if it is no JSON object.

    >>> error_text('{"error": {"message": "too long"}}'), error_text("<html>502</html>")
    ('too long', '<html>502</html>')
    """
    try:
        found = json.loads(body)
        inner = found.get("error", found)
        said = inner.get("message", body) if isinstance(inner, dict) else inner
    except (ValueError, AttributeError):
        said = body
    return " ".join(str(said or body).splitlines())[:300]
