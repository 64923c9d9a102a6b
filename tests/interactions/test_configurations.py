"""Real-shaped configuration files with planted faults: each is found, none in its twin, and silence is said."""

import pytest

from labkit.interactions import coherence, settings
from tests.interactions.configurations import ALL


def checked(folder, files, own):
    for name, text in files.items():
        (folder / name).write_text(text)
    return coherence.check(coherence.load(*(folder / name for name in files), settings.Configuration(own)))


@pytest.mark.parametrize("name", ALL)
def test_a_planted_fault_is_found_and_its_twin_is_clean(name, tmp_path):
    planted = ALL[name]
    found = checked(tmp_path, planted.files, planted.own)
    assert {broken.relation for broken in found} == planted.broken, found
    clean = checked(tmp_path, planted.twin, planted.own)
    assert clean.fits and set(clean.applied) >= planted.broken, clean


def test_there_are_enough_of_enough_programs():
    kinds = {settings.kind_of(name, text) for planted in ALL.values() for name, text in planted.files.items()}
    assert len(ALL) >= 20 and len(kinds) >= 10
    assert len(set().union(*(planted.broken for planted in ALL.values()))) >= 20


@pytest.mark.parametrize("name,text", [
    ("nginx.conf", "events { }"), ("x.properties", "some.thing=1\nother.thing=2"),
    ("compose.yml", "services: { a: {} }"),
    ("job.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }"), ("own.toml", "[alibi]\nx = 1"),
    ("haproxy.cfg", "global\n maxconn 5")])
def test_files_nobody_can_check_are_not_called_fine(name, text, tmp_path):
    found = checked(tmp_path, {name: text}, {})
    assert not found.fits and not found.applied and "NOTHING WAS CHECKED" in repr(found)
