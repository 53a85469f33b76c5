"""The launch files: what they ask of a cluster, and what they make of the trainer's exit status.

No cluster is at hand here. The commands of one are stand-ins that note their words, so that a
launch file runs as it stands; what it said is then held against what the real commands take."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.launch import commands, sbatch, schema

ROOT = Path(__file__).resolve().parents[2]
SLURM, TPU_VM = "launch/slurm/train.sbatch", "launch/tpu_vm/train.sh"
GPU, XPK = "launch/gke/gpu_train.sh", "launch/gke/tpu_xpk.sh"
SHELL = sorted(p for end in ("sh", "sbatch") for p in (ROOT / "launch").rglob(f"*.{end}"))
FLAGS = ("--config.seed=3", "--config.input.batch_size=512")
STOPPED = "75"

# The flags of others' commands, by their documentation; the longest name that fits decides.
KNOWN = {
    "gcloud compute tpus tpu-vm ssh": {"zone", "worker", "command"},
    "gcloud compute tpus tpu-vm scp": {"zone", "worker"},
    "gcloud compute tpus queued-resources create": {
        *("node-id", "zone", "accelerator-type", "runtime-version", "spot")
    },
    "gcloud compute tpus queued-resources describe": {"zone", "format"},
    "gcloud compute tpus queued-resources delete": {"zone", "force", "quiet"},
    "xpk workload create": {
        *("workload", "cluster", "zone", "tpu-type", "num-slices", "docker-image", "command"),
        *("max-restarts", "restart-on-exit-codes", "termination-grace-period-seconds"),
    },
    "kubectl apply": {"f"},
    "srun": {"kill-on-bad-exit", "wait", "cpus-per-task"},
    "scontrol requeue": set(),
}


@pytest.fixture
def cluster(tmp_path: Path) -> commands.Cluster:
    return commands.Cluster(tmp_path)


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_shell_files_parse(path: Path) -> None:
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_launcher_gives_flags_that_exist(cluster: commands.Cluster) -> None:
    assert cluster.run(SLURM, *FLAGS, SLURM_JOB_ID="7") == 0
    assert cluster.run(GPU, *FLAGS) == 0
    assert cluster.run(XPK, *FLAGS) == 0
    for step in ("create", "status", "copy", "run", "delete"):
        words = FLAGS if step == "run" else ()
        assert cluster.run(TPU_VM, step, *words, SHARE="10.0.0.2:/ofer", SPOT="1") == 0
    trained = 0
    for *words, read in cluster.ran():
        line = " ".join(words)
        name = max((n for n in KNOWN if line.startswith(n)), key=len, default="")
        assert name, f"{line!r} is none of the commands that the tests know"
        own = line.partition(" -m launch.")[0] if name == "srun" else line
        given = [re.match(r"--?([a-z-]+)", word) for word in words if word in own]
        assert {match[1] for match in given if match} <= KNOWN[name]
        text = " ".join(read.split()) if read else line
        assert commands.wrong_flags(text) == []
        if "-m launch.train" in text:
            assert all(flag in text for flag in FLAGS), text
            trained += 1
    assert trained == 4


def test_wrong_flags_are_noticed() -> None:
    line = "python -m launch.train --config={} --workdir=a --config.mesh.fsdp=8 {}"
    good = line.format("configs/idgen_openhead.py", "--coordinator=a:1")
    assert commands.wrong_flags(good) == []
    assert commands.wrong_flags(good + " --epochs=3") == ["--epochs"]
    assert commands.wrong_flags(good + " --config.mesh.pipeline=2") == ["--config.mesh.pipeline"]
    assert commands.wrong_flags(line.format("configs/none.py", "")) == ["configs/none.py"]
    assert commands.wrong_flags("python -m launch.trian --config=a") == ["launch.trian"]


def test_sbatch_takes_the_header() -> None:
    found = sbatch.header((ROOT / SLURM).read_text())
    # One process a GPU, and time left to save.
    assert found["gres"] == f"gpu:{found['ntasks-per-node']}"
    assert {"requeue", "signal", "time", "nodes"} <= set(found)
    assert found["signal"].startswith("TERM@")
    assert found["open-mode"] == "append"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("#SBATCH --gers=gpu:8", "does not know"),
        ("#SBATCH --time=1day", "does not take"),
        ("#SBATCH --time=24:00:00:00", "does not take"),
        ("#SBATCH --signal=TERM:300", "does not take"),
        ("#SBATCH --requeue=yes", "does not take"),
        ("#SBATCH --nodes=0", "does not take"),
        ("echo\n#SBATCH --nodes=2", "does not read on"),
    ],
)
def test_a_header_that_sbatch_refuses_is_noticed(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sbatch.header(f"#!/bin/bash\n# a comment\n{line}\necho\n")


@pytest.mark.parametrize(("status", "requeued"), [("0", False), ("1", False), (STOPPED, True)])
def test_slurm_requeues_what_was_stopped(
    cluster: commands.Cluster, status: str, requeued: bool
) -> None:
    assert cluster.run(SLURM, statuses=f"srun {status}", SLURM_JOB_ID="7") == int(status)
    names = [words[:-1] for words in cluster.ran() if words[0] == "scontrol"]
    assert names == ([["scontrol", "requeue", "7"]] if requeued else [])


def test_slurm_requeues_though_the_script_is_told_to_stop_too(cluster: commands.Cluster) -> None:
    process = cluster.start(
        SLURM, statuses=f"srun {STOPPED}", SLURM_JOB_ID="7", STAND_IN_SECONDS="0.5"
    )
    while not cluster.ran():  # until srun has started
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == int(STOPPED)
    assert [words[0] for words in cluster.ran()] == ["srun", "scontrol"]


def test_tpu_vms_run_again_what_was_stopped(cluster: commands.Cluster) -> None:
    assert cluster.run(TPU_VM, "run", *FLAGS, statuses=f"gcloud {STOPPED} {STOPPED} 3") == 3
    ran = cluster.ran()
    assert len(ran) == 3 and ran[0] == ran[1] == ran[2]
    assert "--worker=all" in ran[0]


def test_xpk_restarts_what_was_stopped(cluster: commands.Cluster) -> None:
    assert cluster.run(XPK, MAX_RESTARTS="7") == 0
    ((*words, _),) = cluster.ran()
    assert {"--max-restarts=7", f"--restart-on-exit-codes={STOPPED}"} <= set(words)
    # xpk signals what it started, and a shell would keep the signal to itself.
    assert words[-1].startswith("--command=exec python -m launch.train ")


@pytest.mark.parametrize("words", [(), ("destroy",)])
def test_tpu_vms_want_a_step_that_they_know(cluster: commands.Cluster, words) -> None:
    assert cluster.run(TPU_VM, *words) == 2
    assert cluster.ran() == []


def test_words_keep_their_spaces_on_the_way_to_the_trainer(cluster: commands.Cluster) -> None:
    rules = "--config.mesh.rules=(('kernel$', 'fsdp'), ('.*', 'replicate'))"
    assert cluster.run(XPK, rules) == 0
    assert cluster.run(TPU_VM, "run", rules) == 0
    assert cluster.run(GPU, rules) == 0
    xpk, tpu_vm, kubectl = cluster.ran()
    lines = [next(w for w in words if w.startswith("--command=")) for words in (xpk, tpu_vm)]
    lines = [line.partition("=")[2] for line in lines]
    lines.append(container_of(yaml.safe_load(kubectl[-1]))["command"][2])
    for line in lines:
        # What Kubernetes fills in is no command to the shell.
        rest = re.sub(r"\$\((\w+)\)", r"\1", line.partition("launch.train")[2])
        done = subprocess.run(
            ["bash", "-c", f"printf '%s\\n' {rest}"], capture_output=True, text=True, check=True
        )
        assert rules in done.stdout.splitlines()


def jobset(cluster: commands.Cluster, **environment: str) -> Any:
    """The JobSet that kubectl is given."""
    assert cluster.run(GPU, *FLAGS, **environment) == 0
    *words, read = cluster.ran()[-1]
    assert words == ["kubectl", "apply", "-f", "-"]
    return yaml.safe_load(read)


def container_of(made: Any) -> Any:
    return made["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][
        0
    ]


def faults(made: Any, testdata: Path) -> list[str]:
    return schema.faults(made, json.loads((testdata / "jobset_v1alpha2.json").read_text()))


def test_the_jobset_fits_the_schema(cluster: commands.Cluster, testdata: Path) -> None:
    made = jobset(cluster, RUN="mine", NODES="4", GPUS="2", IMAGE="here/ofer:1")
    assert faults(made, testdata) == []
    container = container_of(made)
    assert container["image"] == "here/ofer:1"
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 2}}
    assert "${" not in json.dumps(made)


def test_the_jobset_holds_together(cluster: commands.Cluster) -> None:
    """What the schema cannot say, but Kubernetes and JAX ask for."""
    made = jobset(cluster, RUN="mine", NODES="4")
    (replicated,) = made["spec"]["replicatedJobs"]
    job, container = replicated["template"]["spec"], container_of(made)
    pod = job["template"]["spec"]
    assert job["completionMode"] == "Indexed"  # it sets JOB_COMPLETION_INDEX
    assert job["completions"] == job["parallelism"] == 4
    assert pod["restartPolicy"] == "Never"  # or a podFailurePolicy is refused
    port = container["ports"][0]["containerPort"]
    network = made["spec"]["network"]
    assert network["enableDNSHostnames"] is True
    # JOBSET-REPLICATEDJOB-JOB-POD.SUBDOMAIN
    host = f"mine-{replicated['name']}-0-0.{network['subdomain']}"
    assert container["env"] == [{"name": "COORDINATOR", "value": f"{host}:{port}"}]
    line = container["command"][2]
    assert line.startswith("exec python -m launch.train ")
    assert "--coordinator=$(COORDINATOR) --num_processes=4 " in line
    assert "--process_id=$(JOB_COMPLETION_INDEX) " in line
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_a_stop_restarts_the_jobset_uncounted(cluster: commands.Cluster) -> None:
    made = jobset(cluster, MAX_RESTARTS="5")
    job = made["spec"]["replicatedJobs"][0]["template"]["spec"]
    stop, lost = job["podFailurePolicy"]["rules"]
    assert stop["action"] == lost["action"] == "FailJob"
    wanted = {"containerName": "train", "operator": "In", "values": [int(STOPPED)]}
    assert stop["onExitCodes"] == wanted
    assert container_of(made)["name"] == stop["onExitCodes"]["containerName"]
    policy = made["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 5 and job["backoffLimit"] == 0
    (rule,) = policy["rules"]
    assert rule["action"] == "RestartJobSetAndIgnoreMaxRestarts"
    assert rule["onJobFailureReasons"] == ["PodFailurePolicy"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"NODES": "many"}, "completions: 'many' is not of type integer"),
        ({"RUN": "My_Run"}, "metadata.name: 'My_Run' does not match"),
        ({"GPUS": "-1"}, "nvidia.com/gpu: -1 is less than 0"),
    ],
)
def test_values_that_kubernetes_refuses_are_noticed(
    cluster: commands.Cluster, testdata: Path, environment, said: str
) -> None:
    assert said in "\n".join(faults(jobset(cluster, **environment), testdata))


def test_fields_that_kubernetes_refuses_are_noticed(
    cluster: commands.Cluster, testdata: Path
) -> None:
    made = jobset(cluster)
    job = made["spec"]["replicatedJobs"][0]["template"]
    job["podFailurePolicy"] = job["spec"].pop("podFailurePolicy")  # a level too high
    del made["spec"]["replicatedJobs"][0]["name"]
    found = "\n".join(faults(made, testdata))
    assert "template.podFailurePolicy is not known" in found
    assert "replicatedJobs[0].name is missing" in found


def test_printing_the_jobset_submits_nothing(cluster: commands.Cluster) -> None:
    process = cluster.start(GPU, PRINT="1")
    assert yaml.safe_load(process.communicate(timeout=60)[0])["kind"] == "JobSet"
    assert cluster.ran() == []


def test_the_image_copies_what_there_is() -> None:
    text = (ROOT / "launch/gke/Dockerfile").read_text().replace("\\\n", " ")
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (.*)$", text, re.MULTILINE)]
    sources = [source for line in copied for source in line]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    # All of the code that a checkout has, and the two extras that the comment names.
    assert {"ofer_jax", "configs", "data_pipelines", "launch", "requirements.lock"} <= set(sources)
    extras = (ROOT / "setup.py").read_text()
    assert all(f'"{name}": ["jax[{name}]' in extras for name in ("cuda12", "tpu"))
    assert "ARG ACCELERATOR=cuda12\n" in text


def test_the_page_says_what_can_be_run() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 3
    assert [wrong for block in blocks for wrong in commands.wrong_flags(block)] == []
    named = set(re.findall(r"(?:launch|configs|docs|tests)/[\w./]*\w", text))
    assert {GPU, XPK, SLURM, TPU_VM} <= named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_launchers_are_short() -> None:
    files = [
        p for folder in ("slurm", "gke", "tpu_vm") for p in (ROOT / "launch" / folder).iterdir()
    ]
    assert len(files) >= 6
    assert all(len(path.read_text().splitlines()) <= 90 for path in files)
