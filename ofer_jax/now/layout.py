"""Where the benchmarks keep their files, as lists of pictures.

NoW (any of the three folders may be given):

    NoW_Dataset/final_release_version/
      imagepathsvalidation.txt, imagepathstest.txt    a line SUBJECT/CHALLENGE/IMAGE.jpg each
      iphone_pictures/SUBJECT/CHALLENGE/IMAGE.jpg     detected_face/SUBJECT/CHALLENGE/IMAGE.npy
      scans/SUBJECT/*.obj                             scans_lmks_onlypp/SUBJECT/*.pp
                                                      (validation subjects only)

Stirling/ESRC (FG 2018): pictures in folders HQ and LQ anywhere below, named SUBJECT_....jpg;
neutral scans SUBJECT_N.obj and their landmarks SUBJECT_N.lnd anywhere below (capitals or not).

Anything else by a list: a CSV file with the columns image, subject, challenge, scan, landmarks and,
if wanted, picture; paths are relative to it.

Predictions: IMAGE.obj or .ply beside IMAGE.npy or .txt, in the folders of the picture's name.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofer_jax.now import files

NOW_CHALLENGES = (
    "multiview_neutral",
    "multiview_expressions",
    "multiview_occlusions",
    "selfie",
)
STIRLING_CHALLENGES = ("HQ", "LQ")
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
_RELEASE = ("", "final_release_version", "NoW_Dataset/final_release_version")


@dataclass(frozen=True)
class Item:
    """One picture: its name ('SUBJECT/CHALLENGE/IMAGE', without suffix), whose it is, and the scan
    to compare with (None where it is kept secret)."""

    image: str
    subject: str
    challenge: str
    scan: Path | None
    landmarks: Path | None
    picture: Path | None = None
    box: Path | None = None


def now(dataset: str | Path, split: str = "validation") -> list[Item]:
    """The pictures of a NoW split, 'validation' or 'test'.

    Raises:
      ValueError: the folder is another one, or a scan of the validation set is missing.
    """
    root = _release(Path(dataset))
    listed = [root / f"imagepaths{split}.txt", *sorted(root.glob(f"*/imagepaths{split}.txt"))]
    found = next((path for path in listed if path.is_file()), None)
    if found is None:
        raise ValueError(f"{root}: no imagepaths{split}.txt; it comes with the NoW data set")
    lines = [line.strip() for line in found.read_text().splitlines()]
    names = [line.removeprefix("iphone_pictures/") for line in lines if line]
    if bad := [name for name in names if len(_parts(name)) != 3]:
        raise ValueError(f"{found}: {bad[0]!r} is not SUBJECT/CHALLENGE/IMAGE.jpg")
    subjects = sorted({_parts(name)[0] for name in names})
    scans = {subject: _scan(root, subject, split == "validation") for subject in subjects}
    return [_now_item(root, name, *scans[_parts(name)[0]]) for name in names]


def _now_item(root: Path, name: str, scan: Path | None, landmarks: Path | None) -> Item:
    subject, challenge, image = _parts(name)
    stem = f"{subject}/{challenge}/{Path(image).stem}"
    picture, box = root / "iphone_pictures" / name, root / "detected_face" / f"{stem}.npy"
    return Item(stem, subject, challenge, scan, landmarks, picture, box)


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    return [part for part in parts if part not in ("", ".", "..")]


def _release(path: Path) -> Path:
    for below in _RELEASE:
        if (path / below / "iphone_pictures").is_dir() or (path / below / "scans").is_dir():
            return path / below
    raise ValueError(
        f"{path}: not the NoW data set ({_inside(path)}); give the folder that holds "
        "iphone_pictures/, scans/ and scans_lmks_onlypp/"
    )


def _scan(root: Path, subject: str, needed: bool) -> tuple[Path | None, Path | None]:
    scan = _only(root / "scans" / subject, files.MESHES)
    marks = _only(root / "scans_lmks_onlypp" / subject, files.LANDMARKS)
    for path, kind, folder in ((scan, "scan", "scans"), (marks, "landmarks", "scans_lmks_onlypp")):
        if needed and path is None:
            raise ValueError(
                f"{root / folder / subject}: no {kind} of {subject}; download it again"
            )
    return scan, marks


def _only(folder: Path, suffixes: Sequence[str]) -> Path | None:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return next((path for path in inside if path.suffix.lower() in suffixes), None)


def stirling(dataset: str | Path) -> list[Item]:
    """The pictures of Stirling/ESRC, HQ and LQ, of subjects whose scan is there.

    Raises:
      ValueError: there are none, or scans without landmarks.
    """
    root = Path(dataset)
    pictures, scans, marks = [], {}, {}
    for path in _walk(root):
        suffix, stem = path.suffix.lower(), path.stem.lower()
        if suffix in _PICTURES and path.parent.name.upper() in STIRLING_CHALLENGES:
            pictures.append(path)
        elif suffix in files.MESHES and stem.endswith("_n"):
            scans[stem.removesuffix("_n")] = path
        elif suffix in files.LANDMARKS and stem.endswith("_n"):
            marks[stem.removesuffix("_n")] = path
    items = []
    for path in pictures:
        subject = re.split("[_.]", path.stem.lower())[0]
        if subject in scans and subject in marks:
            challenge = path.parent.name.upper()
            image, scan = f"{challenge}/{path.stem}", scans[subject]
            items.append(Item(image, subject, challenge, scan, marks[subject], path))
    if not items:
        raise ValueError(
            f"{root}: not Stirling/ESRC ({len(pictures)} pictures in folders HQ and LQ, "
            f"{len(scans)} scans SUBJECT_N.obj, {len(marks)} landmarks SUBJECT_N.lnd, no person "
            "with all of them); give the folder above them, or a list (--list)"
        )
    return items


def listed(path: str | Path) -> list[Item]:
    """The pictures of a CSV file (see the top).

    Raises:
      ValueError: it cannot be read, or lacks a column.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    columns = ("image", "subject", "challenge", "scan", "landmarks")
    if lacking := [c for c in columns if not rows or not rows[0].get(c)]:
        raise ValueError(f"{path}: the columns {', '.join(lacking)} are missing or empty")
    items = []
    for row in rows:
        if row["image"].startswith("/") or ".." in row["image"].split("/"):
            raise ValueError(f"{path}: the image {row['image']!r} leads out of the predictions")
        scan, marks = (path.parent / row[name] for name in ("scan", "landmarks"))
        picture = path.parent / row["picture"] if row.get("picture") else None
        items.append(Item(row["image"], row["subject"], row["challenge"], scan, marks, picture))
    return items


