"""Twenty-one encodings: their bytes, what they carry, and what becomes of the rest."""

import importlib.util
import json
import struct

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from labkit.remote import codecs
from labkit.remote.codecs import commarea, protobuf
from labkit.remote.record import EXAMPLE, check

ORDER = EXAMPLE["orders"][0]
LOSSY = ("COMMAREA, zoned", "COMMAREA, packed", "XDR, float balance")
BITS_32 = ("XDR", "XDR, float balance", "CDR", "protobuf", "protobuf, by hand", "Thrift, binary", "Thrift, compact",
           "Avro")
every = pytest.mark.parametrize("codec", codecs.ALL, ids=lambda codec: codec.name.replace(", ", "-"))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
numbers = st.floats(allow_nan=False, allow_infinity=False)
orders = st.fixed_dictionaries({"id": st.integers(), "date": texts, "total": numbers})
records = st.fixed_dictionaries({"id": st.integers(), "name": texts, "balance": numbers,
                                 "orders": st.lists(orders, max_size=4)})


def but(**fields):
    return {**EXAMPLE, **fields}



class TestBytes:
    SIZES = {
        "Avro": 64, "protobuf": 74, "protobuf, by hand": 74, "Thrift, compact": 76, "COMMAREA, packed": 79,
        "XDR, float balance": 84, "XDR": 88, "COMMAREA, zoned": 91, "CDR": 96, "Thrift, binary": 116, "msgpack": 120,
        "CBOR": 120, "JSON": 146, "pickle": 155, "serpent": 172, "JSON-RPC": 180, "POX": 238, "MCP, text": 365,
        "A2A": 383, "MCP, text and structured": 532, "SOAP": 610}

    def test_sizes(self):
        assert {codec.name: len(codec.encode(EXAMPLE)) for codec in codecs.ALL} == self.SIZES

    def test_oldest_first_and_once_each(self):
        assert [codec.year for codec in codecs.ALL] == sorted(codec.year for codec in codecs.ALL)
        assert len({codec.name for codec in codecs.ALL}) == len(codecs.ALL) >= 18

    def test_xdr_is_as_the_standard_draws_it(self):
        data = codecs.named("XDR").encode(EXAMPLE)
        assert data[:4] == (12345).to_bytes(4, "big")
        assert data[4:20] == b"\0\0\0\x0aJohn Smith\0\0"
        assert data[20:28] == struct.pack(">d", 5000) and data[28:32] == b"\0\0\0\2"

    def test_cdr_starts_a_double_at_a_multiple_of_eight(self):
        data = codecs.named("CDR").encode(EXAMPLE)
        assert data[4:19] == b"\x0b\0\0\0John Smith\0"
        assert data[24:32] == struct.pack("<d", 5000) and data[19:24] == bytes(5)

    def test_commarea_in_ebcdic(self):
        data = codecs.named("COMMAREA, zoned").encode(but(balance=-0.01))
        assert data[:8].hex() == "f0f0f0f1f2f3f4f5"
        assert data[8:18].hex() == "d1968895" + "40" + "e29489a388"                 # John Smith
        assert data[38:47].hex() == "f0f0f0f0f0f0f0f0d1"                           # the sign sits on the last digit
        assert codecs.named("COMMAREA, packed").encode(but(balance=-12.34))[38:43].hex() == "000001234d"

    @pytest.mark.parametrize(("value", "data"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"),
                                                 (-1, "ffffffffffffffffff01")])
    def test_varints(self, value, data):
        assert protobuf.varint(value).hex() == data

    def test_mcp_says_it_twice(self):
        data = json.loads(codecs.named("MCP, text and structured").encode(EXAMPLE))["result"]
        assert json.loads(data["content"][0]["text"]) == data["structuredContent"] == EXAMPLE

    def test_soap_is_namespaced_xml(self):
        from lxml import etree
        root = etree.fromstring(codecs.named("SOAP").encode(EXAMPLE))
        assert root.tag == "{http://schemas.xmlsoap.org/soap/envelope/}Envelope"
        assert root.findtext(".//{http://example.com/customer}balance") == "5000.00"


