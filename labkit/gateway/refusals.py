"""Every way the gateway says no: status, code and outcome in one table, in the error shape of the OpenAI protocol."""

from __future__ import annotations

import json
from typing import Any

# code: (status, OpenAI's type, outcome in the metrics). The OpenAI SDK retries 408, 409, 429 and 5xx by itself; a
# spent budget is 402, because trying again cannot help.
CODES: dict[str, tuple[int, str, str]] = {
    "invalid_request": (400, "invalid_request_error", "invalid"),
    "invalid_api_key": (401, "authentication_error", "unauthorized"),
    "budget_exceeded": (402, "insufficient_quota", "over_budget"),
    "model_not_found": (404, "invalid_request_error", "invalid"),
    "body_too_slow": (408, "invalid_request_error", "invalid"),
    "idempotency_conflict": (409, "conflict_error", "invalid"),
    "request_too_large": (413, "invalid_request_error", "invalid"),
    "idempotency_reused": (422, "invalid_request_error", "invalid"),
    "rate_limit_exceeded": (429, "rate_limit_error", "rate_limited"),
    "internal_error": (500, "server_error", "internal_error"),
    "upstream_error": (502, "server_error", "upstream_error"),
    "overloaded": (503, "server_error", "overloaded"),
    "draining": (503, "server_error", "overloaded"),
    "unavailable": (503, "server_error", "upstream_error"),
    "ledger_unavailable": (503, "server_error", "ledger_error"),
    "deadline_exceeded": (504, "server_error", "timeout"),
}


class Refused(Exception):
    """The request ends here, with this code. retry_after: seconds, if trying again may help."""

    def __init__(self, code: str, message: str, param: str | None = None, retry_after: float | None = None):
        super().__init__(message)
        self.code, self.param, self.retry_after = code, param, retry_after
        self.status, self.type, self.outcome = CODES[code]

    @property
    def body(self) -> bytes:
        """The error as JSON."""
        return json.dumps(error(self.code, str(self), self.param)).encode()


def error(code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": CODES[code][1], "param": param, "code": code}}
