"""Configuration, keys, audit log, redaction: the parts of the gateway that need no server."""

import os
import random
import statistics
import string
import time

import pytest

from labkit.gateway import ConfigError, parse
from labkit.gateway.__main__ import EXAMPLE, main
from labkit.gateway.keys import KeyRefused, Keys
from labkit.gateway.telemetry.audit import Audit, verify
from labkit.gateway.telemetry.redact import CLASSES, find, luhn, mod97, redact

ONE = ('[[models]]\nname = "small"\nserved = "s"\nbase_url = "http://127.0.0.1:1/v1"\n'
       'usd_per_million_input = 0.1\nusd_per_million_output = 0.4\n')


# ------------------------------------------------------------------------------------------------ configuration
def test_the_example_is_a_configuration_and_one_model_is_enough():
    found = parse(EXAMPLE)
    assert [m.name for m in found.models] == ["small", "large"] and found.server.host == "127.0.0.1"
    assert ("team:*", "day", 10_000_000) in found.budgets and ("request", "request", 50_000) in found.budgets
    assert parse(ONE).models[0].max_tokens == 512


def test_every_error_is_listed_at_once():
    with pytest.raises(ConfigError) as refused:
        parse('nonsense = 1\nhold_seconds = 10\n[server]\nport = "80"\nhots = "x"\n[router]\nkind = "magic"\n'
              '[budgets]\nglobal = {week = 1}\n"user:" = {day = 1}\nrequest = -1\n[timeouts]\nrequest = 0\n'
              '[[models]]\nname = "auto"\nserved = "s"\nbase_url = "ftp://x"\nusd_per_million_input = -1\n' + ONE + ONE)
    assert refused.value.errors == [
        "server.hots: unknown; there is host, port, max_body_bytes, drain_seconds",
        "server.port = '80': must be a whole number >= 0",
        "router.kind = 'magic': must be one of 'keyword', 'length', 'learned', 'cascade'",
        "timeouts.request = 0: must be a number > 0",
        "models[0].usd_per_million_input = -1: must be a number >= 0",
        "models[0].usd_per_million_output: must be given",
        "models: the name 'small' is there twice",
        "budgets: period = 'week': must be one of 'day', 'month'",
        "budgets: scope = 'user:': must be 'global', 'request', 'user:NAME', 'team:NAME', 'user:*' or 'team:*'",
        "budgets.request.request = -1: must be dollars >= 0",
        "nonsense: unknown; the tables are server, files, router, rate, retry, breaker, admission, timeouts, cache, "
        "tracing, models, budgets",
    ]


@pytest.mark.parametrize(("text", "message"), [
    ("x = ", "not TOML: Invalid value (at end of document)"),
    ("", "models: at least one [[models]] table is needed"),
    (ONE + ONE.replace("small", "large") + "[router]\nthresholds = []\n", "router.thresholds = []: 2 models need 1"),
    (ONE + ONE.replace("small", "l") + ONE.replace("small", "x") + "[router]\nthresholds = [0.5, 0.2]\n",
     "router.thresholds = [0.5, 0.2]: must rise"),
    (ONE + '[router]\nkind = "learned"\nfile = "no.json"\n',
     "router.file = 'no.json': there is no such file; LearnedRouter.save writes one"),
    ("hold_seconds = 60\n" + ONE, "hold_seconds = 60: must be more than timeouts.request = 60, or holds end before "
     "their requests"),
    (ONE.replace("http://", ""), "models: small.base_url = '127.0.0.1:1/v1': must begin with http:// or https://"),
    (ONE.replace('name = "small"', 'name = "auto"'),
     "models: 'auto' is the name for the router's choice; call the model something else"),
    ("budgets = 3\n" + ONE, "budgets: must be a table"),
    (ONE + "[budgets]\nglobal = 5\n", "budgets.global = 5: must be a table of day and month, in dollars"),
])
def test_a_wrong_configuration_says_what_is_allowed(text, message):
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert refused.value.errors == [message]


def test_the_command_makes_keys_checks_reports_and_says_what_is_wrong(tmp_path, capsys):
    file = tmp_path / "gateway.toml"
    assert main(["check", str(file)]) == 1
    assert "No such file" in capsys.readouterr().err
    file.write_text(ONE)
    assert main(["key", str(file), "ada", "eng", "--days", "30"]) == 0
    key = capsys.readouterr().out.strip()
    assert main(["check", str(file)]) == 0 and "1 models, 0 budgets, 1 keys" in capsys.readouterr().out
    assert main(["report", str(file)]) == 0 and "team" in capsys.readouterr().out
    assert main(["revoke", str(file), key.split("-")[1]]) == 0
    assert main(["revoke", str(file), "00000000"]) == 1
    assert "id = '00000000': there is no such key" in capsys.readouterr().err
    file.write_text("[[models]]\n")
    assert main(["serve", str(file)]) == 1
    assert capsys.readouterr().err.startswith(f"{file}: 5 to correct\n  models[0].name: must be given\n")
    with pytest.raises(SystemExit):
        main(["fly"])


