"""What `sbatch --test-only` would say of a script's header, without a cluster to ask.

Options and their forms are those of sbatch's manual page, as far as a launch file needs them."""

import re

TIME = r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+|\d+-\d+:\d\d|\d+-\d+:\d\d:\d\d"
# name: the form of its value; None for an option without one.
OPTIONS = {
    "job-name": r"[\w.-]+",
    "nodes": r"[1-9]\d*(-[1-9]\d*)?",
    "ntasks-per-node": r"[1-9]\d*",
    "cpus-per-task": r"[1-9]\d*",
    "gres": r"[a-z_]+(:[\w.-]+)?(:[1-9]\d*)?",
    "mem": r"\d+[KMGT]?",
    "time": TIME,
    "output": r"\S+",
    "open-mode": r"append|truncate",
    "requeue": None,
    "exclusive": None,
    "signal": r"([RB]+:)?(SIG)?([A-Z]+[12]?|\d+)(@\d{1,5})?",
}


def header(text: str) -> dict[str, str]:
    """The options of a script's #SBATCH lines.

    Raises:
      ValueError: for what sbatch would refuse, or not see.
    """
    found: dict[str, str] = {}
    lines = text.splitlines()
    if not lines[0].startswith("#!"):
        raise ValueError("sbatch wants a script that starts with #!")
    commands = [i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")]
    for number, line in enumerate(lines):
        if not line.startswith("#SBATCH"):
            continue
        if number > commands[0]:
            raise ValueError(f"sbatch does not read on after the first command: {line}")
        match = re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line)
        if not match or match[1] not in OPTIONS:
            raise ValueError(f"sbatch does not know: {line}")
        form, value = OPTIONS[match[1]], match[2]
        if (form is None) != (value is None) or (form and not re.fullmatch(form, value)):
            raise ValueError(f"sbatch does not take this value: {line}")
        found[match[1]] = value or ""
    return found
