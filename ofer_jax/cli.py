"""The console command `ofer`.

    ofer reconstruct PHOTO... [--out DIR] [--shapes 100] [--expressions 15] [--format ply,obj,glb]
                     [--seed 0] [--all-faces] [--bundle DIR] [--head PATH --surface NPZ]
    ofer flame check|convert PATH      (`cli_flame`)

Exit status: 0 if every photograph was reconstructed; 2 if the command, the bundle or any photograph
was at fault (one line each on stderr, the other photographs still run); 130 if interrupted.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ofer_jax import __version__, cli_flame

if TYPE_CHECKING:
    from ofer_jax.reconstruct import Reconstruction, Reconstructor

_DESCRIPTION = "From photographs to ranked 3D faces."
_EPILOG = """\
For each photograph DIR/NAME/ holds sheet.png (look at this first), result.json, result.npz and
meshes/. They hold two answers: the ranked shapes (identity-1 is the best), each a plausible face,
with the detail that a mean lacks; and the mean of all shapes (mean), the best single guess,
smoother than any real face, which errs less on average.
A folder stands for the pictures in it. Compiled programs are kept in the user's cache folder
($XDG_CACHE_HOME/ofer_jax), so the second run starts faster.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = _parser().parse_args(argv)
    command = "ofer " + shlex.join(sys.argv[1:] if argv is None else argv)
    try:
        return args.run(args, command)
    except (ValueError, OSError) as error:  # the output folder, the head, the bundle
        _complain(str(error))
        return 2
    except KeyboardInterrupt:
        _complain("interrupted; what is finished stays")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ofer", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"ofer {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser(
        "reconstruct",
        help="photographs to ranked 3D faces",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    one.add_argument("photos", nargs="+", metavar="PHOTO", help="picture, or folder of pictures")
    one.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="default: out")
    one.add_argument(
        "--shapes", type=_count(2), default=100, metavar="K", help="shapes to draw (default 100)"
    )
    one.add_argument("--expressions", type=_count(1), default=15, metavar="M", help="default 15")
    one.add_argument(
        "--format",
        type=_formats,
        default=_formats("ply,obj,glb"),
        metavar="LIST",
        help="mesh formats, with commas: ply,obj,glb (default: all three)",
    )
    one.add_argument(
        "--seed", type=_count(0), default=0, metavar="N", help="of all random draws (default 0)"
    )
    one.add_argument(
        "--all-faces",
        action="store_true",
        help="every face of a photograph, not only the one nearest its centre",
    )
    one.add_argument("--bundle", type=Path, metavar="DIR", help="another bundle than the default")
    one.add_argument("--head", type=Path, metavar="PATH", help="another head: .npz, .pkl or folder")
    one.add_argument("--surface", type=Path, metavar="NPZ", help="of that head: its face regions")
    one.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="what large networks multiply in (default: bfloat16 for the published encoders)",
    )
    one.set_defaults(run=_reconstruct)
    cli_flame.add(commands)
    return parser


def _reconstruct(args: argparse.Namespace, command: str) -> int:
    # Imported here, so that --help and errors of usage come at once.
    from tqdm import tqdm

    from ofer_jax import photos

    files, errors = photos.find(args.photos)
    for error in errors:
        _complain(str(error))
    if not files:
        return 2
    from ofer_jax import report

    report.check_writable(args.out)
    from ofer_jax.reconstruct import load

    taken: set[Path] = set()
    reconstructor = load(args.bundle, args.head, args.surface, args.dtype)
    reconstructor.program(args.shapes, args.expressions)
    faults, done = len(errors), 0
    with tqdm(total=len(files), unit="photo", disable=len(files) == 1) as bar:
        for start in range(0, len(files), reconstructor.chunk):
            part = files[start : start + reconstructor.chunk]
            for line, fault in _some(reconstructor, part, args, command, taken):
                tqdm.write(f"ofer: {line}" if fault else line, sys.stderr if fault else sys.stdout)
                faults, done = faults + fault, done + (not fault)
            bar.update(len(part))
    if faults:
        _complain(f"{done} reconstructed, {faults} at fault")
    return 2 if faults else 0


def _some(
    reconstructor: "Reconstructor",
    files: Sequence[Path],
    args: argparse.Namespace,
    command: str,
    taken: set[Path],
) -> Iterator[tuple[str, bool]]:
    """Reconstructs a few photographs together and writes them; yields (line, is it a fault)."""
    from ofer_jax import photos, report

    found = []
    for file in files:
        try:
            found += reconstructor.find(photos.read(file), all_faces=args.all_faces)
        except ValueError as error:
            yield str(error), True
    try:
        results = reconstructor.run(
            found, seed=args.seed, shapes=args.shapes, expressions=args.expressions
        )
    except (ValueError, RuntimeError, MemoryError) as error:
        yield _line(", ".join(f.photo.name for f in found), error), True
        return
    for result in results:
        name = Path(result.photo.name).stem
        name += f"-face{result.number + 1}" if args.all_faces else ""
        folder = report.unused_folder(args.out, name, taken)
        try:
            report.write(
                result, folder, reconstructor.surface, formats=args.format, command=command
            )
            yield _summary(result, folder), False
        except (ValueError, OSError) as error:
            yield _line(str(folder), error), True


def _summary(result: "Reconstruction", folder: Path) -> str:
    note = "".join(f" [{note}]" for note in result.notes)
    sheet = folder / "sheet.png"
    return f"{result.photo.name}: {len(result.shapes)} shapes, best first -> {sheet}{note}"


def _line(name: str, error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{name}: {text[:200]}"


def _complain(line: str) -> None:
    print(f"ofer: {line}", file=sys.stderr)


def _formats(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [kind for kind in kinds if kind not in ("ply", "obj", "glb")]
    if unknown or not kinds:
        raise argparse.ArgumentTypeError(f"{text!r}: choose from ply,obj,glb")
    return kinds


def _count(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= 2**31 - 1:
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number, at least {least}")
        return int(text)

    return parse


if __name__ == "__main__":
    sys.exit(main())
