"""Text against a list of characters, a naive tree, and pycrdt."""

import random

import pycrdt
import pytest

from labkit.crdt import Text, sessions


def naive(texts):
    """The Fugue order from the logs alone, by walking the tree; no blocks, no incremental anything."""
    changes = {change for text in texts for log in text.log.values() for change in log}
    dead = {change.parent for change in changes if change.character is None}
    children = {}
    for change in changes:
        if change.character is not None:
            children.setdefault((change.parent, change.right), []).append(change)

    def walk(node):
        out, stack = [], [(node, "left")]
        while stack:
            at, stage = stack.pop()
            key = None if at is None else at.id
            if stage == "left":
                stack.append((at, "self"))
                stack += [(c, "left") for c in sorted(children.get((key, False), []), key=lambda c: c.id[::-1])[::-1]]
            else:
                if at is not None and at.id not in dead:
                    out.append(at.character)
                stack += [(c, "left") for c in sorted(children.get((key, True), []), key=lambda c: c.id[::-1])[::-1]]
        return "".join(out)

    return walk(None)


def exchange(texts):
    for _ in range(2):
        for one in texts:
            for other in texts:
                one.merge(other)


def exchange_docs(docs):
    for _ in range(2):
        for doc in docs:
            for other in docs:
                if doc is not other:
                    doc.apply_update(other.get_update(doc.get_state()))


