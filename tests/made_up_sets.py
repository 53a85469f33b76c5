"""Made-up data sets in the true layouts of those that are known, with planted faults.

    made = made_up_sets.make("lyhm", tmp_path, layout="ofer")
    listing = sets.read(made.dataset, made.root, **made.options)

Lists are pickled as MICA and OFER pickle them, coefficients are .npz files, the pictures JPEGs of
open-head faces, 224 x 224, in which the open detector finds a face. Everyone is in every set:

- good people: one with a space and an accent, one whose folder differs in case, listed with
  Windows' separators, a linked picture, another suffix than the list has, coefficients in float64
  or of 300 numbers alone;
- `planted`: (subject, name, reason) of everything that must be rejected, and nothing else;
- `hard`: (subject, name) -> what is wrong with a picture (or crop) that a reader lists, for it
  is only seen when it is opened: 'damaged', 'faceless', 'tiny'; of crops 'damaged',
  'not finite', 'wrong size'.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.sets import entry, specs
from tests import made_up_files as files

Name = tuple[str, str]


@dataclass(frozen=True)
class Made:
    """What was made: where, how to read it, and what must come out."""

    dataset: str
    root: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    good: frozenset[Name] = frozenset()
    planted: frozenset[tuple[str, str, str]] = frozenset()
    hard: Mapping[Name, str] = field(default_factory=dict)
    shapes: Mapping[str, np.ndarray] = field(default_factory=dict)


def make(
    name: str,
    folder: Path,
    *,
    layout: str = "mica",
    listed: bool = True,
    crops: bool = False,
    people: int = 3,
    pictures: int = 2,
) -> Made:
    """Makes one set; `listed` False leaves the list out, so that the folders are walked."""
    if name == "plain":
        return _Plain(folder).make(people, pictures)
    if specs.SETS[name].meshes and not listed:
        return _Frames(name, folder, crops).make(people, pictures)
    return _People(name, folder, layout, listed, crops).make(people, pictures)


class _People:
    """Sets with a file of coefficients a person: MICA's eight, and OFER's lists of any."""

    def __init__(self, name: str, folder: Path, layout: str, listed: bool, crops: bool) -> None:
        self.name, self.root, self.layout = name, folder, layout
        self.listed, self.crops = listed, crops
        self.spec = specs.SETS[name]
        self.home = folder / self.spec.folders[-1]
        self.parameters = self.home / specs.PARAMETERS[layout]
        self.seen = self.home / (specs.CROPS if crops else specs.PICTURES[0])
        self.part = f"{self.spec.part}/" if self.spec.part else ""
        self.rows: dict[Any, Any] = {}
        self.good: set[Name] = set()
        self.planted: set[tuple[str, str, str]] = set()
        self.hard: dict[Name, str] = {}
        self.shapes: dict[str, np.ndarray] = {}

    def make(self, people: int, pictures: int) -> Made:
        for number in range(people):
            self.person(f"F{number:04d}", number, pictures)
        self.person("Zoë 02", people, pictures)
        self.odd_people()
        self.bad_pictures("M0001")
        self.bad_parameters()
        if self.listed:
            self.bad_lists()
            files.write_list(self.root / specs.LISTS / f"{self.spec.folders[0]}.npy", self.rows)
        else:
            self.bad_folders()
        files.write(self.root / "secret.jpg", files.jpeg(0))
        self.write_part_of_another()
        return Made(
            dataset=self.name,
            root=self.root,
            options={"crops": True} if self.crops else {},
            good=frozenset(self.good),
            planted=frozenset(self.planted),
            hard=dict(self.hard),
            shapes=dict(self.shapes),
        )

    def row(self, actor: Any, pictures: Any, parameters: Any) -> None:
        pair = (pictures, parameters)
        self.rows[actor] = pair if self.layout == "mica" else pair[::-1]

    def arrays(self, number: int) -> dict[str, np.ndarray]:
        """The file of a neutral scan; its expression and pose are not those of the pictures."""
        shape = files.shape_of(number)
        if self.layout == "mica":
            betas = np.concatenate([shape, np.full(100, 0.5)])
            return {"betas": betas.astype(np.float32), "pose": np.full(15, 0.1, np.float32)}
        return {"shape": shape.astype(np.float32)}

    def truth(self, actor: str, number: int, **other: Any) -> str:
        files.write_npz(self.parameters / actor / "scan.npz", **(other or self.arrays(number)))
        return f"{actor}/scan.npz"

    def picture(self, actor: str, name: str, number: int) -> str:
        """Writes a picture (or its crops); returns it as a list has it."""
        stem = self.seen / actor / f"{self.part}{name}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        if self.crops:
            files.write_crops(stem, number)
            return f"{actor}/{self.part}{name}.npy"
        files.write(stem.with_name(f"{name}.jpg"), files.jpeg(number))
        return f"{actor}/{self.part}{name}.jpg"

    def person(self, actor: str, number: int, pictures: int, **other: Any) -> list[str]:
        names = [f"img_{k:02d}" for k in range(pictures)]
        texts = [self.picture(actor, each, number + k) for k, each in enumerate(names)]
        self.row(actor, texts, self.truth(actor, number, **other))
        self.good |= {(actor, f"{self.part}{each}") for each in names}
        self.shapes[actor] = files.shape_of(number)
        return texts

    def odd_people(self) -> None:
        key = "betas" if self.layout == "mica" else "shape"
        self.person("short", 20, 1, **{key: files.shape_of(20).astype(np.float32)})
        self.person("wide", 21, 1, **{key: files.shape_of(21)[None]})
        texts = self.person("linked", 22, 2)
        for suffix in [".npy", ".jpg"] if self.crops else [".jpg"]:
            first = self.seen / "linked" / f"{self.part}img_00{suffix}"
            first.rename(self.root / f"elsewhere{suffix}")
            first.symlink_to(self.root / f"elsewhere{suffix}")
        os.symlink(self.seen, self.seen / "linked" / "circle")
        if self.listed:
            self.rows["Case"] = self._cased()
            back = [text.replace("/", "\\") for text in texts]
            self.row("linked", back, np.array(["linked\\scan.npz"])[0])

    def _cased(self) -> tuple[Any, Any]:
        """A person whose folders differ in case from the list, the pictures in suffix, too."""
        self.person("case", 23, 1)
        row = self.rows.pop("case")
        self.good = {("Case" if who == "case" else who, what) for who, what in self.good}
        self.shapes["Case"] = self.shapes.pop("case")
        up = [f"{self.spec.folders[0]}/Case/{self.part}IMG_00.PNG"]
        self.good -= {("Case", f"{self.part}img_00")}
        self.good |= {("Case", f"{self.part}IMG_00")}
        return (up, row[1]) if self.layout == "mica" else (row[0], up)

    def bad_pictures(self, actor: str) -> None:
        """Pictures that are listed, and are no use."""
        texts = self.person(actor, 30, 1)
        wrong = {"damaged": 1, "faceless": -1, "tiny": 2}
        if self.crops:
            wrong = {"damaged": 1, "not finite": 1, "wrong size": 2}
        for name, number in wrong.items():
            texts.append(self.picture(actor, name, number))
            self.hard[actor, f"{self.part}{name}"] = name
            self.good.add((actor, f"{self.part}{name}"))
        folder = self.seen / actor / self.part
        for path in folder.glob("damaged.*"):
            path.write_bytes(path.read_bytes()[:700])
        if self.crops:
            files.write_crops(folder / "not finite", 1, np.nan)
            np.save(folder / "wrong size.npy", np.zeros((3, 100, 100), np.float32))
        else:
            files.write(folder / "tiny.jpg", files.jpeg(2, 20))
        self.row(actor, texts, self.truth(actor, 30))

    def bad_parameters(self) -> None:
        """People whose coefficients are no use: seen when they are opened."""
        key = "betas" if self.layout == "mica" else "shape"
        nan = np.full(300, np.nan, np.float32)
        huge = np.full(300, 1e300)
        objects = np.array([{"a": 1}] * 300, dtype=object)
        wrong = {
            "nan": ({key: nan}, entry.NOT_FINITE),
            "huge": ({key: huge}, entry.NOT_FINITE),
            "square": ({key: np.zeros((20, 20))}, entry.WRONG_SHAPE),
            "words": ({key: np.array(["a"] * 300)}, entry.WRONG_SHAPE),
            "other": ({"theta": np.zeros(300)}, entry.WRONG_SHAPE),
            "objects": ({key: objects}, entry.DAMAGED),
            "truncated": ({key: np.zeros(300)}, entry.DAMAGED),
        }
        for actor, (arrays, reason) in wrong.items():
            self.person(actor, 40, 1, **arrays)
            self.expect(actor, f"{self.part}img_00", reason)
            del self.shapes[actor]
        path = self.parameters / "truncated" / "scan.npz"
        path.write_bytes(path.read_bytes()[:-100])

    def bad_lists(self) -> None:
        texts, (actor, part) = self.rows["F0000"], ("F0000", self.part)
        texts = list(texts[0] if self.layout == "mica" else texts[1])
        missing = entry.NO_CROP if self.crops else entry.NO_PICTURE
        suffix = ".npy" if self.crops else ".jpg"
        texts += [f"F0000/{part}gone{suffix}", texts[0], f"../../{part}secret{suffix}"]
        texts += [f"/{part}etc/passwd", f"C:\\{part}faces\\a.jpg"]
        self.expect(actor, f"{part}gone", missing)
        self.expect(actor, texts[0].removeprefix("F0000/").rsplit(".", 1)[0], entry.TWICE)
        for _ in range(3):
            self.expect(actor, "", entry.OUTSIDE)
        if not part:
            texts += [7, "", "nul\0"]
            self.expect(actor, "", entry.BAD_LIST)
        ends = [".npy", ".jpg"] if self.crops else [".jpg", ".PNG"]
        for name in ("Both", "bOTH"):
            for end in ends:
                files.write(self.seen / actor / f"{part}{name}{end}", files.jpeg(1))
        texts.append(f"F0000/{part}both.bmp")
        self.expect(actor, f"{part}both", entry.AMBIGUOUS)
        self.row(actor, texts, "F0000/scan.npz")
        self.row("unmeasured", [self.picture("unmeasured", "a", 1)], "unmeasured/scan.npz")
        self.expect("unmeasured", "", entry.NO_PARAMETERS)
        self.row("escaped", [self.picture("escaped", "a", 1)], "../../../escaped/scan.npz")
        self.expect("escaped", "", entry.OUTSIDE)
        self.row("unseen", [], self.truth("unseen", 1))
        self.expect("unseen", "", entry.NO_PICTURES)
        self.rows["garbage"] = 7
        self.expect("garbage", "", entry.BAD_LIST)
        self.rows["../up"] = self.rows["F0000"]
        self.expect("", "", entry.BAD_LIST)

    def bad_folders(self) -> None:
        self.picture("unmeasured", "a", 1)
        self.expect("unmeasured", "", entry.NO_PARAMETERS)
        self.truth("unseen", 1)
        self.expect("unseen", "", entry.NO_PICTURES)
        files.write_npz(self.parameters / "F0000" / "zz_second.npz", betas=np.zeros(400))
        files.write(self.seen / "F0000" / ".hidden.jpg", b"")
        files.write(self.seen / "F0000" / "notes.txt", b"")
        if self.crops:
            files.write(self.seen / "F0000" / f"{self.part}lonely.npy", b"")
            self.expect("F0000", f"{self.part}lonely", entry.NO_CROP)
        else:
            files.write(self.seen / "F0000" / f"{self.part}img_00.png", files.jpeg(0))
            self.expect("F0000", f"{self.part}img_00", entry.TWICE)

    def write_part_of_another(self) -> None:
        """Pictures of the set's other half: none of this one's business."""
        if self.spec.part:
            other = {"HQ": "LQ", "LQ": "HQ"}[self.spec.part]
            files.write(self.seen / "F0001" / other / "img_00.jpg", files.jpeg(0))

    def expect(self, subject: str, name: str, reason: str) -> None:
        self.planted.add((subject, name, reason))
        if reason in (entry.DAMAGED, entry.WRONG_SHAPE, entry.NOT_FINITE):
            self.good.discard((subject, name))


class _Frames:
    """FaMoS and CoMA as they ship: meshes, pictures a camera, and a folder of fits."""

    def __init__(self, name: str, folder: Path, crops: bool) -> None:
        self.name, self.root, self.crops = name, folder / "set", crops
        home = self.root / specs.SETS[name].folders[0]
        self.meshes = home / specs.REGISTRATIONS if name == "famos" else home
        self.pictures = home / specs.CROPS if crops else folder / "photographs"
        self.fits = folder / "fits"

    def make(self, people: int, pictures: int) -> Made:
        good, shapes = set(), {}
        for number in range(people):
            subject = f"FaceTalk_17{number:04d}_TA"
            shapes[subject] = files.shape_of(number)
            for sequence in ("bareteeth", "mouth up"):
                for frame in range(pictures):
                    key = f"{sequence}.{frame + 1:06d}"
                    self.moment(subject, sequence, key, number, frame)
                    cameras = ("26_C", "27_C") if self.name == "famos" else ("",)
                    for camera in cameras:
                        called = ".".join(filter(None, (key, camera)))
                        self.picture(subject, f"{sequence}/{called}", number + frame)
                        good.add((subject, f"{sequence}/{called}"))
        subject = "FaceTalk_170000_TA"
        self.mesh(subject, "bareteeth", "bareteeth.000900", 0, 0)
        self.picture(subject, "bareteeth/bareteeth.000900", 0)
        self.moment(subject, "bareteeth", "bareteeth.000901", 0, 0)
        self.picture(subject, "bareteeth/bareteeth.000902", 0)
        self.moment(subject, "bareteeth", "bareteeth.000903", 0, 0)
        self.picture(subject, "bareteeth/bareteeth.000903", 0)
        path = self.fits / subject / "bareteeth" / "bareteeth.000903.npz"
        files.write_npz(path, shape=np.zeros(300), exp=np.zeros(50), pose=np.zeros(7))
        self.picture("stranger", "bareteeth/bareteeth.000001", 0)
        planted = {
            (subject, "bareteeth/bareteeth.000900", entry.NO_FIT),
            (subject, "bareteeth/bareteeth.000901", entry.NO_PICTURE),
            (subject, "bareteeth/bareteeth.000902", entry.NO_PARAMETERS),
            (subject, "bareteeth/bareteeth.000903", entry.WRONG_SHAPE),
            ("stranger", "", entry.NO_PARAMETERS),
        }
        options: dict[str, Any] = {"fits": self.fits}
        options |= {"crops": True} if self.crops else {"pictures": self.pictures}
        return Made(
            self.name, self.root, options, frozenset(good), frozenset(planted), shapes=shapes
        )

    def moment(self, subject: str, sequence: str, frame: str, who: int, when: int) -> None:
        self.mesh(subject, sequence, frame, who, when)
        rng = np.random.default_rng(when)
        files.write_npz(
            self.fits / subject / sequence / f"{frame}.npz",
            shape=files.shape_of(who),
            exp=rng.normal(size=100),
            pose=rng.normal(0, 0.1, 15),
            trans=np.zeros(3),
        )

    def mesh(self, subject: str, sequence: str, frame: str, who: int, when: int) -> None:
        files.write(self.meshes / subject / sequence / f"{frame}.ply", files.head(who, when))

    def picture(self, subject: str, name: str, number: int) -> None:
        stem = self.pictures / subject / name
        stem.parent.mkdir(parents=True, exist_ok=True)
        if self.crops:
            files.write_crops(stem, number)
        else:
            files.write(stem.with_name(f"{stem.name}.jpg"), files.jpeg(number))


class _Plain:
    """A CSV with each kind of coefficients, and lines that are no use."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.lines = ["Image, subject,parameters,shape,mesh,note"]

    def make(self, people: int, pictures: int) -> Made:
        good, shapes = set(), {}
        for number in range(people):
            subject, shapes[f"p {number}"] = f"p {number}", files.shape_of(number)
            files.write_npz(self.root / "fits here" / f"{number}.npz", shape=files.shape_of(number))
            for k in range(pictures):
                name = f"photos/{subject}_{k}"
                files.write(self.root / f"{name}.jpg", files.jpeg(number + k))
                self.line(f"{name}.jpg", subject, f"fits here/{number}.npz")
                good.add((subject, name))
        files.write(self.root / "photos" / "é.jpg", files.jpeg(1))
        self.line('"photos\\é.JPEG"', "Zoë", "", "0.5 -1e-1 2")
        good.add(("Zoë", "photos/é"))
        mesh = self.root / "meshes" / "a.ply"
        files.write(mesh, files.head(0, 0))
        files.write_npz(
            self.root / "fits" / "m" / "meshes" / "a.npz", shape=np.ones(300), exp=np.ones(9)
        )
        for subject in ("m", "unfitted"):
            files.write(self.root / "photos" / f"{subject}.jpg", files.jpeg(0))
            self.line(f"photos/{subject}.jpg", subject, mesh="meshes/a.ply")
        good.add(("m", "photos/m"))
        self.bad_lines()
        planted = {
            ("unfitted", "", entry.NO_FIT),
            ("p 0", "photos/p 0_0", entry.TWICE),
            ("b", "", entry.NO_PICTURE),
            ("b", "", entry.OUTSIDE),
            ("b", "", entry.NO_PARAMETERS),
            ("b", "", entry.WRONG_SHAPE),
            ("b", "", entry.BAD_LIST),
            ("", "", entry.BAD_LIST),
            ("inf", "photos/m", entry.NOT_FINITE),
        }
        files.write(self.root / "list.csv", "\ufeff".encode() + "\n".join(self.lines).encode())
        return Made(
            "plain",
            self.root,
            {"fits": self.root / "fits"},
            frozenset(good),
            frozenset(planted),
            shapes=shapes,
        )

    def line(self, image: str, subject: str, parameters="", shape="", mesh="") -> None:
        self.lines.append(f"{image},{subject},{parameters},{shape},{mesh},")

    def bad_lines(self) -> None:
        self.line("photos/p 0_0.jpg", "p 0", "fits here/0.npz")
        self.line("photos/gone.jpg", "b", shape="1")
        self.line("../gone.jpg", "b", shape="1")
        self.line("photos/m.jpg", "b", "gone.npz")
        self.line("photos/m.jpg", "b")
        self.line("photos/m.jpg", "b", shape="1 " * 301)
        self.line("photos/m.jpg", "b", shape="one two")
        self.line("photos/m.jpg", "", shape="1")
        self.line("photos/m.jpg", "inf", shape="1 inf 2")
        self.lines += ["too,few", "", "photos/m.jpg,b,,1,,,,"]
