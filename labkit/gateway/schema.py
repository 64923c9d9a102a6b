"""What the gateway accepts, and its OpenAPI description. A field nobody knows is refused: a typo in `max_tokens` costs
money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from labkit.gateway.refusals import CODES, Refused


def _integral(value: Any) -> Any:
    """32.0 is an integer to JSON Schema, and so to us."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


INTEGRAL = BeforeValidator(_integral)
Whole = Annotated[int, Field(ge=-2**63, lt=2**63), INTEGRAL]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
SHORTEST = 0.1              # seconds a caller may give us
HEADERS = (f"Headers that may be sent: x-timeout-seconds, how long you will wait (>= {SHORTEST:g}); idempotency-key, "
           "1 to 200 characters: the same request with the same key is answered, and paid for, once; x-request-id.")
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]


class Part(BaseModel):
    """A piece of a message; text only."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of a chat."""

    model_config = ConfigDict(extra="forbid", strict=True)
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Its text, without the pieces' borders."""
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="forbid", strict=True)
    include_usage: bool = False
    include_obfuscation: bool | None = None


class Chat(BaseModel):
    """The body of POST /v1/chat/completions."""

    model_config = ConfigDict(extra="forbid", strict=True)
    model: Annotated[str, Field(min_length=1, description='a model of /v1/models, or "auto"')]
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, lt=2**31), INTEGRAL] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, lt=2**31), INTEGRAL] | None = None
    n: Annotated[int, Field(ge=1, le=8), INTEGRAL] = 1
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Share | None = None
    stop: str | list[str] | None = None
    seed: Whole | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), INTEGRAL] | None = None
    logit_bias: dict[str, Penalty] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    # vLLM's own
    top_k: Whole | None = None
    min_p: Share | None = None
    min_tokens: Annotated[int, Field(ge=0, lt=2**31), INTEGRAL] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = None
    ignore_eos: bool | None = None

    @property
    def question(self) -> str:
        """The last thing the user said: what a router looks at."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"),
                    self.messages[-1].text)

    def answer_tokens(self, limit: int) -> int:
        """How many tokens each answer may have: what was asked for, `limit` if nothing was; Refused if more."""
        asked = self.max_completion_tokens or self.max_tokens
        if asked is not None and asked > limit:
            raise Refused("invalid_request", f"max_tokens = {asked}: must be a whole number >= 1 and <= {limit}",
                          "max_tokens")
        return asked or limit


def read(raw: bytes) -> Chat:
    """The request, or Refused with the field, its value and what is allowed."""
    try:
        return Chat.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "json_invalid":
            raise Refused("invalid_request", f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
                          ) from None
        shown = "" if first["type"] == "missing" else f" = {str(first['input'])[:60]!r}"
        raise Refused("invalid_request", f"{where}{shown}: {first['msg']}", where) from None


def openapi(models: Sequence[str], max_tokens: int) -> dict[str, Any]:
    """The OpenAPI 3.1 description. models: their names. max_tokens: answer tokens a request may ask for."""
    schema = Chat.model_json_schema(ref_template="#/components/schemas/{model}")
    schema["properties"]["model"]["enum"] = ["auto", *models]
    for name in ("max_tokens", "max_completion_tokens"):
        schema["properties"][name]["anyOf"][0] = {"type": "integer", "minimum": 1, "maximum": max_tokens}
    parts = schema.pop("$defs", {})
    failure = {"type": "object", "required": ["error"], "properties": {"error": {
        "type": "object", "required": ["message", "type", "code"], "properties": {
            "message": {"type": "string"}, "type": {"type": "string"}, "param": {"type": ["string", "null"]},
            "code": {"type": "string"}}}}}
    def body(name: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    refused = {str(status): {"description": code, "content": body("Failure")} for code, (status, _, _) in CODES.items()}
    event = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}
    plain = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    listed = {"description": "the models", "content": body("Models")}
    return {
        "openapi": "3.1.0", "info": {"title": "labkit gateway", "version": "1"},
        "security": [{"key": []}],
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**parts, "Chat": schema, "Failure": failure,
                        "Models": {"type": "object", "required": ["data"]},
                        "Completion": {"type": "object", "required": ["choices", "usage"]}}},
        "paths": {
            "/v1/chat/completions": {"post": {
                "operationId": "chat", "description": HEADERS,
                "requestBody": {"required": True, "content": body("Chat")},
                "responses": {"200": {"description": "the answer, or its pieces as server-sent events", "content": {
                    **body("Completion"), "text/event-stream": {"schema": event}}}, **refused}}},
            "/v1/models": {"get": {"operationId": "models",
                                   "responses": {"200": listed, "401": refused["401"], "429": refused["429"]}}},
            "/healthz": {"get": {"operationId": "health", "security": [],
                                 "responses": {"200": {"description": "alive", **plain}}}},
            "/readyz": {"get": {"operationId": "ready", "security": [], "responses": {
                "200": {"description": "takes requests", **plain},
                "503": {"description": "draining, or the ledger does not answer", **plain}}}},
            "/metrics": {"get": {"operationId": "metrics", "security": [],
                                 "responses": {"200": {"description": "for Prometheus", **plain}}}}}}
