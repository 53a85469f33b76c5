"""Measure faces. The first word says how; without one, a bundle on held-out heads:

    python -m launch.evaluate --data data/openhead [--bundle runs/bundle] [--out report.json]
    python -m launch.evaluate now --predictions DIR --dataset DIR [--metrical] [--out DIR]

`python -m launch.evaluate WORD --help` lists the flags of one.
"""

import runpy
import sys

# Word: what it does. Each is a file of its own, launch/evaluate_WORD.py.
COMMANDS = {
    "heads": "a bundle on held-out heads of the open head's data (as without a word)",
    "now": "face shapes against the scans of the NoW benchmark",
    "stirling": "face shapes against the scans of Stirling/ESRC",
    "photos": "a bundle on any folder of photographs, without ground truth",
    "expressions": "OOX-1, our protocol for occluded expressive faces, on pictures of known faces",
    "ranking": "the choice among a bundle's samples on held-out heads, for any number of them",
    "report": "all of these on one HTML page, with the best and worst heads as pictures",
}


def main() -> None:
    """Hands on to the command that was asked for."""
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("--help", "-h", "help"):
        print(__doc__)
        print("\n".join(f"{name:12} {does}" for name, does in COMMANDS.items()))
        return
    if word in COMMANDS:
        del sys.argv[1]
    elif not word.startswith("-"):
        words = ", ".join(COMMANDS)
        sys.exit(f"evaluate: {word!r} is none of {words}; python -m launch.evaluate --help")
    name = word if word in COMMANDS else "heads"
    runpy.run_module(f"launch.evaluate_{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