class TestRoundTrip:
    @every
    def test_the_example(self, codec):
        assert codec.decode(codec.encode(EXAMPLE)) == EXAMPLE

    @every
    def test_orders_may_be_tuples(self, codec):
        tuples = but(orders=[(1, "2024-01-15", 99.99), (2, "2024-02-20", 149.5)])
        assert codec.decode(codec.encode(tuples)) == EXAMPLE

    @settings(max_examples=200, deadline=None)
    @given(record=records)
    def test_what_is_not_refused_comes_through_unless_the_format_is_known_to_lose(self, record):
        for codec in codecs.ALL:
            crossing = codecs.cross(codec, record)
            assert crossing.kind in ("same", "refused") or codec.name in LOSSY, (codec.name, crossing)

    @settings(max_examples=100, deadline=None)
    @given(number=st.integers(-2**31, 2**31 - 1), name=st.text("aZ09 .éß", max_size=30), balance=numbers)
    def test_ordinary_records_are_refused_by_none_of_the_exact_ones(self, number, name, balance):
        record = but(id=number, name=name, balance=balance)
        for codec in codecs.ALL:
            assert codec.name in LOSSY or codecs.cross(codec, record).kind == "same", codec.name

    @settings(max_examples=200, deadline=None)
    @given(record=records)
    def test_protobuf_by_hand_is_googles(self, record):
        ours, theirs = codecs.named("protobuf, by hand"), codecs.named("protobuf")
        if codecs.cross(theirs, record).kind == "refused":
            assert codecs.cross(ours, record).kind == "refused"
        else:
            assert ours.encode(record) == theirs.encode(record)
            assert repr(ours.decode(theirs.encode(record))) == repr(theirs.decode(ours.encode(record)))

    @settings(max_examples=200, deadline=None)
    @given(cents=st.integers(-10**9 + 1, 10**9 - 1))
    def test_cobol_money(self, cents):
        assert commarea.unzoned(commarea.zoned(cents)) == commarea.unpacked(commarea.packed(cents)) == cents
        assert commarea.cents(cents / 100) == cents


class TestLosses:
    """Silently changed, refused or the same: who does not carry a cruel record, and how one learns of it."""

    CRUEL = {
        "a Polish letter": (but(name="Łukasz"), {"changed": LOSSY[:2]}),
        "a tenth": (but(balance=0.1), {"changed": LOSSY[2:]}),
        "more than a million": (but(balance=1234567.89), {"changed": LOSSY[2:]}),
        "huge": (but(balance=1e300), {"changed": LOSSY[:2], "refused": LOSSY[2:]}),
        "an eighth of a cent": (but(balance=0.00125), {"changed": LOSSY}),
        "minus zero": (but(balance=-0.0), {"changed": LOSSY[:2]}),
        "in debt": (but(balance=-1.0), {}),
        "no orders, no name": (but(name="", orders=[]), {}),
        "three orders": (but(orders=[ORDER] * 3), {"changed": LOSSY[:2]}),
        "31 letters": (but(name="x" * 31), {"changed": LOSSY[:2], "refused": LOSSY[2:]}),
        "a blank at the end": (but(name="Ann "), {"changed": LOSSY[:2]}),
        "a negative id": (but(id=-1), {"changed": LOSSY[:2]}),
        "2**31": (but(id=2**31), {"changed": LOSSY[:2], "refused": BITS_32}),
        "2**53 + 1": (but(id=2**53 + 1), {"changed": LOSSY[:2], "refused": BITS_32}),
        "2**70": (but(id=2**70), {"changed": LOSSY[:2], "refused": (*BITS_32, "msgpack")}),
        "a zero byte": (but(name="a\0b"), {"refused": ("CDR", "POX", "SOAP")}),
        "a control character": (but(name="a\x07b"), {"refused": ("POX", "SOAP")}),
    }

    @pytest.mark.parametrize("what", CRUEL)
    def test_who_loses_what(self, what):
        record, expected = self.CRUEL[what]
        found = {}
        for codec in codecs.ALL:
            found.setdefault(codecs.cross(codec, record).kind, set()).add(codec.name)
        found.pop("same")
        assert found == {kind: set(names) for kind, names in expected.items()}

    def test_a_crossing_says_what_became_of_what(self):
        crossing = codecs.cross(codecs.named("XDR, float balance"), but(balance=1234567.89))
        assert crossing.what == "balance: 1234567.89 became 1234567.875"
        assert "id = 2147483648: must be in [-2147483648" in codecs.cross(codecs.named("Avro"), but(id=2**31)).what


