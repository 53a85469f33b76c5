#!/usr/bin/env bash
# Training on GPU nodes of GKE: fills in gpu_jobset.yaml and submits it to kubectl's cluster, which
# needs JobSet (https://jobset.sigs.k8s.io) and a volume claim that many pods may write (Filestore).
#
#     IMAGE=REGISTRY/ofer:gpu NODES=4 launch/gke/gpu_train.sh --config.input.batch_size=2048
#     PRINT=1 launch/gke/gpu_train.sh    # only shows the JobSet
set -euo pipefail

export RUN="${RUN:-ofer}" # the name of the JobSet
export IMAGE="${IMAGE:-ofer:gpu}" # built by launch/gke/Dockerfile with ACCELERATOR=cuda12
export NODES="${NODES:-2}"
export GPUS="${GPUS:-8}" # of a node
export ACCELERATOR="${ACCELERATOR:-nvidia-h100-80gb}"
export CLAIM="${CLAIM:-ofer}" # the volume claim that is mounted at /mnt/ofer
export CONFIG="${CONFIG:-configs/idgen_openhead.py}"
export DATA="${DATA:-/mnt/ofer/data/openhead}"
export WORKDIR="${WORKDIR:-/mnt/ofer/runs/$RUN}"
export PORT="${PORT:-8476}"
export MAX_RESTARTS="${MAX_RESTARTS:-10}"
FLAGS="$([ $# -eq 0 ] || printf ' %q' "$@")"
export FLAGS

fill='import os, string, sys; print(string.Template(sys.stdin.read()).safe_substitute(os.environ))'
jobset="$(python3 -c "$fill" < "$(dirname "$0")/gpu_jobset.yaml")"
if [ -n "${PRINT:-}" ]; then
  echo "$jobset"
else
  kubectl apply -f - <<< "$jobset"
fi
