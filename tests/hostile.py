"""Files that mean harm: pickles that call something, and small files that claim to be huge.

Each function gives (name, bytes) pairs; what a pickle would do if it were run is to make a folder
`touched` where the reader works.
"""

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np

CANARY = "touched"
Case = tuple[str, bytes]


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


_ARGUMENT = b"(" + _text(CANARY) + b"t"


def programs() -> Iterator[Case]:
    """Pickles that would make the folder, by every opcode that calls, and others that grow."""
    for function in ("os mkdir", "posix mkdir", "nt mkdir", "os makedirs", "pathlib Path.mkdir"):
        module, name = function.split()
        find = f"c{module}\n{name}\n".encode()
        stacked = _text(module) + _text(name) + b"\x93"
        yield f"{function} by REDUCE", b"\x80\x02" + find + _ARGUMENT + b"R."
        yield f"{function} by STACK_GLOBAL", b"\x80\x04" + stacked + _ARGUMENT + b"R."
        yield f"{function} by INST", b"(" + _text(CANARY) + f"i{module}\n{name}\n.".encode()
        yield f"{function} by OBJ", b"(" + find + _text(CANARY) + b"o."
        yield f"{function} by NEWOBJ", b"\x80\x02" + find + _ARGUMENT + b"\x81."
        yield f"{function} by NEWOBJ_EX", b"\x80\x04" + find + _ARGUMENT + b"}\x92."
        yield f"{function} in a list", b"\x80\x02]" + find + _ARGUMENT + b"Ra."
        yield f"{function} as a key", b"\x80\x02}" + find + _ARGUMENT + b"RK\x01s."
    run = f"import os; os.mkdir({CANARY!r})"
    for name in ("exec", "eval", "__import__", "getattr", "open", "compile"):
        for module in ("builtins", "__builtin__"):
            call = f"c{module}\n{name}\n".encode() + b"(" + _text(run) + b"tR."
            yield f"{module}.{name}", b"\x80\x02" + call
    yield "numpy's runstring", b"cnumpy.testing._private.utils\nrunstring\n(" + _text(run) + b"}tR."
    yield "an extension code", b"\x80\x02\x82\x01."
    yield "a persistent id", b"\x80\x02" + _text(CANARY) + b"Q."
    yield "a state", b"\x80\x02}" + _text("__setstate__") + b"cos\nmkdir\ns" + _text(CANARY) + b"b."
    yield "object dtype", pickle.dumps(np.array([1, "a", None], dtype=object))
    nested = b"]\x94" + b"".join(b"](" + (b"h" + bytes([k])) * 50 + b"e\x94" for k in range(90))
    yield "lists of lists without end", b"\x80\x04" + nested + b"."
    pair = b"](" + b"h\x00" * 9000 + b"e\x94"
    rows = b"".join(_text(f"k{k}") + b"h\x01\x8c\x01p\x86" for k in range(900))
    yield "a long list in each row", b"\x80\x04\x8c\x01a\x94" + pair + b"0}(" + rows + b"u."
    yield "a list in itself", b"\x80\x04]\x94h\x00a."
    yield "a row that holds itself", b"\x80\x04}\x8c\x01k]\x94h\x00a\x8c\x01p\x86s."
    yield "a deep nest", b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."
    yield "a deep tuple as a key", b"\x80\x02}" + b")" + b"\x85" * 50_000 + b"K\x01s."
    yield "a number without end", b"\x80\x02}\x8b" + struct.pack("<i", 90_000) + b"\x7f" * 90_000
    yield (
        "a key of many digits",
        b"\x80\x02}\x8b"
        + struct.pack("<i", 9_000)
        + b"\x7f" * 9_000
        + (b"\x8c\x01a\x8c\x01b\x86s."),
    )
    yield "digits in a line", b"I" + b"9" * 100_000 + b"\n."
    yield "a length beyond the file", b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"a."
    yield "a frame beyond the file", b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"."
    yield "a memo far away", b"\x80\x02]r\xff\xff\xff\x7fj\xff\xff\xff\x7f."