def chosen(items: Iterable[Item], challenges: Sequence[str]) -> list[Item]:
    """Those of some challenges; of all if none is named.

    Raises:
      ValueError: there is no such challenge.
    """
    items = list(items)
    there = sorted({item.challenge for item in items})
    if missing := [name for name in challenges if name not in there]:
        raise ValueError(f"no picture of challenge {missing[0]!r}; there are {', '.join(there)}")
    return [item for item in items if not challenges or item.challenge in challenges]


@dataclass(frozen=True)
class Prediction:
    """The files of one prediction."""

    mesh: Path
    landmarks: Path


def predictions(
    folder: str | Path, items: Sequence[Item]
) -> tuple[dict[str, Prediction], list[str]]:
    """The predictions that are there, by picture, and a line for each that is not.

    Raises:
      ValueError: none is there, which is said with where they lie, if they lie near.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder; --predictions is the folder of your meshes")
    there: dict[str, dict[str, Path]] = {}
    for path in _walk(root):
        if path.suffix.lower() not in (*files.MESHES, *files.LANDMARKS):
            continue
        name = str(path.relative_to(root).with_suffix("")).replace(os.sep, "/")
        there.setdefault(name, {})[path.suffix.lower()] = path
    found, missing = {}, []
    for item in items:
        parts = there.get(item.image, {})
        mesh = next((parts[s] for s in files.MESHES if s in parts), None)
        marks = next((parts[s] for s in files.LANDMARKS if s in parts), None)
        if mesh and marks:
            found[item.image] = Prediction(mesh, marks)
        elif mesh:
            missing.append(f"{mesh}: no landmarks beside it ({mesh.stem}.npy or .txt, 7 x 3)")
        else:
            missing.append(f"{root / item.image}.obj or .ply: missing")
    if not found:
        raise ValueError(_elsewhere(root, there, items))
    return found, missing


def _elsewhere(root: Path, there: Mapping[str, Mapping[str, Path]], items: Sequence[Item]) -> str:
    image = items[0].image
    for item in items[:50]:
        for name in (n for n, parts in there.items() if any(s in parts for s in files.MESHES)):
            if name.endswith("/" + item.image):
                folder = root / name.removesuffix("/" + item.image)
                return f"{root}: the predictions lie deeper; give --predictions {folder}"
            if item.image.endswith("/" + name) and (parent := _above(root, item.image, name)):
                return f"{root}: this is a part of the predictions; give --predictions {parent}"
    return (
        f"{root}: no prediction of any picture of the list ({_inside(root)}); they are to lie as "
        f"{image}.obj (or .ply) with {image}.npy (or .txt)"
    )


def _above(root: Path, image: str, name: str) -> Path | None:
    depth = image.removesuffix(name).strip("/").count("/") + 1
    parents = list(root.resolve().parents)
    return parents[depth - 1] if depth <= len(parents) else None


def _walk(root: Path) -> Iterable[Path]:
    for folder, below, names in os.walk(root, followlinks=True):
        below.sort()
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder) / name


def _inside(path: Path) -> str:
    if not path.is_dir():
        return "no such folder"
    names = sorted(p.name for p in path.iterdir())[:4]
    return f"it holds {', '.join(names)}" if names else "it is empty"
