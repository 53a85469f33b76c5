#!/usr/bin/env bash
# Training on a TPU slice of GKE through xpk (pip install xpk), which writes the JobSet. It needs a
# cluster made by `xpk cluster create --tpu-type=...` and a Filestore that `xpk storage attach ...
# --type=gcpfilestore --mount-point=/mnt/ofer --auto-mount=true` mounts in every pod.
#
#     CLUSTER=mine IMAGE=REGISTRY/ofer:tpu launch/gke/tpu_xpk.sh --config.input.batch_size=2048
set -euo pipefail

RUN="${RUN:-ofer}" # the name of the workload
CLUSTER="${CLUSTER:-ofer}"
ZONE="${ZONE:-us-east5-b}"
TPU_TYPE="${TPU_TYPE:-v6e-16}"
SLICES="${SLICES:-1}"
IMAGE="${IMAGE:-ofer:tpu}" # built by launch/gke/Dockerfile with ACCELERATOR=tpu
CONFIG="${CONFIG:-configs/idgen_openhead.py}"
DATA="${DATA:-/mnt/ofer/data/openhead}"
WORKDIR="${WORKDIR:-/mnt/ofer/runs/$RUN}"
MAX_RESTARTS="${MAX_RESTARTS:-50}"
FLAGS="$([ $# -eq 0 ] || printf ' %q' "$@")"

# Status 75: launch.train was told to stop, and saved. By itself xpk restarts a run that lost its
# node but not one that exits so; here such a restart is counted like the others. exec: what xpk
# sends its SIGTERM to is then the trainer, not a shell around it.
xpk workload create \
  --workload="$RUN" --cluster="$CLUSTER" --zone="$ZONE" \
  --tpu-type="$TPU_TYPE" --num-slices="$SLICES" --docker-image="$IMAGE" \
  --max-restarts="$MAX_RESTARTS" --restart-on-exit-codes=75 \
  --termination-grace-period-seconds=120 \
  --command="exec python -m launch.train --config=$CONFIG --data=$DATA --workdir=$WORKDIR$FLAGS"