def npy(kind: str, shape: str, rest: bytes = b"") -> bytes:
    """A `.npy` file with any header."""
    head = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + rest


def arrays() -> Iterator[Case]:
    """`.npy` files that claim more than they hold, or hold a program."""
    for name, data in programs():
        yield f"npy of {name}", npy("'|O'", "()", data)
    for shape in ("(1 << 40,)", "(9999999999,)", "(-1,)", "(0, 99999999999999)", "(" * 3000, "7"):
        yield f"shape {shape[:20]}", npy("'<f4'", shape)
    for kind in ("'V0'", "'|S0'", "'<U99999999'", "[('a', '<f4')] * 9", "'(99999,99999)f4'", "O"):
        yield f"type {kind}", npy(kind, "(3,)", bytes(99))
    yield "a call in the header", npy("'<f4'", f"__import__('os').mkdir('{CANARY}')")
    yield "a header of 60 KB", npy("'<f4'", "(" + "1," * 30_000 + ")")


def archives() -> Iterator[Case]:
    """`.npz` files: bombs, lies, programs, names that lead away."""
    for name, data in arrays():
        yield f"npz of {name}", zipped({"betas.npy": data, "shape.npy": data})
    zeros = npy("'<f4'", f"({6 << 20},)") + bytes(24 << 20)
    yield "a bomb of 24 MB", zipped({"betas.npy": zeros}, zipfile.ZIP_DEFLATED)
    yield "a bomb by LZMA", zipped({"shape.npy": zeros}, zipfile.ZIP_LZMA)
    good = io.BytesIO()
    np.savez(good, betas=np.zeros(400))
    data = good.getvalue()
    central = data.rindex(b"PK\x01\x02")
    for size in (0, 10, 1 << 31, (1 << 32) - 1):
        lie = data[: central + 24] + struct.pack("<I", size) + data[central + 28 :]
        yield f"a size of {size}", lie
    for method in (1, 8, 12, 14, 93, 99):
        lie = data[: central + 10] + struct.pack("<H", method) + data[central + 12 :]
        yield f"compression {method}", lie
    flagged = data[: central + 8] + struct.pack("<H", 1) + data[central + 10 :]
    yield "encrypted", flagged
    yield "many members", zipped({f"{k}.npy": b"" for k in range(20_000)})
    yield "names that lead away", zipped({f"../{CANARY}/betas.npy": data, "/betas.npy": data})
    yield "an archive in an archive", zipped({"betas.npy": data})
    yield "a comment longer than the file", data[:-2] + b"\xff\xff"
    yield "nothing in it", zipped({})


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, depth: int = 8, color: int = 2) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def pictures() -> Iterator[Case]:
    """Pictures that claim to be huge, or are of kinds that programs are run for."""
    flood = zlib.compress(bytes(16 << 20), 9)
    sizes = ((1 << 30, 1 << 30), (60_000, 60_000), (1, 1 << 31), (0, 0), (100, 1 << 24))
    for width, height in sizes:
        yield f"png {width} x {height}", png(width, height, flood)
    yield "png that floods", png(64, 64, flood)
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(24 << 20), 9))
    yield "png with a text that floods", png(64, 64, flood).replace(b"\0\0\0\0IEND", text)
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(24 << 20), 9))
    whole = png(64, 64, flood)
    yield "png with a profile that floods", whole[:33] + profile + whole[33:]
    yield "bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 1 << 30, 9, 1, 24, *[0] * 6)
    yield (
        "bmp upside down",
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 64, -(1 << 31), 1, 24, *[0] * 6),
    )
    yield "ppm", b"P6 99999999 99999999 255\n"
    yield "ppm of many digits", b"P6 " + b"9" * 99_999
    yield "ppm text", b"P3 64 64 255 " + b"1" * 99_999
    far = b"\xff\xff\xff\xff"
    planes = b"\x03\x01\x11\0\x02\x11\0\x03\x11\0"
    yield "jpeg of 65535", b"\xff\xd8\xff\xc0\0\x11\x08" + far + planes
    yield "gif of 65535", b"GIF89a" + far + b"\xf7\0\0" + bytes(900) + b",\0\0\0\0" + far
    yield "webp", b"RIFF\xff\xff\xff\xffWEBPVP8X\n\0\0\0\x10\0\0\0\xff\xff" + far
    tags = ((256, 1, 1 << 30), (257, 1, 1 << 30), (273, 1 << 28, 8), (279, 1 << 28, 8))
    entries = b"".join(struct.pack("<HHII", tag, 4, count, value) for tag, count, value in tags)
    yield "tiff in a circle", b"II*\0\x08\0\0\0\x04\0" + entries + b"\x08\0\0\0"
    yield "eps", f"%!PS-Adobe-3.0 EPSF\n%%BoundingBox: 0 0 64 64\n({CANARY}) (w) file\n".encode()
    yield "svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"
    yield "xbm", b"#define a_width 64\n#define a_height 64\nstatic char a_bits[] = {0"


