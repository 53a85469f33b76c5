"""From photographs to ranked 3D faces: the whole chain behind one call.

    reconstructor = ofer_jax.load()
    result = reconstructor("photo.jpg")        # a path, a uint8 array, or a list of them
    result.shapes, result.scores               # [K, 300], best first
    result.vertices[0], result.triangles       # the best identity, neutral, metres
    result.mean_vertices                       # the mean of all: the point estimate

For each face: features, or aligned crops where the bundle holds the published encoders; K shapes
drawn by IdGen and put in the order of IdRank's scores; M expressions drawn by ExpGen for the first
of them; vertices by the FLAME layer; head pose and camera fitted to the detected points for every
expression, the best-fitting one taken (pose and camera are additions of this project). One jitted
program does it all for a chunk of faces of a fixed size, so there is one compilation however many
photographs come (on a CPU with the published encoders two: for one face, and for a chunk).

A face's random key is made of the seed, the picture's pixels and the face's number in it, and its
numbers never mix with its neighbours': it gets the same result in any company, to rounding (which,
with bfloat16 kernels and more than one face, can turn a near tie between two expressions).
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt32

from ofer_jax import bundle as bundles
from ofer_jax import chain, compiled, faces, flame, once, openhead, photos
from ofer_jax.arrays import Array
from ofer_jax.models import products
from ofer_jax.reconstruction import Found, Reconstruction
from ofer_jax.tasks import idrank

PRESENCE = 0.5  # below it FaceMesh's 468 points are guesses: pose from the detector's six
SMALL_FACE = 48  # pixels: a narrower face gets a note
_OPEN = {"open": faces.FEATURES, "open+map": faces.FEATURES + faces.MAP}

PhotoLike = str | Path | np.ndarray | photos.Photo


class Reconstructor:
    """A head and a bundle, ready for photographs. Make it with `load`."""

    def __init__(
        self,
        head: flame.FlameModel,
        bundle: bundles.Bundle,
        surface: Mapping[str, np.ndarray],
        dtype: str | None = None,
    ) -> None:
        """Takes a head, a bundle trained on it, what is known of its surface, and `load`'s dtype;
        a ValueError if they do not fit each other."""
        bundles.check_head(bundle, head)
        _check_surface(head, surface)
        self.head = head
        self.bundle = bundle
        self.surface = surface
        self.sees = self._check_features()
        self.dtype = dtype or ("bfloat16" if self.sees == "crops" else "float32")
        if self.dtype not in products.DTYPES:
            raise ValueError(f"dtype is {dtype!r}; use one of {', '.join(products.DTYPES)}")
        # One face's K candidates keep a CPU busy; only the published encoders, whose weights take
        # as long to read as to use, are a third faster for several faces.
        on_cpu = jax.default_backend() == "cpu"
        self.chunk = (4 if self.sees == "crops" else 1) if on_cpu else 8
        self._least = 1 if on_cpu else self.chunk
        self._programs: dict[tuple[int, int, int], Callable[..., dict[str, Array]]] = {}

    def __call__(
        self,
        photographs: PhotoLike | Sequence[PhotoLike],
        *,
        seed: int = 0,
        shapes: int = 100,
        expressions: int = 15,
        all_faces: bool = False,
    ) -> Any:
        """Reconstructs one photograph or a list of them.

        Args:
            photographs: path, picture array (uint8 RGB [H, W, 3] and what `photos.from_array`
                takes), `Photo`, or a list of these.
            seed: of all random draws.
            shapes: K, how many shapes to draw.
            expressions: M, how many expressions.
            all_faces: every face, not only the one nearest the picture's centre.

        Returns:
            A `Reconstruction`, with `all_faces` a list of them; a list of that for a list.

        Raises:
            ValueError: one line, for a photograph that cannot be read or shows no face
                (`PhotoError`), or a bundle whose parameters do not fit its config.
        """
        single = isinstance(photographs, str | Path | np.ndarray | photos.Photo)
        given = [photographs] if single else list(photographs)
        found = [self.find(take(p), all_faces=all_faces) for p in given]
        flat = self.run(
            [f for several in found for f in several],
            seed=seed,
            shapes=shapes,
            expressions=expressions,
        )
        results = iter(flat)
        grouped = [[next(results) for _ in several] for several in found]
        answers = grouped if all_faces else [group[0] for group in grouped]
        return answers[0] if single else answers

    def find(self, photo: photos.Photo, *, all_faces: bool = False) -> list[Found]:
        """The faces to reconstruct in a photograph, the one nearest its centre first.

        Raises:
            PhotoError: no face.
        """
        seen = faces.detect(photo.image, every=all_faces)
        if not seen:
            raise photos.PhotoError(f"{photo.source or photo.name}: no face found")
        notes = photo.notes
        if len(seen) > 1 and not all_faces:
            notes += (f"{len(seen)} faces found; this is the one nearest the picture's centre",)
        kept = seen if all_faces else seen[:1]
        return [Found(photo, face, i, notes + _doubts(face)) for i, face in enumerate(kept)]

    def run(
        self, found: Sequence[Found], *, seed: int = 0, shapes: int = 100, expressions: int = 15
    ) -> list[Reconstruction]:
        """Reconstructs faces that `find` found; arguments as in a call."""
        results: list[Reconstruction] = []
        while left := found[len(results) :]:
            size = self.chunk if 2 * len(left) > self.chunk else self._least
            part = list(left[:size])
            program = self.program(shapes, expressions, size)
            inputs = _inputs(part + part[:1] * (size - len(part)), seed, self.sees)
            outputs = jax.device_get(program(self._once, inputs))
            for i, one in enumerate(part):
                results.append(self._result(one, seed, {k: v[i] for k, v in outputs.items()}))
        return results

    def program(
        self, shapes: int, expressions: int, batch: int | None = None
    ) -> Callable[..., dict[str, Array]]:
        """The compiled chain for K shapes and M expressions of `batch` faces, made once for each.

        Raises:
            ValueError: counts below 1, or a bundle whose parameters do not fit its config.
        """
        if shapes < 2 or expressions < 1:
            raise ValueError(
                f"{shapes} shapes and {expressions} expressions; at least 2 and 1 are needed"
            )
        batch = batch or self._least
        key = (shapes, expressions, batch)
        if key not in self._programs:
            configs = self.bundle.config["tasks"]
            try:
                self._programs[key] = compiled.program(
                    lambda known, faces: chain.run(configs, *key[:2], known.tree, faces),
                    (self._once, _abstract_inputs(batch, self.sees)),
                    f"chain {configs} {key}",
                )
            except Exception as error:  # any kind: flax, shape and key errors of a wrong bundle
                line = " ".join(str(error).split())[:160]
                fault = f"{type(error).__name__}: {line}"
                raise ValueError(f"bundle: parameters do not fit its config ({fault})") from error
        return self._programs[key]

    @property
    def arrays(self) -> dict[str, Any]:
        """What the program reads besides the faces: passed, never compiled in."""
        return self._once.tree

    @cached_property
    def _once(self) -> once.Once:
        """`arrays`, each once however many networks hold it."""
        config = self.bundle.config["tasks"]["idrank"]
        rank = idrank.constants(config, self.head, self.surface[idrank.region(config)])
        keys = ("mesh_faces_idx", "mesh_bary_coords", "mesh_weight", "region_face")
        surface = {key: self.surface[key] for key in keys if key in self.surface}
        surface = {
            k: v.astype(np.float32 if v.dtype.kind == "f" else np.int32) for k, v in surface.items()
        }
        narrow = self.dtype == "bfloat16"
        params = products.narrow(self.bundle.params) if narrow else self.bundle.params
        arrays = {"head": self.head, "params": params, "rank": rank, "surface": surface}
        return jax.device_put(once.Once.of(arrays))

    def _check_features(self) -> str:
        """What the bundle's encoders see, 'open' features or 'crops', the same in all tasks."""
        wanted = {n: c["features"] for n, c in self.bundle.config["tasks"].items()}
        names = sorted({str(features["name"]) for features in wanted.values()})
        if names == ["crops"]:
            return "crops"
        if not set(names) <= set(_OPEN):
            raise ValueError(f"bundle: its tasks see {', '.join(names)}; all 'open' or all 'crops'")
        bundles.check_projection(self.bundle, openhead.digest(openhead.weights("projection")))
        for name, features in wanted.items():
            made = _OPEN[features["name"]]
            if (size := features["size"]) != made:
                raise ValueError(
                    f"bundle: its {name} takes {size} features, but {made} are made here"
                )
        return "open"

    def _result(self, found: Found, seed: int, outputs: Mapping[str, np.ndarray]) -> Reconstruction:
        values: dict[str, Any] = dict(outputs)
        values["expression"] = int(values["expression"])
        values["camera_error"] = float(values["camera_error"])
        return Reconstruction(
            photo=found.photo,
            face=found.face,
            number=found.number,
            notes=found.notes,
            seed=seed,
            head=self.head.identity,
            bundle=self.bundle.config.get("params_sha256", ""),
            mode=self.bundle.config.get("mode", ""),
            triangles=np.asarray(self.head.faces),
            **values,
        )


