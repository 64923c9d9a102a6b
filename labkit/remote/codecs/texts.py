"""Texts: JSON, XML and what is wrapped around them."""

from __future__ import annotations

import json
from typing import Any

from labkit.remote.codecs.codec import Codec
from labkit.remote.record import Record

SOAP_NAMES = "http://schemas.xmlsoap.org/soap/envelope/"
CUSTOMER_NAMES = "http://example.com/customer"
NO_TASK = "00000000-0000-4000-8000-000000000000"
NUMBERS = "nothing here; but a reader that takes numbers for doubles (JavaScript) changes ids beyond 2**53"


def dense(value: Any) -> bytes:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


def rpc(result: Any) -> bytes:
    """A reply of JSON-RPC 2.0 (2010), section 5."""
    return dense({"jsonrpc": "2.0", "id": 1, "result": result})


def mcp(record: Record, structured: bool) -> bytes:
    """A result of MCP's tools/call: a text for the model and, if `structured`, the same as JSON for the program.

    Specification 2025-11-25, "Tool Result".
    """
    result: dict[str, Any] = {"content": [{"type": "text", "text": json.dumps(record, indent=2)}], "isError": False}
    if structured:
        result["structuredContent"] = record
    return rpc(result)


def a2a(record: Record) -> bytes:
    """A reply to A2A's SendMessage (specification 1.0, JSON-RPC binding)."""
    message = {"messageId": NO_TASK, "contextId": NO_TASK, "taskId": NO_TASK, "role": "ROLE_AGENT",
               "parts": [{"data": record}]}
    return dense({"result": {"message": message}, "id": 1, "jsonrpc": "2.0"})


def money(value: float) -> str:
    """Two decimals where they say all, as people write it; else as many as it takes."""
    short = f"{value:.2f}"
    return short if float(short) == value and str(value) != "-0.0" else repr(value)


def element(record: Record, names: str = "") -> Any:
    """<customer>, with each field an element of its own; names: "" or "{namespace}"."""
    from lxml import etree
    root = etree.Element(names + "customer")
    for name in ("id", "name"):
        etree.SubElement(root, names + name).text = str(record[name])
    etree.SubElement(root, names + "balance").text = money(record["balance"])
    orders = etree.SubElement(root, names + "orders")
    for order in record["orders"]:
        one = etree.SubElement(orders, names + "order")
        for name in ("id", "date"):
            etree.SubElement(one, names + name).text = str(order[name])
        etree.SubElement(one, names + "total").text = money(order["total"])
    return root


def of_element(root: Any, names: str = "") -> Record:
    def text(of: Any, name: str) -> str:
        found = of.find(names + name)
        if found is None:
            raise ValueError(f"<{name}> is missing")
        return found.text or ""

    orders = root.find(names + "orders")
    return {"id": int(text(root, "id")), "name": text(root, "name"), "balance": float(text(root, "balance")),
            "orders": [{"id": int(text(one, "id")), "date": text(one, "date"), "total": float(text(one, "total"))}
                       for one in ([] if orders is None else orders)]}


def parsed(data: bytes) -> Any:
    """The root of a document; entities are not expanded, and nothing is fetched."""
    from lxml import etree
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))


def write_pox(record: Record) -> bytes:
    from lxml import etree
    data: bytes = etree.tostring(element(record))
    return data


def write_soap(record: Record) -> bytes:
    """A SOAP 1.1 envelope in RPC style."""
    from lxml import etree
    envelope = etree.Element(f"{{{SOAP_NAMES}}}Envelope", nsmap={"soap": SOAP_NAMES, "cust": CUSTOMER_NAMES})
    body = etree.SubElement(envelope, f"{{{SOAP_NAMES}}}Body")
    reply = etree.SubElement(body, f"{{{CUSTOMER_NAMES}}}getCustomerResponse")
    reply.append(element(record, f"{{{CUSTOMER_NAMES}}}"))
    data: bytes = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
    return data


def read_soap(data: bytes) -> Record:
    names = f"{{{CUSTOMER_NAMES}}}"
    found = parsed(data).find(f"{{{SOAP_NAMES}}}Body/{names}getCustomerResponse/{names}customer")
    if found is None:
        raise ValueError("no getCustomerResponse in the body")
    return of_element(found, names)


JSON = Codec("JSON", 2001, NUMBERS, dense, json.loads)
JSON_RPC = Codec("JSON-RPC", 2005, NUMBERS, rpc, lambda data: json.loads(data)["result"])
POX = Codec("POX", 1998, "control characters: XML 1.0 has no way to write them", write_pox,
            lambda data: of_element(parsed(data)), "lxml")
SOAP = Codec("SOAP", 2000, "control characters, as all XML", write_soap, read_soap, "lxml")
MCP_TEXT = Codec("MCP, text", 2024, NUMBERS, lambda record: mcp(record, False),
                 lambda data: json.loads(json.loads(data)["result"]["content"][0]["text"]))
MCP = Codec("MCP, text and structured", 2025, NUMBERS, lambda record: mcp(record, True),
            lambda data: json.loads(data)["result"]["structuredContent"])
A2A = Codec("A2A", 2025, NUMBERS, a2a, lambda data: json.loads(data)["result"]["message"]["parts"][0]["data"])
