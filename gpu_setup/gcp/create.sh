#!/usr/bin/env bash
# Create a machine with one L4. It stops by itself after eight hours, whatever happens. --spot: cheaper, may be taken away.
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
SPOT=()
for argument in "$@"; do
    case "$argument" in
        --dry-run) DRY=1 ;;
        --spot) SPOT=(--provisioning-model=SPOT) ;;
        *) usage "[--spot]" ;;
    esac
done
need_gcloud
echo "# $MACHINE costs $PRICE"
run gcloud compute instances create "$NAME" "--zone=$ZONE" "--machine-type=$MACHINE" \
    --accelerator=type=nvidia-l4,count=1 --maintenance-policy=TERMINATE \
    "--image-family=$IMAGE_FAMILY" "--image-project=$IMAGE_PROJECT" --boot-disk-size=100GB --boot-disk-type=pd-balanced \
    --max-run-duration=8h --instance-termination-action=STOP "${SPOT[@]}"
echo "# next: setup.sh; when you are done: stop.sh"