def load(
    bundle: str | Path | None = None,
    head: str | Path | None = None,
    surface: str | Path | None = None,
    dtype: str | None = None,
) -> Reconstructor:
    """Reads a head and a bundle; what is compiled is kept (`compiled.keep`).

    Args:
        bundle: folder of an inference bundle; left out, the embedded default.
        head: what `flame.load` takes; left out, the bundle's own head, or the embedded open head.
        surface: `.npz` with what the head's files leave open: vertex numbers `region_face` and
            `region_front`, and if known FaceMesh's points on it (`mesh_faces_idx`,
            `mesh_bary_coords`, `mesh_weight`) and the triangles' `material`, `material_names`.
        dtype: 'float32' or 'bfloat16', of the networks' large kernels (`models.products`); left
            out, bfloat16 for the published encoders, whose embeddings it moves by less than a
            hundredth of their length, else float32.

    Raises:
        ValueError: one line, for a missing or damaged file, a bundle of another head, or a dtype.
    """
    compiled.keep()
    path = Path(bundle) if bundle is not None else openhead.bundle_path()
    source = head if head is not None else bundles.head_path(path) or openhead.head_path()
    model = flame.load(source)
    if surface is not None:
        known = _read_surface(surface)
    elif model.sha256 == openhead.head_sha256():
        known = openhead.surface()
    else:
        known = flame.surface(source)
    return Reconstructor(model, bundles.load(path, model), known, dtype)


