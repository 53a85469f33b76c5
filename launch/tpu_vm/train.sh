#!/usr/bin/env bash
# Training on a slice of TPU VMs, without Kubernetes. From the root of a checkout:
#
#     export RUN=ofer ZONE=us-east5-b SHARE=10.0.0.2:/ofer
#     launch/tpu_vm/train.sh create     # asks for the slice; see `... status` until it is ACTIVE
#     launch/tpu_vm/train.sh copy       # the committed code and its packages, to every host
#     launch/tpu_vm/train.sh run --config.input.batch_size=2048
#     launch/tpu_vm/train.sh delete
#
# gcloud reaches several hosts at once through an agent: ssh-add ~/.ssh/google_compute_engine. Run
# `run` in tmux: training ends with the connection. A slice that was preempted is gone: delete,
# create, copy and run again; the run goes on from its newest checkpoint.
set -euo pipefail

RUN="${RUN:-ofer}" # the name of the slice
ZONE="${ZONE:-us-east5-b}"
TPU_TYPE="${TPU_TYPE:-v6e-16}"
RUNTIME="${RUNTIME:-v2-alpha-tpuv6e}"
SPOT="${SPOT:-}" # 1: cheaper, and may be preempted
# HOST:/PATH of an NFS share (Filestore) that the hosts may write, mounted at /mnt/ofer. A slice of
# one host can do without: put DATA and WORKDIR on its own disk.
SHARE="${SHARE:-}"
CONFIG="${CONFIG:-configs/idgen_openhead.py}"
DATA="${DATA:-/mnt/ofer/data/openhead}"
WORKDIR="${WORKDIR:-/mnt/ofer/runs/$RUN}"
STOPPED=75 # launch.train was told to stop, and saved

on_every_host() {
  gcloud compute tpus tpu-vm ssh "$RUN" --zone="$ZONE" --worker=all --command="$1"
}

step="${1:-}"
shift || true
case "$step" in
create) # a queued resource: the request waits until there is room
  gcloud compute tpus queued-resources create "$RUN" --node-id="$RUN" --zone="$ZONE" \
    --accelerator-type="$TPU_TYPE" --runtime-version="$RUNTIME" ${SPOT:+--spot}
  ;;
status)
  gcloud compute tpus queued-resources describe "$RUN" --zone="$ZONE" --format="value(state.state)"
  ;;
copy)
  archive="$(mktemp -d)/ofer.tar.gz"
  git archive --format=tar.gz --output="$archive" HEAD
  gcloud compute tpus tpu-vm scp "$archive" "$RUN:ofer.tar.gz" --zone="$ZONE" --worker=all
  # The hosts' own Python is too old, hence uv.
  on_every_host "set -e; mkdir -p ofer; tar -xzf ofer.tar.gz -C ofer; cd ofer
    python3 -m pip install --quiet --user uv
    ~/.local/bin/uv venv --quiet --allow-existing --python 3.12
    ~/.local/bin/uv pip install --quiet --no-deps -r requirements.lock
    ~/.local/bin/uv pip install --quiet -e '.[tpu]'"
  if [ -n "$SHARE" ]; then
    on_every_host "set -e; sudo mkdir -p /mnt/ofer
      command -v mount.nfs > /dev/null || sudo apt-get install -qq nfs-common
      mountpoint -q /mnt/ofer || sudo mount -t nfs $SHARE /mnt/ofer"
  fi
  ;;
run) # JAX asks the metadata server for the other hosts
  flags="$([ $# -eq 0 ] || printf ' %q' "$@")"
  command=".venv/bin/python -m launch.train --config=$CONFIG --data=$DATA --workdir=$WORKDIR$flags"
  status="$STOPPED"
  while [ "$status" -eq "$STOPPED" ]; do
    status=0
    on_every_host "cd ofer && $command" || status=$?
  done
  exit "$status"
  ;;
delete)
  gcloud compute tpus queued-resources delete "$RUN" --zone="$ZONE" --force --quiet
  ;;
*)
  echo "usage: $0 create | status | copy | run [flags of launch.train] | delete" >&2
  exit 2
  ;;
esac
