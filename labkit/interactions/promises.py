"""Three tools that hold a side to what it promised, each for what it is good at: messages, tables, and whole services.

JSON Schema looks at one message, pandera at one table, schemathesis talks to a service and tries to catch it lying.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jsonschema
import pandas as pd

# ------------------------------------------------------------------------------------------------ messages
ORDER = {"type": "object", "required": ["id", "amount", "currency"], "additionalProperties": False,
         "properties": {"id": {"type": "string", "pattern": "^[0-9]+$"},
                        "amount": {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$"},
                        "currency": {"enum": ["EUR", "USD"]}}}
MESSAGES: dict[str, dict[str, Any]] = {
    "as agreed": {"id": "9007199254740993", "amount": "12.50", "currency": "EUR"},
    "id as a number": {"id": 9007199254740992, "amount": "12.50", "currency": "EUR"},
    "amount as a float": {"id": "1", "amount": 12.5, "currency": "EUR"},
    "a field renamed": {"id": "1", "total": "12.50", "currency": "EUR"},
    "a field missing": {"id": "1", "amount": "12.50"},
    "cents for euros": {"id": "1", "amount": "1250.00", "currency": "EUR"},
    "dollars called euros": {"id": "1", "amount": "13.40", "currency": "EUR"}}


def messages(schema: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What a JSON Schema says of seven messages: "" or its first complaint."""
    validator = jsonschema.Draft202012Validator(dict(ORDER if schema is None else schema))
    return {name: next((error.message for error in validator.iter_errors(message)), "")
            for name, message in MESSAGES.items()}


# ------------------------------------------------------------------------------------------------ tables
def table(frame: pd.DataFrame) -> list[str]:
    """What pandera finds in a table of orders: column, first row, value, rule; [] if nothing.

    `frame`: columns id and zip, texts of digits, and amount, a number above 0.

    >>> table(pd.DataFrame({"id": [7], "zip": ["00731"], "amount": [1.5]}))
    ['id, row 0: 7 (int64), must be text']
    """
    import pandera.pandas as pandera

    digits = pandera.Check.str_matches(r"^\d+$", error="digits only")
    above = pandera.Check.gt(0, error="above 0")
    schema = pandera.DataFrameSchema({"id": pandera.Column(str, digits), "zip": pandera.Column(str, digits),
                                      "amount": pandera.Column(float, above)})
    try:
        schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        return sorted(_said(frame, errors.failure_cases))
    return []


def _said(frame: pd.DataFrame, cases: pd.DataFrame) -> Iterable[str]:
    """One line a column and rule; a rule that could not be tried at all (no row) is the type's fault, said already."""
    tried = cases.dropna(subset=["index"]) if "column" in cases else cases
    for (column, check), rows in tried.groupby(["column", "check"]):
        kind = "text" if "str" in str(check) else "a number with a point"
        rule = kind if "dtype" in str(check) else check
        first = rows.iloc[0]
        yield f"{column}, row {first['index']}: {first['failure_case']} ({frame[column].dtype}), must be {rule}"
    for name in cases.loc[cases["check"] == "column_in_dataframe", "failure_case"]:
        yield f"{name}: this column must be there"


# ------------------------------------------------------------------------------------------------ services
Wsgi = Callable[[Mapping[str, Any], Callable[..., Any]], Iterable[bytes]]
PROMISE = {"openapi": "3.0.3", "info": {"title": "orders", "version": "1"}, "paths": {"/orders/{number}": {"get": {
    "parameters": [{"name": "number", "in": "path", "required": True,
                    "schema": {"type": "integer", "minimum": 0, "maximum": 99}}],
    "responses": {"200": {"description": "an order", "content": {"application/json": {"schema": ORDER}}}}}}}}


def service(honest: bool) -> Wsgi:
    """A small service that keeps its OpenAPI promise, or breaks it for every order from number 50 on."""
    def app(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/openapi.json":
            body: Any = PROMISE
        else:
            number = int(path.rpartition("/")[2])
            body = {"id": str(number) if honest or number < 50 else number, "amount": "1.00", "currency": "EUR"}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    return app


def catch(app: Wsgi, examples: int = 100) -> str:
    """Let schemathesis call the service with inputs made from its own promise: the first lie, or ""."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings

    operation = schemathesis.openapi.from_wsgi("/openapi.json", app)["/orders/{number}"]["GET"]

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True,
              phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        try:
            case.call_and_validate()
        except schemathesis.errors.FailureGroup as group:
            said = " ".join(str(group.exceptions[0]).split())
            raise AssertionError(f"GET {case.formatted_path}: {said}") from None

    try:
        ask()
    except AssertionError as error:
        return str(error)[:110]
    return ""
