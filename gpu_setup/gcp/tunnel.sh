#!/usr/bin/env bash
# JupyterLab of the machine on http://127.0.0.1:8888 of yours. Nothing is opened to the internet. Ctrl-C ends both.
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
dry_run_only "$@"
need_gcloud
run gcloud compute ssh "$NAME" "--zone=$ZONE" -- -t -L 8888:127.0.0.1:8888 \
    "cd course && .venv/bin/jupyter lab --no-browser --ip=127.0.0.1 --port=8888 notebooks/60_first_tokens.ipynb"
