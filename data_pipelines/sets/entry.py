"""What a reader of a data set gives: entries, rejections with a reason, and both as a listing.

An entry is one picture of one person with the place of its coefficients; nothing in it is opened
yet. What cannot be used is a rejection, whose reason is one of `REASONS`, so that they can be
counted; `detail` says the rest. Neither ever stops a listing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_PICTURE = "picture not found"
NO_PICTURES = "subject without pictures"
NO_CROP = "crop not found"
NO_PARAMETERS = "parameters not found"
NO_FIT = "no fit of the mesh"
OUTSIDE = "path outside the set"
TWICE = "listed twice"
AMBIGUOUS = "several files fit"
BAD_LIST = "bad entry in the list"
DAMAGED = "parameters damaged"
WRONG_SHAPE = "parameters of a wrong shape"
NOT_FINITE = "parameters not finite"

REASONS = {
    NO_PICTURE: "a list names a picture, and no file of that name lies in the picture folder",
    NO_PICTURES: "a person with coefficients of whom there is no picture",
    NO_CROP: "prepared crops were asked for, and one of the two of this picture is not there",
    NO_PARAMETERS: "a person or picture whose file of coefficients (or mesh) is not there",
    NO_FIT: "a registered mesh without coefficients: launch.fit_meshes makes them",
    OUTSIDE: "a list names a path that leads out of the set's folder (by '..', or absolute)",
    TWICE: "the same name of the same person once more; the first one is used",
    AMBIGUOUS: "no file has the very name listed, and several differ from it in case or suffix",
    BAD_LIST: "a line or value of the list is not what its layout has there",
    DAMAGED: "the file of coefficients is truncated, too large, or holds objects",
    WRONG_SHAPE: "coefficients missing, of a wrong number, or not numbers",
    NOT_FINITE: "coefficients with NaN or infinity (also as float32)",
}


class Fault(ValueError):
    """Why something cannot be used; its text is a reason of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = " ".join(detail.split())[:200]


@dataclass(frozen=True)
class Truth:
    """Where the coefficients of a picture come from.

    Attributes:
        kind: 'mica' (npz: betas [400] or [300], pose), 'ofer' (npz: shape, exp, pose, trans),
            'npz' (our own names: shape, expression, jaw, neck, eyes, global_rotation), 'inline'
            (the numbers themselves).
        path: of the file; '' for 'inline'.
        values: for 'inline': up to 300 shape coefficients.
    """

    kind: str
    path: str = ""
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One picture of one person; (dataset, subject, name) is unique.

    Attributes:
        dataset: name of the set, a key of `sets.SETS`.
        subject: name of the person, never in two splits.
        name: of the picture, without suffix, with '/' between folders below the subject's.
        picture: path of the raw photograph, '' where only crops are there.
        crop_112: path of MICA's arcface_input .npy, float RGB [3, 112, 112], or ''.
        crop_224: path of its picture, 224 x 224, or ''.
        truth: where the coefficients come from.
    """

    dataset: str
    subject: str
    name: str
    picture: str
    crop_112: str
    crop_224: str
    truth: Truth


@dataclass(frozen=True)
class Rejection:
    """One line of `rejected.jsonl`.

    Attributes:
        dataset, subject, name: as of an entry; subject and name '' where they are not known.
        source: the path inside the set's folder, as listed where it was listed.
        reason: one of `REASONS`, or of the preparation's.
        detail: the rest, for people.
    """

    dataset: str
    subject: str
    name: str
    source: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Mesh:
    """A registered mesh in FLAME's topology.

    Attributes:
        dataset, subject, sequence, frame: names; (subject, sequence, frame) is unique.
        path: of the .ply or .obj.
        picture: path of a photograph of that moment, or ''.
    """

    dataset: str
    subject: str
    sequence: str
    frame: str
    path: str
    picture: str = ""


@dataclass(frozen=True)
class Listing:
    """What a set's folder holds.

    Attributes:
        dataset: name of the set.
        root: the folder that was read; entries' paths lie below it (or below the folders of
            pictures and fits that were given).
        layout: 'mica', 'ofer' or 'plain'.
        entries: sorted by (subject, name).
        rejected: sorted likewise.
        splits: subject -> split, for those that the given lists name.
        notes: lines to show: which of several files was taken, who is left out by the lists.
    """

    dataset: str
    root: str
    layout: str
    entries: tuple[Entry, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
