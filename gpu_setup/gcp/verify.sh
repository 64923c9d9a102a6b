#!/usr/bin/env bash
# Show that it works: the driver, the engine's first tokens, and the speed of the hardware against its bound.
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
dry_run_only "$@"
need_gcloud
on_machine "nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv"
on_machine "systemctl is-active idle-shutdown"
on_machine "cd course && .venv/bin/python -m labkit.inference.engine install --kind vllm-gpu"
on_machine "cd course && .venv/bin/python -c \"from labkit.inference import engine; from labkit.wire import chat; e = engine.start('vllm-gpu'); print(e); print(chat.ask(e.base_url, e.model, 'What is a cache?')); e.stop()\""
on_machine "cd course && ~/.cache/labkit/vllm-l4-a100/bin/python gpu_setup/measure_gpu.py --out l4.json && cat l4.json"
