"""What the gateway costs, in one run: against a direct call, and against LiteLLM's proxy where that is installed.

One core for the gateway, another for engine and load (wrk where there is one, else a client of our own).
LABKIT_LITELLM=/path/to/litellm names the proxy if it is not on the PATH.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from labkit import gateway
from labkit.gateway.trial import scripted
from labkit.loopback import Program

QUESTION = "What is EBITDA? Answer in one sentence please."
HUGE = {"day": 1e6, "month": 1e6}


def body(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 16, **more}


def wrk(url, key, model, connections, seconds):
    """Median seconds and requests per second."""
    script = Path(tempfile.mkdtemp()) / "post.lua"
    script.write_text(f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
                      f'wrk.headers["Authorization"] = "Bearer {key}"\nwrk.body = [[{json.dumps(body(model))}]]\n')
    text = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s",
                           script, url], capture_output=True, text=True, check=True).stdout
    value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", text).groups()
    assert "Non-2xx" not in text, text
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    return float(value) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit], rate


def cpu(pid):
    """Seconds of CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def first_piece(url, key, model, times=300):
    """Median seconds to the first piece of a stream."""
    import aiohttp
    found = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        for _ in range(times):
            begun = time.perf_counter()
            async with session.post(url, json=body(model, stream=True)) as response:
                await response.content.readline()
                found.append(time.perf_counter() - begun)
                await response.read()
    return sorted(found)[times // 2]


def measured(name, url, key, model, pid, direct):
    alone, _ = wrk(url, key, model, 1, 4)
    before, begun = cpu(pid) if pid else 0.0, time.monotonic()
    _, rate = wrk(url, key, model, 16, 5)
    each = (cpu(pid) - before) / (rate * (time.monotonic() - begun)) if pid else float("nan")
    ttft = asyncio.run(first_piece(url, key, model))
    added = (alone - direct[0], ttft - direct[1]) if direct else (0.0, 0.0)
    print(f"{name:22s} p50 {alone * 1e3:6.2f} ms (+{added[0] * 1e3:.2f}), first piece {ttft * 1e3:6.2f} ms "
          f"(+{added[1] * 1e3:.2f}), {each * 1e3:5.2f} ms CPU a request, {rate:7,.0f} requests/s")
    return alone, ttft, added, each, rate


def pin(pid, core):
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


@contextlib.contextmanager
def litellm(engine):
    """LiteLLM's proxy in front of the same engine, without database or callbacks; None if it is not installed."""
    command = os.environ.get("LABKIT_LITELLM") or shutil.which("litellm")
    if not command:
        yield None
        return
    def settings(it):
        (it.home / "config.yaml").write_text(json.dumps({
            "model_list": [{"model_name": "small", "litellm_params": {"model": "openai/scripted", "api_key": "none",
                                                                      "api_base": engine.base_url}}],
            "general_settings": {"master_key": "sk-bench"}}))
        return [command, "--config", it.home / "config.yaml", "--port", it.port, "--host", "127.0.0.1"]

    def ready(it):
        return urllib.request.urlopen(f"http://127.0.0.1:{it.port}/health/liveliness")

    with Program(settings, ready=ready, end="TERM", environment={
            **os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR",
            "NO_PROXY": "127.0.0.1"}) as program:
        yield program.process.pid, f"http://127.0.0.1:{program.port}/v1/chat/completions"


def main():
    if not shutil.which("wrk") or (os.cpu_count() or 1) < 2:
        print("gateway: wrk and two cores are needed (apt install wrk)")
        return
    with scripted.running() as engine:
        pin(engine.program.process.pid, 1)
        url = f"{engine.base_url}/chat/completions"
        direct = measured("direct", url, "none", "scripted", None, None)
        models = [{"name": name, "served": "scripted", "base_url": engine.base_url,
                   "usd_per_million_input": 0.1, "usd_per_million_output": 0.4}
                  for name in ("small", "large")]
        with gateway.running(models, router={"kind": "keyword"}, rate={"per_second": 1e6, "burst": 1e6},
                             budgets={"request": 1.0, "user:*": HUGE, "team:*": HUGE, "global": HUGE}) as g:
            pin(g.pid, 0)
            ours = measured("labkit's gateway", f"{g.base_url}/chat/completions", g.key, "auto", g.pid, direct)
        with litellm(engine) as found:
            if found is None:
                print("LiteLLM's proxy is not installed: pip install 'litellm[proxy]' somewhere, and LABKIT_LITELLM=")
                return
            pin(found[0], 0)
            theirs = measured("LiteLLM's proxy", found[1], "sk-bench", "small", found[0], direct)
        print(f"labkit's / LiteLLM's: added p50 {ours[2][0] / theirs[2][0]:.3f}, added first piece "
              f"{ours[2][1] / theirs[2][1]:.3f}, CPU {ours[3] / theirs[3]:.3f}, requests/s {ours[4] / theirs[4]:.1f}; "
              "LiteLLM does far more (a hundred providers, guardrails, a page)")


if __name__ == "__main__":
    main()
