# What the other scripts share: names, prices, and `run`, which prints instead of doing when --dry-run is given.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

NAME="${NAME:-labkit-l4}"
ZONE="${ZONE:-us-central1-a}"
MACHINE="${MACHINE:-g2-standard-8}"         # 8 vCPU, 32 GB, one L4
IMAGE_FAMILY="ubuntu-2404-lts-amd64"
IMAGE_PROJECT="ubuntu-os-cloud"
DRIVER="580-server"                         # the first that speaks CUDA 13, which vLLM 0.32 is built for
PRICE="about 0.85 USD/h on demand, 0.45 spot (spot: the essay, Nov 2025; on demand: not confirmed; look at
https://cloud.google.com/compute/gpus-pricing before you start)"
DRY=0

usage() {
    echo "usage: [NAME=... ZONE=...] $(basename "$0") [--dry-run]${1:+ $1}" >&2
    exit 2
}

run() {
    if ((DRY)); then
        local word line=""
        for word in "$@"; do # quote only what needs it
            [[ "$word" =~ ^[][A-Za-z0-9_./:=,@-]+$ ]] || word="${word@Q}"
            line+="$word "
        done
        echo "${line% }"
    else
        "$@"
    fi
}

dry_run_only() { # for scripts that have no other option
    for argument in "$@"; do
        case "$argument" in
            --dry-run) DRY=1 ;;
            *) usage "" ;;
        esac
    done
}

need_gcloud() {
    ((DRY)) || command -v gcloud >/dev/null || {
        echo "gcloud is not installed: https://cloud.google.com/sdk/docs/install" >&2
        exit 1
    }
}

on_machine() { # run a command line on the machine
    run gcloud compute ssh "$NAME" "--zone=$ZONE" "--command=$1"
}