class TestBytesOf:
    def test_a_fixed_record_is_all_values(self):
        owners = codecs.bytes_of(codecs.named("COMMAREA, packed"), EXAMPLE)
        assert owners[:8] == ["id"] * 8 and owners[8:38] == ["name"] * 30 and owners[38:43] == ["balance"] * 5

    def test_protobuf_tags_are_the_formats_own(self):
        owners = codecs.bytes_of(codecs.named("protobuf"), EXAMPLE)
        assert owners[:5] == ["", "id", "id", "", ""] and owners[5:15] == ["name"] * 10

    def test_mcp_has_each_letter_of_the_name_twice(self):
        assert codecs.bytes_of(codecs.named("MCP, text and structured"), EXAMPLE).count("name") == 20

    @every
    def test_each_field_is_found_and_the_seed_is_all_the_chance_there_is(self, codec):
        owners = codecs.bytes_of(codec, EXAMPLE, seed=3)
        assert set(owners) - {""} == {"id", "name", "balance", *[f"orders[{n}].{f}" for n in (0, 1) for f in ORDER]}
        assert owners == codecs.bytes_of(codec, EXAMPLE, seed=3) and len(owners) == len(codec.encode(EXAMPLE))


class TestBadInput:
    @pytest.mark.parametrize(("record", "said"), [
        (None, "record = None: must have the fields id, name, balance, orders"),
        ({"id": 1}, "must have the fields"), (but(extra=1), "and no others"),
        (but(id="1"), "id = '1': must be a whole number"), (but(id=True), "id = True"), (but(id=1.0), "id = 1.0"),
        (but(name=None), "name = None: must be a text"), (but(balance="5"), "balance = '5': must be a finite number"),
        (but(balance=float("nan")), "balance = nan"), (but(balance=float("inf")), "balance = inf"),
        (but(orders={}), "orders = {}: must be a list"), (but(orders="ab"), "orders = 'ab'"),
        (but(orders=[ORDER, {**ORDER, "id": "x"}]), "orders[1].id = 'x'"), (but(orders=[(1, 2)]), "orders[0] = (1, 2)"),
    ])
    def test_a_record_that_is_none(self, record, said):
        for codec in codecs.ALL:
            with pytest.raises(ValueError) as refused:
                codec.encode(record)
            assert said in str(refused.value)

    @every
    def test_cut_off_bytes_are_one_clear_error(self, codec):
        data = codec.encode(EXAMPLE)
        for size in (0, 1, len(data) // 2, len(data) - 1):
            with pytest.raises(ValueError, match=codec.name):
                found = codec.decode(data[:size])
                # without a length in front nobody can tell; protobuf: a message is whatever came
                assert codec.name.startswith("protobuf") and found != EXAMPLE
                raise ValueError(codec.name)

    @settings(max_examples=100, deadline=None)
    @given(data=st.binary(max_size=100))
    def test_a_strangers_bytes(self, data):
        for codec in codecs.ALL:
            if codec.name != "pickle" and not codec.name.startswith("Thrift"):     # see Codec.decode
                try:
                    assert check(codec.decode(data))
                except ValueError as error:
                    assert codec.name in str(error)

    def test_a_name_that_is_none(self):
        with pytest.raises(ValueError, match="'COMMAREA, zoned'"):
            codecs.named("EBCDIC")

    def test_a_package_that_is_missing_is_named(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        codec = codecs.named("Avro")
        assert not codec.available and codecs.named("XDR").available
        with pytest.raises(ImportError, match=r"fastavro: pip install 'labkit\[remote\]'"):
            codec.encode(EXAMPLE)


def test_protobuf_skips_what_it_does_not_know():
    data = codecs.named("protobuf").encode(EXAMPLE)
    unknown = protobuf.tag(9, protobuf.BYTES) + b"\x03new" + protobuf.tag(10, protobuf.FIXED32) + bytes(4)
    assert codecs.named("protobuf, by hand").decode(unknown + data) == EXAMPLE
