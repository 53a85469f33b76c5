"""PyTorch state dicts to our variables: names and layouts only, numpy in and numpy out.

Each function takes a published network's state dict (name -> array) and returns what our module's
`.apply` takes. A linear layer's weight [out, in], or [out, in, 1] of a convolution with kernel 1,
becomes a kernel [in, out]; a convolution's [out, in, h, w] becomes [h, w, in, out].

A tree of `_Leaf` says which entries make each of our arrays. So all missing and all unknown entries
are known before anything is converted: a ValueError names every one of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

StateDict = Mapping[str, Any]
Tree = dict[str, Any]


class _Leaf(NamedTuple):
    keys: tuple[str, ...]
    make: Callable[..., np.ndarray]


def denoiser(
    state: StateDict, config: Mapping[str, Any], *, draw_missing: int | None = None
) -> Tree:
    """Variables of `models.Denoiser` (entry `net` of a published checkpoint).

    The published attention projections `to_qkv.N` were never parameters, so a checkpoint lacks
    them, but for the last of each attention, which it may hold as `qkv`. They are an error, unless
    `draw_missing` is a seed: then they are drawn as the published code does at each start.
    """
    widths, tokens = tuple(config["dims"]), config.get("numqkv", 16)
    state = dict(state)
    for attention in _attention_names(widths):
        _complete_projections(state, attention, tokens)
    tree = _denoiser_tree(widths, tokens)
    if draw_missing is not None:
        _draw_projections(state, tree, np.random.default_rng(draw_missing))
    return {"params": _convert(tree, state, "a denoiser")}


def ranker(state: StateDict, config: Mapping[str, Any] | None = None) -> Tree:
    """Variables of `models.Ranker`; `config` may give `hidden`, the published widths by default."""
    hidden = (config or {}).get("hidden", (4096, 1024, 256, 64))
    tree: Tree = {}
    for i in range(len(hidden) + 1):
        name = f"ranklayers.{i}"
        tree[f"linear_{i}"] = _linear(f"{name}.mlp")
        tree[f"scale_{i}"] = _linear(f"{name}.scale")
        tree[f"shift_{i}"] = _linear(f"{name}.shift", bias=False)
        if i < len(hidden):
            tree[f"norm_{i}"] = _norm(f"{name}.gn")
    first = tree["linear_0"]  # its inputs are the mean, then the difference from it
    weight = ("ranklayers.0.mlp.weight",)
    tree["mean_0"] = {"kernel": _Leaf(weight, lambda w: _halves(w)[0]), "bias": first["bias"]}
    tree["linear_0"] = {"kernel": _Leaf(weight, lambda w: _halves(w)[1])}
    return {"params": _convert(tree, state, "a ranker")}


def mica_regressor(state: StateDict, config: Mapping[str, Any] | None = None) -> Tree:
    """Variables of `models.MicaRegressor` (entry `flameModel` of MICA's checkpoint).

    That entry's other arrays, FLAME's own, are ignored.
    """
    depth = (config or {}).get("layers", 4)
    state = {key: value for key, value in state.items() if key.startswith("regressor.")}
    tree: Tree = {f"linear_{i}": _linear(f"regressor.network.{i}") for i in range(depth)}
    tree["out"] = _linear("regressor.output")
    return {"params": _convert(tree, state, "MICA's regressor")}


def arcface(state: StateDict, config: Mapping[str, Any] | None = None) -> Tree:
    """Variables of `models.ArcFace`, float32, from insightface's IResNet (the entry `arcface` of a
    published checkpoint); `config` may give `layers`, the blocks of its stages.

        variables = convert.arcface(torchfile.read("backbone.pth"))
        embedding = models.ArcFace().apply(variables, images)  # [B, 112, 112, 3], RGB in -1 .. 1

    Raises ValueError naming every entry that is missing or unknown.
    """
    params: Tree = {"conv": _conv("conv1"), "prelu": _prelu("prelu"), "fc": _fc("fc")}
    stats: Tree = {}
    _batch_norms(params, stats, {"norm": "bn1", "out_norm": "bn2", "features": "features"})
    for stage, count in enumerate((config or {}).get("layers", (3, 13, 30, 3)), start=1):
        for i in range(count):
            name, ours = f"layer{stage}.{i}", f"stage_{stage}_{i}"
            block: Tree = {f"conv_{n}": _conv(f"{name}.conv{n}") for n in (1, 2)}
            block["prelu"] = _prelu(f"{name}.prelu")
            block_stats: Tree = {}
            norms = {f"norm_{n}": f"{name}.bn{n}" for n in (1, 2, 3)}
            if i == 0:
                block["skip"] = _conv(f"{name}.downsample.0")
                norms["skip_norm"] = f"{name}.downsample.1"
            _batch_norms(block, block_stats, norms)
            params[ours], stats[ours] = block, block_stats
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    return _convert({"params": params, "batch_stats": stats}, state, "an IResNet")


def farl(state: StateDict, config: Mapping[str, Any] | None = None) -> Tree:
    """Variables of `models.FaRL`, float32, from a CLIP model's image tower, the entries `visual.*`
    (the rest, its text tower, is ignored); `config` may give `layers`, the number of blocks.

        variables = convert.farl(torchfile.read("FaRL.pth")["state_dict"])
        embedding = models.FaRL().apply(variables, images)  # [B, 224, 224, 3], CLIP-normalised

    Raises ValueError naming every entry that is missing or unknown.
    """
    prefix = "visual."
    state = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    tree: Tree = {
        "class_embedding": _Leaf(("class_embedding",), _same),
        "positional_embedding": _Leaf(("positional_embedding",), _same),
        "patches": {"kernel": _Leaf(("conv1.weight",), _patches)},
        "ln_pre": _norm("ln_pre"),
        "ln_post": _norm("ln_post"),
        "proj": {"kernel": _Leaf(("proj",), _same)},
    }
    for i in range((config or {}).get("layers", 12)):
        name = f"transformer.resblocks.{i}"
        qkv = (f"{name}.attn.in_proj_weight",), (f"{name}.attn.in_proj_bias",)
        tree[f"block_{i}"] = {
            "qkv": {"kernel": _Leaf(qkv[0], _transposed), "bias": _Leaf(qkv[1], _same)},
            "out": _linear(f"{name}.attn.out_proj"),
            "ln_1": _norm(f"{name}.ln_1"),
            "ln_2": _norm(f"{name}.ln_2"),
            "mlp_in": _linear(f"{name}.mlp.c_fc"),
            "mlp_out": _linear(f"{name}.mlp.c_proj"),
        }
    return {"params": _convert(tree, state, "a CLIP image tower")}


def _convert(tree: Tree, state: StateDict, what: str) -> Tree:
    wanted = {key for leaf in _leaves(tree) for key in leaf.keys}
    problems = {"missing": sorted(wanted - set(state)), "unknown": sorted(set(state) - wanted)}
    lines = [f"{name}: {', '.join(keys)}" for name, keys in problems.items() if keys]
    if lines:
        raise ValueError(f"this is not the state dict of {what}; {'; '.join(lines)}")

    return _made(tree, state)


def _made(node: Any, state: StateDict) -> Any:
    if isinstance(node, dict):
        return {name: _made(child, state) for name, child in node.items()}
    arrays = [np.asarray(state[key], np.float32) for key in node.keys]
    try:
        out = node.make(*arrays)
    except (ValueError, IndexError, TypeError, ArithmeticError):
        shapes = ", ".join(f"{k} {a.shape}" for k, a in zip(node.keys, arrays, strict=True))
        raise ValueError(f"not the published shape: {shapes}") from None
    return np.array(out, order="C")  # its own memory: the state may be a file's


def _leaves(node: Any) -> Iterator[_Leaf]:
    if isinstance(node, _Leaf):
        yield node
    else:
        for child in node.values():
            yield from _leaves(child)


def _denoiser_tree(widths: tuple[int, ...], tokens: int) -> Tree:
    stages = range(len(widths) - 1)
    blocks = [
        *(f"downs.{i}.{j}" for i in stages for j in (0, 1)),
        *("mid_block1", "mid_block2"),
        *(f"ups.{i}.{j}" for i in stages for j in (1, 2)),
        "finals.0.0",
    ]
    tree: Tree = {"init_linear": _linear("init_conv"), "out_linear": _linear("finals.0.2")}
    for j, (down, up) in enumerate(itertools.product(stages, (0, 2))):
        tree[f"down_linear_{j}"] = _linear(f"downs.{down}.3.{up}")
        tree[f"up_linear_{j}"] = _linear(f"ups.{down}.0.{up}")
    for j, part in enumerate((1, 3)):
        tree[f"time_linear_{j}"] = _linear(f"time_mlp.{part}")
    skips = {"finals.0.0", *(f"ups.{i}.{j}" for i in stages for j in (1, 2))}
    for j, name in enumerate(blocks):
        tree[f"blocks_{j}"] = _block(name, skip=name in skips)
    for j, name in enumerate(_attention_names(widths)):
        tree[f"attentions_{j}"] = _attention(name, tokens)
    return tree | _modulations(blocks)


def _attention_names(widths: Sequence[int]) -> list[str]:
    stages = range(len(widths) - 1)
    names = [f"downs.{i}.2" for i in stages], [f"ups.{i}.3" for i in stages]
    return [*names[0], "mid_attn", *names[1], "finals.0.1"]


def _block(name: str, *, skip: bool) -> Tree:
    tree: Tree = {}
    for j in (0, 1):
        tree[f"linear_{j}"] = _linear(f"{name}.block{j + 1}.proj")
        tree[f"norm_{j}"] = _norm(f"{name}.block{j + 1}.norm")
    return tree | ({"skip": _linear(f"{name}.res_conv")} if skip else {})


def _modulations(blocks: Sequence[str]) -> Tree:
    """All blocks' linear layers of concat(time, context), split by input and put side by side."""
    weights = tuple(f"{name}.mlp.1.weight" for name in blocks)
    biases = tuple(f"{name}.mlp.1.bias" for name in blocks)
    time = ("time_mlp.3.bias",)  # as long as the time embedding, which comes first

    def of_time(bias: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        return np.concatenate([w[:, : len(bias)] for w in weights]).T

    def of_context(bias: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        return np.concatenate([w[:, len(bias) :] for w in weights]).T

    bias = _Leaf(biases, lambda *parts: np.concatenate(parts))
    return {
        "time_modulation": {"kernel": _Leaf(time + weights, of_time), "bias": bias},
        "context_modulation": {"kernel": _Leaf(time + weights, of_context)},
    }


def _attention(name: str, tokens: int) -> Tree:
    projections = tuple(f"{name}.fn.fn.to_qkv.{i}.weight" for i in range(tokens))
    return {
        "g": _Leaf((f"{name}.fn.norm.g",), np.ravel),
        "qkv": {"kernel": _Leaf(projections, lambda *w: _transposed(np.concatenate(w)))},
        "out": _Leaf((f"{name}.fn.fn.to_out.weight",), _transposed),
        "out_bias": _Leaf((f"{name}.fn.fn.to_out.bias",), _same),
        "mix": _Leaf((f"{name}.fn.fn.to_out_linear.weight",), _transposed),
        "mix_bias": _Leaf((f"{name}.fn.fn.to_out_linear.bias",), _same),
    }


def _complete_projections(state: dict[str, Any], attention: str, tokens: int) -> None:
    """The last projection may be stored under the name it was last called by."""
    alias = f"{attention}.fn.fn.qkv.weight"
    if alias in state:
        last = state.pop(alias)
        state.setdefault(f"{attention}.fn.fn.to_qkv.{tokens - 1}.weight", last)


def _draw_projections(state: dict[str, Any], tree: Tree, rng: np.random.Generator) -> None:
    for name, leaf in ((n, c["qkv"]["kernel"]) for n, c in tree.items() if n.startswith("atten")):
        shape = np.shape(state.get(tree[name]["out"].keys[0], ()))
        if len(shape) < 2:
            continue
        width, inner = shape[:2]
        for key in (k for k in leaf.keys if k not in state):
            state[key] = rng.uniform(-1, 1, (3 * inner, width, 1)) / np.sqrt(width)


def _linear(key: str, *, bias: bool = True) -> Tree:
    kernel = _Leaf((f"{key}.weight",), _transposed)
    return {"kernel": kernel} | ({"bias": _Leaf((f"{key}.bias",), _same)} if bias else {})


def _norm(key: str) -> Tree:
    return {"scale": _Leaf((f"{key}.weight",), _same), "bias": _Leaf((f"{key}.bias",), _same)}


def _conv(key: str) -> Tree:
    return {"kernel": _Leaf((f"{key}.weight",), lambda w: w.transpose(2, 3, 1, 0))}


def _prelu(key: str) -> Tree:
    return {"slope": _Leaf((f"{key}.weight",), _same)}


def _batch_norms(params: Tree, stats: Tree, names: Mapping[str, str]) -> None:
    for ours, theirs in names.items():
        params[ours] = _norm(theirs)
        keys = {"mean": f"{theirs}.running_mean", "var": f"{theirs}.running_var"}
        stats[ours] = {name: _Leaf((key,), _same) for name, key in keys.items()}


def _fc(key: str) -> Tree:
    """Its input is a flattened [C, 7, 7], ours a flattened [7, 7, C]."""

    def permuted(w: np.ndarray) -> np.ndarray:
        side = 7
        channels = w.shape[1] // side**2
        return w.reshape(-1, channels, side, side).transpose(2, 3, 1, 0).reshape(-1, w.shape[0])

    kernel = _Leaf((f"{key}.weight",), permuted)
    return {"kernel": kernel, "bias": _Leaf((f"{key}.bias",), _same)}


def _patches(weight: np.ndarray) -> np.ndarray:
    """A convolution of patches [out, 3, p, p] as a linear layer on flattened [p, p, 3]."""
    return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _halves(weight: np.ndarray) -> list[np.ndarray]:
    return np.split(_transposed(weight), 2)


def _transposed(weight: np.ndarray) -> np.ndarray:
    return weight.reshape(weight.shape[:2]).T


def _same(value: np.ndarray) -> np.ndarray:
    return value
