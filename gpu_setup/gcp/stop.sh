#!/usr/bin/env bash
# Stop the machine: its hours end, its disk stays (a few USD a month). --delete removes the disk too.
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
DELETE=0
for argument in "$@"; do
    case "$argument" in
        --dry-run) DRY=1 ;;
        --delete) DELETE=1 ;;
        *) usage "[--delete]" ;;
    esac
done
need_gcloud
if ((DELETE)); then
    run gcloud compute instances delete "$NAME" "--zone=$ZONE" --quiet
else
    run gcloud compute instances stop "$NAME" "--zone=$ZONE"
fi
run gcloud compute instances list "--filter=name=$NAME" "--format=table(name,status,zone.basename())"