def lists() -> Iterator[Case]:
    """Lists of people, pickled, in a `.npy` or bare."""
    yield from arrays()
    yield from programs()
    for name, value in {
        "paths that lead away": {"a": (["../../../etc/passwd", "/etc/passwd"], "/etc/x.npz")},
        "names that lead away": {"../../x": (["a"], "b"), "/": (["a"], "b"), "a\0b": (["a"], "b")},
        "long names": {"a" * 9000: (["a"], "b"), "b": (["x" * 9000 + ".jpg"], "y" * 300 + ".npz")},
        "odd values": {1: 2, None: (3, 4), "c": ((), ()), "d": ([[]], {}), 1.5: ["f"]},
        "odd texts": {"\ud800": (["\ud800.jpg"], "\ud800.npz"), "": ([""], ""), "\n": (["a"], "b")},
        "numbers": {"a": (np.arange(9), np.float64(3))},
    }.items():
        stream = io.BytesIO()
        held = pickle.dumps(np.array(value, dtype=object), 4)
        stream.write(npy("'|O'", "()", held))
        yield name, stream.getvalue()


_ODD = (
    *(
        "a/1.jpg",
        "a\\1.JPG",
        "1",
        "A/1.png",
        "../a/1.jpg",
        "a/../1.jpg",
        "/a",
        "C:/a/1.jpg",
        "//a/b",
    ),
    *(
        "",
        " ",
        ".",
        "..",
        "a/",
        "a//1.jpg",
        "a/x.npz",
        "x.npz",
        "X.NPZ",
        "a/x",
        "e\u0301",
        "a\0",
        "\n",
    ),
    *("\ud800", "a" * 300, "LYHM/images/a/1.jpg", "images/a/1.jpg", "~/1.jpg", "%00", "a/1.jpg\n"),
    *(None, 7, -1, 1.5, True, b"a/1.jpg", (), [], {}, 1 << 80, float("nan"), np.float32(2)),
    *(np.array(["a/1.jpg", "1"]), np.str_("a/1.jpg"), np.bytes_(b"a"), np.arange(3), ("a", ["1"])),
)


def odd_list(rng: np.random.Generator) -> bytes:
    """A whole list whose actors, pictures and paths are drawn from odd ones."""

    def some(count: int) -> list:
        return [_ODD[k] for k in rng.integers(len(_ODD), size=count)]

    rows = {}
    for actor in ["a", *(each for each in some(3) if type(each) in (str, int, float, type(None)))]:
        pictures, parameters = [*some(3), "a/1.jpg"], (*some(1), "a/x.npz")[rng.integers(2)]
        value = (pictures, parameters) if rng.uniform() < 0.5 else (parameters, pictures)
        rows[actor] = value if rng.uniform() < 0.9 else some(1)[0]
    held = np.empty((), dtype=object)
    held[()] = rows
    return npy("'|O'", "()", pickle.dumps(held, 4))
