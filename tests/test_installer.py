"""uv where it can be had, otherwise pip; what it says when neither can; and stamps only after what went well."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from labkit import installer

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = "http://127.0.0.1:9/simple"           # the discard port: nobody listens


@pytest.fixture
def no_index(monkeypatch):
    """Both tools look for packages where nothing is, and give up at once."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "1",
                        "UV_HTTP_RETRIES": "0"}.items():
        monkeypatch.setenv(name, value)


def fake(folder, name, script):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Stand-ins for uv and pip: a function that sets what each does."""
    def put(uv, pip):
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
        fake(tmp_path, "uv", uv)
        monkeypatch.setattr(installer, "PIP", [fake(tmp_path, "fakepip", pip)])
    return put


def test_uv_is_asked_first_and_for_this_interpreter(tools):
    tools('echo "$@"', "echo no; exit 1")
    said = []
    assert installer.install(["polars>=1.10"], said.append) == "uv"
    assert said == [f"pip install --python {sys.executable} polars>=1.10"]


def test_pip_takes_over_where_uv_cannot(tools):
    tools("echo; echo 'cannot reach its index'; echo; exit 2", 'echo "pip: $@"')
    said = []
    assert installer.install(["-e", ".[lab]"], said.append) == "pip"
    assert said == ["cannot reach its index", "pip: -e .[lab]"]


def test_what_each_said_last_is_the_reason(tools):
    tools("exit 2", "echo 'WARNING: Retrying (Retry(total=0 ...'; echo 'no such package' >&2; exit 1")
    with pytest.raises(installer.InstallError) as failed:
        installer.install(["x"], print)
    assert str(failed.value) == ("uv: it ended without a word; "
                                 "pip: no such package (the package index does not answer)")


def test_uv_gets_pips_index_and_keeps_its_own(tools, no_index, monkeypatch):
    tools('echo "index $UV_DEFAULT_INDEX, colour ${FORCE_COLOR:-none}"', "exit 1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = []
    installer.install(["x"], said.append)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:10/own")
    installer.install(["x"], said.append)
    assert said == [f"index {NOWHERE}, colour none", "index http://127.0.0.1:10/own, colour none"]


def test_pips_files_are_read_and_the_closer_one_wins(no_index, monkeypatch, tmp_path):
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    tmp_path.joinpath("pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:10/all\ncert = it's.pem\n"
                                             f"[install]\nindex-url = {NOWHERE}\n")
    assert installer.pip_settings()["index-url"] == NOWHERE and installer.pip_settings()["cert"] == "it's.pem"


def test_offline_the_real_tools_give_a_reason(no_index):
    with pytest.raises(installer.InstallError, match="labkit-is-not-there.*does not answer"):
        installer.install(["labkit-is-not-there"], lambda line: None)


def wheel(folder):
    """A package of one line, built by hand."""
    file = folder / "tinything-1.0-py3-none-any.whl"
    info = "tinything-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tinything.py", "ANSWER = 42\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"tinything.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return str(file)


def test_a_new_environment_where_no_uv_can_be_had(no_index, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", os.defpath)
    if shutil.which("uv"):
        pytest.skip("uv is among the system's own commands here")
    venv.create(tmp_path / "new", with_pip=False)
    python = str(tmp_path / "new" / "bin" / "python")
    command = [python, "-P", ROOT / "labkit" / "installer.py"]
    done = subprocess.run([*command, wheel(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.startswith("no uv on the PATH") and "going on with pip" in second
    assert third.startswith("installed with pip in ") and "new is " in third
    assert subprocess.run([python, "-c", "import tinything; print(tinything.ANSWER)"], capture_output=True,
                          text=True).stdout == "42\n"
    failed = subprocess.run([*command, "labkit-is-not-there"], capture_output=True, text=True, cwd=ROOT)
    assert failed.returncode == 1 and "labkit-is-not-there" in failed.stderr
    assert "run the same command again" in failed.stderr


def test_a_uv_that_fails_in_a_new_environment_gives_way_to_the_pip_that_python_carries(no_index, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
    fake(tmp_path, "uv", "echo 'dns error'; exit 2")
    venv.create(tmp_path / "new", with_pip=False)
    command = [str(tmp_path / "new" / "bin" / "python"), "-P", ROOT / "labkit" / "installer.py", wheel(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("installed with pip, because uv could not, in ")


def make(*arguments):
    return subprocess.run(["make", "-C", ROOT, *arguments], capture_output=True, text=True)


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_a_broken_install_leaves_no_stamp(tmp_path):
    folder = tmp_path / "env"
    for name in ("lab", "all", "test"):
        stamp = folder / f"{name}.done"
        assert make(f"VENV={folder}", "INSTALL=false", str(stamp)).returncode == 2 and not stamp.exists()
    assert make(f"VENV={folder}", "INSTALL=true", str(folder / "test.done")).returncode == 0
    assert {file.name for file in folder.glob("*.done")} == {"venv.done", "lab.done", "all.done", "test.done"}
    wrong = make("-n", "lab", "PARTS=most")
    assert wrong.returncode == 2 and "PARTS=most: only PARTS=all is known" in wrong.stderr