def session(seed, replicas, moves=40, conflicts=True, partners=None):
    """Random edits and merges, ending in agreement; `partners` gets the same from pycrdt."""
    rng = random.Random(seed)
    texts = [Text(i + 1) for i in range(replicas)]
    docs = [pycrdt.Doc(client_id=i + 1) for i in range(replicas)]
    mirrors = [doc.get("text", type=pycrdt.Text) for doc in docs]
    for _ in range(moves):
        i, chance, length = rng.randrange(replicas), rng.random(), 0
        length = len(texts[i])
        if chance < 0.25:
            j = rng.randrange(replicas)
            texts[i].merge(texts[j])
            docs[i].apply_update(docs[j].get_update(docs[i].get_state()))
        elif chance < 0.4 and length:
            at = rng.randrange(length)
            texts[i].delete(at)
            del mirrors[i][at]
        else:
            at = rng.choice([0, length, length // 2]) if conflicts else rng.randint(0, length)
            word = rng.choice(["ab", "c", "def"])
            texts[i].insert(at, word)
            mirrors[i].insert(at, word)
    exchange(texts)
    exchange_docs(docs)
    return texts, [str(mirror) for mirror in mirrors]


@pytest.mark.parametrize("seed", range(5))
def test_one_writer_is_a_list_of_characters(seed):
    rng, text, plain = random.Random(seed), Text("a"), []
    for _ in range(1500):
        if plain and rng.random() < 0.4:
            at = rng.randrange(len(plain))
            count = rng.randint(1, min(6, len(plain) - at))
            text.delete(at, count)
            del plain[at:at + count]
        else:
            at, word = rng.randint(0, len(plain)), "".join(rng.choices("abcdé😀", k=rng.randint(0, 12)))
            text.insert(at, word)
            plain[at:at] = word
        assert len(text) == len(plain)
    assert text.value() == "".join(plain) == text.copy().value() == naive([text])


@pytest.mark.parametrize("replicas", [3, 4, 5])
def test_sessions_with_conflicts_converge_to_the_naive_order(replicas):
    for seed in range(120):
        texts, _ = session(seed, replicas)
        assert len({text.value() for text in texts}) == 1 and all(text == texts[0] for text in texts)
        assert texts[0].value() == naive(texts)


def test_two_writers_get_what_pycrdt_gives_conflicts_included():
    for seed in range(150):
        texts, mirrors = session(seed, 2)
        assert texts[0].value() == mirrors[0] == mirrors[1]


@pytest.mark.parametrize("replicas", [3, 4])
def test_many_writers_get_what_pycrdt_gives_where_no_two_runs_meet(replicas):
    """Each writer has a paragraph of its own, and they all merge at random: positions never meet."""
    for seed in range(60):
        rng = random.Random(seed)
        texts, docs = [Text(1)], [pycrdt.Doc(client_id=1)]
        start = "".join(f"<{i}>" + "." * 8 for i in range(replicas))
        texts[0].insert(0, start)
        docs[0].get("text", type=pycrdt.Text).insert(0, start)
        for i in range(1, replicas):
            texts.append(Text(i + 1))
            texts[i].merge(texts[0])
            docs.append(pycrdt.Doc(client_id=i + 1))
            docs[i].apply_update(docs[0].get_update())
        mirrors = [doc.get("text", type=pycrdt.Text) for doc in docs]
        for _ in range(60):
            i = rng.randrange(replicas)
            value = texts[i].value()
            begin = value.index(f"<{i}>") + 3
            end = value.index(f"<{i + 1}>") if i + 1 < replicas else len(value)
            if rng.random() < 0.3:
                j = rng.randrange(replicas)
                texts[i].merge(texts[j])
                docs[i].apply_update(docs[j].get_update(docs[i].get_state()))
            elif rng.random() < 0.4 and end - begin > 2:
                texts[i].delete(begin + 1)
                del mirrors[i][begin + 1]
            else:
                at = rng.randint(begin + 1, max(begin + 1, end - 1))
                texts[i].insert(at, "xy")
                mirrors[i].insert(at, "xy")
        exchange(texts)
        exchange_docs(docs)
        assert texts[0].value() == texts[-1].value() == str(mirrors[0])


def test_where_many_meet_fugue_and_yata_mostly_agree_and_the_smallest_difference_is_known():
    """With three writers at one place the algorithms differ: a run may be put before or after a third one."""
    same = sum(texts[0].value() == mirrors[0] for texts, mirrors in (session(seed, 3) for seed in range(200)))
    assert same >= 180
    texts, docs = [Text(i) for i in (1, 2, 3)], [pycrdt.Doc(client_id=i) for i in (1, 2, 3)]
    mirrors = [doc.get("text", type=pycrdt.Text) for doc in docs]
    for i, letter in ((1, "a"), (2, "b")):
        texts[i].insert(0, letter)
        mirrors[i].insert(0, letter)
    texts[0].merge(texts[2])
    docs[0].apply_update(docs[2].get_update())
    texts[0].insert(0, "c")
    mirrors[0].insert(0, "c")
    texts[0].merge(texts[1])
    docs[0].apply_update(docs[1].get_update())
    assert (texts[0].value(), str(mirrors[0])) == ("acb", "cab")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_runs_typed_at_one_place_do_not_interleave(backward, seed):
    rng = random.Random(seed)
    ids = rng.sample(range(1, 10**6), 3)
    texts = [Text(i) for i in ids]
    base = Text(0)
    base.insert(0, "()")
    for text, letter in zip(texts, "abc", strict=True):
        text.merge(base)
        for k in range(6):
            text.insert(1 if backward else 1 + k, letter)
    exchange(texts)
    value = texts[0].value()
    assert all(letter * 6 in value for letter in "abc") and len(value) == 20


def test_deleting_what_another_types_into_keeps_the_typing():
    a, b = Text("a"), Text("b")
    a.insert(0, "one two three")
    b.merge(a)
    a.delete(4, 4)
    b.insert(6, "XX")
    a.merge(b)
    b.merge(a)
    assert a.value() == b.value() == "one XXthree"
    assert a.tombstones() == 4


def test_positions_are_characters():
    text = Text("a")
    text.insert(0, "é😀")
    text.insert(1, "X")
    assert text.value() == "éX😀" and len(text) == 3


def test_bad_positions():
    text = Text("a")
    text.insert(0, "tea")
    for call, message in ((lambda: text.insert(4, "x"), "Text.insert: index = 4: must be a whole number >= 0 and <= 3"),
                          (lambda: text.insert(-1, "x"), "Text.insert: index = -1"),
                          (lambda: text.insert(0, 7), "Text.insert: text = 7: must be of type str"),
                          (lambda: text.delete(1, 3), "Text.delete: count = 3: must be a whole number >= 0 and <= 2"),
                          (lambda: text.delete(5), "Text.delete: index = 5")):
        with pytest.raises(ValueError, match=message):
            call()
    assert text.value() == "tea"


def test_the_session_of_a_seed_plays_the_same_edits_in_both_programs():
    """Two writers always end in one text; with four, programs that differ by design differ now and then."""
    for seed in range(20):
        played = sessions.play(seed, 2)
        assert {text.value() for text in played.ours} == {str(text) for text in played.theirs}
        assert len(played.ours[0]) > 10
    assert any(sessions.play(seed, 2).ours[0].tombstones() for seed in range(5))
    assert 0 < sum(sessions.same_text(seed, 4) for seed in range(40)) < 40
    with pytest.raises(ValueError, match="^Session: writers = 1: must be at least 2"):
        sessions.Session(1)


def test_random_edits_are_timed_in_any_text():
    text = []
    assert sessions.seconds(text.insert, text.pop, count=500) > 0
    assert set(text) == {"x"} and 100 < len(text) < 300
