"""What is told of an exported chain: `manifest.json`, and the same for people, `README.md`."""

from collections.abc import Mapping
from typing import Any

FILES = (
    *("manifest.json", "README.md", "load.py", "chain.jax", "arrays.npz", "example.npz"),
    *("NOTICE", "__pycache__"),
)
COMPATIBILITY = (
    "runs with the jax it was made with and with any later one of the next six months; with an "
    "earlier one of the last three weeks at most. After that, make it anew"
)
INPUTS = {
    "chip_150": "RGB bytes: the face upright, as dlib's network wants it (docs/serving.md)",
    "crop_112": "RGB bytes: the face at insightface's five points (docs/serving.md)",
    "crop_224": "RGB bytes: the face with its surroundings, 1.6 times its box (docs/serving.md)",
    "key": "two random numbers for each face: its own random draws follow from them alone",
    "points": "FaceMesh's 468 points, pixels of the photograph (x right, y down; z in the same "
    "scale, away from the camera), pixel centres at integers",
    "keypoints": "right eye, left eye (the subject's), nose tip, mouth, right ear, left ear; "
    "pixels. They pose a head whose presence is below 0.5",
    "presence": "how sure FaceMesh is of its points, 0 to 1",
}
OUTPUTS = {
    "shapes": "shape coefficients, best first; standard deviations",
    "scores": "of the ranker, descending",
    "vertices": "of the shapes, neutral; metres",
    "mean_shape": "mean of the shapes, the point estimate; standard deviations",
    "mean_vertices": "of it, neutral; metres",
    "expressions": "expression coefficients; standard deviations",
    "jaws": "of the expressions; axis-angle, radians",
    "expression_vertices": "of the best shape with each expression, head upright; metres",
    "spread": "root mean square distance of each vertex from its mean over the shapes; metres",
    "expression": "number of the expression that explains the points best",
    "global_rotation": "of the head in the photograph, about its root; axis-angle, radians",
    "camera": "(s, tx, ty): pixel x = s X + tx, y = -s Y + ty of a posed vertex (X, Y, Z); pixels "
    "a metre, pixels, pixels",
    "camera_error": "mean distance of the fitted points; pixels",
    "posed_vertices": "best shape, chosen expression, turned as in the photograph; metres",
    "landmarks": "68 (iBUG's order) of posed_vertices; metres",
    "landmarks_px": "the same in the photograph; pixels",
}
OPEN_LICENCE = (
    "Apache-2.0; the head and the face networks derive from CC0, Apache-2.0, MIT and public-domain "
    "sources, each named in NOTICE"
)
OTHER_LICENCE = (
    "arrays.npz holds the head and the networks' weights: their own licences bind. FLAME (but for "
    "2023 Open, CC-BY-4.0), OFER's, MICA's and insightface's weights are non-commercial and must "
    "not be passed on. What comes from the embedded assets is named in NOTICE"
)


def kinds(avals: Mapping[str, Any], about: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """{name: shape (numbers and 'B'), dtype, about} of a program's inputs or outputs."""
    return {
        name: {
            "shape": [size if isinstance(size, int) else str(size) for size in aval.shape],
            "dtype": str(aval.dtype),
            "about": about[name],
        }
        for name, aval in avals.items()
    }


def readme(manifest: Mapping[str, Any]) -> str:
    """README.md of an exported chain."""
    head, files = manifest["head"], manifest["files"]
    sizes = ", ".join(f"{name} {each['bytes'] / 1e6:.1f} MB" for name, each in files.items())
    lines = [
        "# OFER: ranked 3D heads of photographed faces, exported",
        "",
        "```sh",
        "pip install 'jax' flatbuffers numpy        # or jax[cuda12], jax[tpu]",
        "python load.py example.npz outputs.npz     # or: from load import run",
        "```",
        "",
        f"{manifest['shapes']} shapes and {manifest['expressions']} expressions for each of B "
        f"faces, on {', '.join(manifest['platforms'])}. Each B is compiled once: pad to one size, "
        "and set JAX_COMPILATION_CACHE_DIR to keep what is compiled.",
        "",
        f"Head: {head['name']} ({head['release'] or 'release not recorded'}); its triangles are "
        f"`head/faces` in arrays.npz. Bundle: {manifest['bundle'][:12] or 'not stored'}. {sizes}.",
        f"Made with jax {manifest['jax']}: {manifest['compatibility']}.",
        "",
        f"Licence: {manifest['licence']}.",
    ]
    for title in ("inputs", "outputs"):
        lines += ["", f"| {title} | | |", "| --- | --- | --- |"]
        for name, kind in manifest[title].items():
            shape = ", ".join(map(str, kind["shape"]))
            lines.append(f"| {name} | {kind['dtype']} [{shape}] | {kind['about']} |")
    return "\n".join(lines) + "\n"