# ---------------------------------------------------------------------------------------------------------- keys
def test_a_key_is_kept_as_a_hash_and_checked(tmp_path):
    keys = Keys(tmp_path / "keys.json")
    key = keys.new("ada", "eng")
    assert key.split("-")[2] not in (tmp_path / "keys.json").read_text()
    assert (keys.check(key).user, keys.check(key).team) == ("ada", "eng")
    for wrong in ("", "lk-", "lk--", key[:-1], key + "0", key.upper(), f"lk-{key.split('-')[1]}-", "sk-123"):
        with pytest.raises(KeyRefused, match="this API key is not known"):
            keys.check(wrong)
    short = keys.new("bob", "eng", days=99)
    late = Keys(tmp_path / "keys.json", clock=lambda: time.time() + 100 * 86_400)
    with pytest.raises(KeyRefused, match="has expired"):
        late.check(short)
    for user, message in (("a b", "user = 'a b': must be letters, digits"), ("", "user = ''")):
        with pytest.raises(ValueError, match=message):
            keys.new(user, "eng")
    (tmp_path / "bad.json").write_text("[{}]")
    with pytest.raises(ValueError, match=r"bad\.json cannot be read"):
        Keys(tmp_path / "bad.json")


def test_a_wrong_secret_and_an_unknown_id_take_the_same_steps(tmp_path, monkeypatch):
    keys = Keys(tmp_path / "keys.json")
    key, compared = keys.new("ada", "eng"), []
    import hmac
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b))
    for wrong in (key[:-1] + "?", "lk-00000000-" + key.split("-")[2], "nothing"):
        with pytest.raises(KeyRefused):
            keys.check(wrong)
    assert compared == [(64, 64)] * 3                           # one comparison of two digests, whatever was wrong


# ----------------------------------------------------------------------------------------------------- audit log
def written(path, records=5):
    log = Audit(path)
    for i in range(records):
        log.write({"user": "ada", "microdollars": i})
    log.close()
    return log


def test_an_audit_log_shows_every_kind_of_change(tmp_path):
    path = tmp_path / "audit.jsonl"
    written(path)
    lines = path.read_text().splitlines(keepends=True)
    assert verify(path) == "" and verify(path, records=5) == ""
    for changed, wrong in (
            (lines[:1] + [lines[1].replace("ada", "eve")] + lines[2:], "record 2 was changed"),
            (lines[:2] + lines[3:], "record 3 was changed, or one before it is missing"),
            (lines[1:], "record 1 was changed"),
            ([lines[1], lines[0], *lines[2:]], "record 1 was changed"),
            ([*lines, lines[-1]], "record 6 was changed"),
            ([*lines[:4], '{"n":4,"hash":"0"}\n'], "record 5 was changed"),
            ([*lines[:4], "{}\n"], "record 5 was changed")):
        path.write_text("".join(changed))
        assert verify(path).startswith(wrong), wrong
    path.write_text("".join(lines[:4]))
    assert verify(path) == "" and verify(path, records=5) == "4 records, 5 were written: the end is missing"
    path.write_text("".join(lines))
    assert verify(path, key=b"another key").startswith("record 1 was changed")      # nobody forges it without the key


def test_an_audit_log_goes_on_after_a_restart_and_after_a_torn_line(tmp_path):
    path = tmp_path / "audit.jsonl"
    written(path, 2)
    assert written(path, 3).records == 5 and verify(path, records=5) == ""
    with path.open("a") as file:
        file.write('{"n":5,"user":"a')                           # the power went
    assert written(path, 1).records == 6 and verify(path, records=6) == ""
    assert (tmp_path / "audit.jsonl.torn").read_text() == '{"n":5,"user":"a'
    assert os.stat(tmp_path / "audit.jsonl.key").st_mode & 0o777 == 0o600
    assert main(["verify", str(path)]) == 0 and main(["verify", str(path), "--records", "7"]) == 1


# ----------------------------------------------------------------------------------------------------- redaction
def digits(rng, n):
    return "".join(rng.choice(string.digits) for _ in range(n))