def _read_surface(path: str | Path) -> Mapping[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"surface {path}: cannot be read ({error})") from None


def _check_surface(head: flame.FlameModel, surface: Mapping[str, np.ndarray]) -> None:
    if not len(head.full_lmk_faces_idx):
        raise ValueError(
            f"head {head.name!r} has no landmarks: put FLAME's landmark_embedding.npy beside it"
        )
    if missing := [key for key in ("region_face", "region_front") if key not in surface]:
        raise ValueError(
            f"head {head.name!r}: {', '.join(missing)} unknown; put OFER's front-face vertices and "
            "FLAME_masks.pkl beside it, or give them by --surface"
        )


def take(photograph: PhotoLike) -> photos.Photo:
    """A path or an array as a `Photo`."""
    if isinstance(photograph, photos.Photo):
        return photograph
    if isinstance(photograph, np.ndarray):
        return photos.from_array(photograph)
    return photos.read(photograph)


def _doubts(face: faces.Face) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if face.presence < PRESENCE:
        notes += ("the face is mostly hidden: pose and camera are rough",)
    width = float(face.box[2] - face.box[0])
    if width < SMALL_FACE:
        notes += (f"the face is small ({width:.0f} pixels wide): expect little detail",)
    return notes


def _inputs(found: Sequence[Found], seed: int, seen: str) -> dict[str, Any]:
    return {
        "features": seen_by(found, seen),
        "key": keys_of(found, seed),
        "points": np.stack([f.face.points[:, :2] for f in found]).astype(np.float32),
        "keypoints": np.stack([f.face.keypoints for f in found]).astype(np.float32),
        "use_mesh": np.array([f.face.presence >= PRESENCE for f in found]),
    }


def seen_by(found: Sequence[Found], sees: str) -> Any:
    """What networks that see `sees` ('open' or 'crops', `Reconstructor.sees`) read of the faces."""
    return _crops(found) if sees == "crops" else _open_features(found)


def _open_features(found: Sequence[Found]) -> Float[np.ndarray, "B F"]:
    # Picture by picture: a batch of another size would change the last bits of the features.
    features = [faces.features([f.photo.image], [f.face])[0] for f in found]
    return np.stack(features).astype(np.float32)


def _crops(found: Sequence[Found]) -> dict[str, np.ndarray]:
    crops = {"crop_112": faces.crop_112, "crop_224": faces.crop_224}
    return {
        name: np.stack([cut(f.photo.image, f.face) for f in found]) for name, cut in crops.items()
    }


def _abstract_inputs(chunk: int, seen: str) -> dict[str, Any]:
    def floats(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((chunk, *shape), jnp.float32)

    def pictures(size: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((chunk, size, size, 3), jnp.uint8)

    crops = {"crop_112": pictures(112), "crop_224": pictures(224)}
    return {
        "features": crops if seen == "crops" else floats(max(_OPEN.values())),
        "key": jax.eval_shape(lambda: jnp.stack([jax.random.key(0)] * chunk)),
        "points": floats(468, 2),
        "keypoints": floats(6, 2),
        "use_mesh": jax.ShapeDtypeStruct((chunk,), jnp.bool_),
    }


def key_of(found: Found, seed: int) -> Array:
    """The random key of a face: of the seed, the picture's pixels and the number of the face."""
    return keys_of([found], seed)[0]


def keys_of(found: Sequence[Found], seed: int) -> Array:
    """The random keys of several faces, [B]."""
    words = [[*np.frombuffer(f.photo.digest[:8], "<u4"), f.number] for f in found]
    return _folded(jax.random.key(seed), np.array(words, np.uint32))


@jax.jit
def _folded(key: Array, words: UInt32[Array, "B N"]) -> Array:
    return jax.vmap(lambda own: reduce(jax.random.fold_in, own, key))(words)
