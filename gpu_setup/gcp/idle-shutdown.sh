#!/usr/bin/env bash
# Runs on the machine as root: power off after IDLE_MINUTES in which the GPU did nothing and nobody was logged in.
set -euo pipefail
IDLE_MINUTES="${IDLE_MINUTES:-30}"

busy() {
    [[ -n "$(who)" ]] && return 0
    local used
    used="$(nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits 2>/dev/null || echo 0)"
    ((${used%%[!0-9]*} > 5))
}

idle=0
while ((idle < IDLE_MINUTES)); do
    sleep 60
    if busy; then idle=0; else idle=$((idle + 1)); fi
done
systemctl poweroff