def card(rng):
    body = rng.choice(["4", "5", "37"]) + digits(rng, 14)
    body = body[:15]
    last = next(d for d in string.digits if luhn(body + d))
    number = body + last
    return rng.choice([number, " ".join(number[i:i + 4] for i in range(0, 16, 4)),
                       "-".join(number[i:i + 4] for i in range(0, 16, 4))])


def iban(rng):
    country, body = rng.choice([("DE", 18), ("FR", 23), ("GB", 18), ("NL", 14)])
    number = digits(rng, body)
    for check in range(2, 99):
        if mod97(f"{country}{check:02d}{number}"):
            whole = f"{country}{check:02d}{number}"
            return rng.choice([whole, " ".join(whole[i:i + 4] for i in range(0, len(whole), 4))])
    raise AssertionError


def letters(rng, n, alphabet=string.ascii_letters + string.digits):
    return "".join(rng.choice(alphabet) for _ in range(n))


MAKERS = {
    "email": lambda r: f"{letters(r, 6, string.ascii_lowercase)}.{letters(r, 5, string.ascii_lowercase)}@example.org",
    "card": card, "iban": iban,
    "ssn": lambda r: f"{r.randint(100, 665)}-{r.randint(10, 99)}-{r.randint(1000, 9999)}",
    "phone": lambda r: r.choice([f"+49 30 {digits(r, 8)}", f"({r.randint(200, 999)}) 555-{digits(r, 4)}",
                                 f"+1 {r.randint(200, 999)}-555-{digits(r, 4)}"]),
    "ip": lambda r: ".".join(str(r.randint(1, 254)) for _ in range(4)),
    "key": lambda r: r.choice([f"sk-proj-{letters(r, 30)}", f"ghp_{letters(r, 36)}",
                               f"AKIA{letters(r, 16, string.ascii_uppercase)}", f"hf_{letters(r, 34)}"]),
    "password": lambda r: f"password: {letters(r, 8)}{r.randint(10, 99)}",
    "private key": lambda r: "-----BEGIN RSA PRIVATE KEY-----\n" + letters(r, 64) + "\n-----END RSA PRIVATE KEY-----",
}
DECOYS = [
    lambda r: f"order {digits(r, 16)[:-1]}", lambda r: f"invoice {r.randint(10**6, 10**7)}",
    lambda r: f"version 1.{r.randint(300, 999)}.{r.randint(300, 999)}.{r.randint(300, 999)}",
    lambda r: f"in {r.randint(1900, 2030)} we sold {r.randint(1000, 99999)} pieces",
    lambda r: f"part DE{r.randint(10, 99)}X", lambda r: f"ratio {r.random():.8f}",
    lambda r: "the secret of a good soup",
    lambda r: f"666-{r.randint(10, 99)}-{r.randint(1000, 9999)}", lambda r: "sk-ill", lambda r: "me at home",
    lambda r: f"{r.randint(10, 23)}:{r.randint(10, 59)}-{r.randint(10, 23)}:{r.randint(10, 59)}",
]


def measured(seed=0, each=200):
    """Recall per class and precision, on made-up sentences."""
    rng, found, false = random.Random(seed), dict.fromkeys(MAKERS, 0), 0
    for name, make in MAKERS.items():
        for _ in range(each):
            value = make(rng)
            text = f"Please note {value} and call back."
            hits = list(find(text))
            found[name] += any(kind == name and text[a:b] == value for kind, a, b in hits)
            false += sum(kind != name for kind, _, _ in hits)
    wrong = sum(len(list(find(f"Please note {decoy(rng)} and call back."))) for decoy in DECOYS for _ in range(each))
    right = sum(found.values())
    return {name: n / each for name, n in found.items()}, right / (right + false + wrong)


def test_recall_and_precision_on_made_up_data():
    recall, precision = measured()
    assert set(recall) == set(CLASSES)
    assert min(recall.values()) >= 0.97 and statistics.mean(recall.values()) >= 0.99, recall
    assert precision >= 0.97


def test_what_has_no_pattern_is_not_found_and_a_checksum_saves_an_order_number():
    assert redact("Ada Lovelace lives in Paris, order 4111 1111 1111 1112") == (
        "Ada Lovelace lives in Paris, order 4111 1111 1111 1112")
    assert redact("key sk-proj-AAAAAAAAAAAAAAAAAAAAAAAA in a@b.org") == "key [key] in [email]"
    assert redact("x" * 100_000) == "x" * 100_000 and redact("") == ""
