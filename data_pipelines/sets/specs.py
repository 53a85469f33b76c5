"""The sets that are known: what their folders are called, and what is asked of their pictures.

Layout as MICA's (Zielonka et al., ECCV 2022) and OFER's (Selvaraju et al., CVPR 2025) data notes
describe it; FaMoS (TEMPEH, Bolkart et al., CVPR 2023) and CoMA (Ranjan et al., ECCV 2018) ship
registered meshes, SUBJECT/SEQUENCE/FRAME.ply.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """Facts of one set.

    Attributes:
        title: for people.
        folders: names of its folder, any case; the first is also that of its list.
        part: a folder or word in the pictures' paths that they must have, where the set is one
            half of a folder.
        expressions: its coefficients are of the very moment of each picture; where False they are
            of a person's neutral scan, and expression and pose are not taken from them.
        meshes: it ships registered meshes in FLAME's topology in place of coefficients.
        min_score: the least score of the open detector at which a face is believed.
        licence: whom to ask, and for what use.
    """

    title: str
    folders: tuple[str, ...]
    part: str = ""
    expressions: bool = False
    meshes: bool = False
    min_score: float = 0.5
    licence: str = ""


_ASK = "on request, for non-commercial research"
SETS = {
    "lyhm": Spec("Liverpool-York Head Model", ("LYHM",), licence=f"University of York, {_ASK}"),
    "stirling": Spec(
        "Stirling/ESRC 3D faces", ("STIRLING",), licence=f"University of Stirling, {_ASK}"
    ),
    "stirling_hq": Spec(
        "Stirling/ESRC, high quality",
        ("STIRLING_HQ", "STIRLING"),
        part="HQ",
        licence=f"University of Stirling, {_ASK}",
    ),
    "stirling_lq": Spec(
        "Stirling/ESRC, low quality",
        ("STIRLING_LQ", "STIRLING"),
        part="LQ",
        min_score=0.35,
        licence=f"University of Stirling, {_ASK}",
    ),
    "facewarehouse": Spec(
        "FaceWarehouse", ("FACEWAREHOUSE",), licence=f"Zhejiang University, {_ASK}"
    ),
    "florence": Spec(
        "Florence 2D/3D faces",
        ("FLORENCE",),
        min_score=0.35,  # surveillance video among them
        licence=f"MICC, University of Florence, {_ASK}",
    ),
    "frgc": Spec("FRGC v2", ("FRGC",), licence=f"NIST and University of Notre Dame, {_ASK}"),
    "bu3dfe": Spec("BU-3DFE", ("BU3DFE", "BU-3DFE"), licence=f"Binghamton University, {_ASK}"),
    "bp4d": Spec("BP4D+", ("BP4D+", "BP4D"), licence=f"Binghamton University, {_ASK}"),
    "d3dfacs": Spec("D3DFACS", ("D3DFACS",), licence=f"University of Bath, {_ASK}"),
    "famos": Spec(
        "FaMoS of TEMPEH",
        ("FAMOS", "TEMPEH"),
        expressions=True,
        meshes=True,
        licence=f"Max Planck Institute for Intelligent Systems, {_ASK}",
    ),
    "coma": Spec(
        "CoMA",
        ("COMA",),
        expressions=True,
        meshes=True,
        licence=f"Max Planck Institute for Intelligent Systems, {_ASK}",
    ),
    "plain": Spec("one's own, in a CSV", (), expressions=True, licence="its owner's"),
}
REGISTRATIONS = "registrations"
CROPS = "arcface_input"
LISTS = "image_paths"
# Layout -> folder of the coefficients.
PARAMETERS = {"ofer": "FLAME23_parameters", "mica": "FLAME_parameters"}
PICTURES = ("images", "pictures", "raw")


def spec(name: str) -> Spec:
    """Raises a ValueError that lists the names, for one that is none of them."""
    if name not in SETS:
        raise ValueError(f"no reader for the set {name[:40]!r}; there are {', '.join(SETS)}")
    return SETS[name]
