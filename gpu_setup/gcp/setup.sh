#!/usr/bin/env bash
# Install the driver, the course and the engine on the machine, and the timer that switches it off when it is idle.
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
REPO="${REPO:-https://github.com/OWNER/REPO}"
dry_run_only "$@"
need_gcloud
run gcloud compute scp idle-shutdown.sh idle-shutdown.service "$NAME:" "--zone=$ZONE"
on_machine "sudo apt-get update -q && sudo apt-get install -yq git make python3-venv python3-pip ubuntu-drivers-common"
on_machine "sudo ubuntu-drivers install --gpgpu nvidia:$DRIVER && sudo apt-get install -yq nvidia-utils-$DRIVER"
on_machine "sudo install -m 755 idle-shutdown.sh /usr/local/sbin/ && sudo install -m 644 idle-shutdown.service /etc/systemd/system/"
on_machine "sudo systemctl enable --now idle-shutdown"
on_machine "git clone $REPO course && cd course && make .venv/all.done"
on_machine "sudo systemctl reboot" || true              # the connection breaks, as it must
echo "# it restarts to load the driver; give it a minute, then verify.sh"
