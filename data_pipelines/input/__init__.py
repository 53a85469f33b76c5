"""Training batches by grain: from the arrays of the passes, or from the records of real pictures.

A training batch is a function of (seed, step) alone. Position p = step * batch + slot of an endless
stream belongs to image p % K of visit p // K. Visits are shared out to the sets by weight
(`mixing`), and each set visits its pictures (K = 1) or its subjects in an order of its own, another
each epoch (`order`). Process q of c takes the slots q, q + c, ...: together the processes see the
same examples at each step whatever their number. What is drawn at random for an example (clean or
occluded, what hides it, which candidates) is a hash of the seed and its `index` = turn * N + row,
never of its place in the batch; no two examples have the same.

grain gives the iterator with its state, `{"next_index": step}`; its elements are whole batches,
since 256 single elements cost 4 ms in Python and one gather of 256 rows 0.3 ms.
"""

from data_pipelines.input.arrays import folder, load_split, read_meta, sets, unexpressive
from data_pipelines.input.draws import uniform
from data_pipelines.input.fields import COEFFICIENTS, CROPS, KINDS, Features, kinds
from data_pipelines.input.gather import either
from data_pipelines.input.mixing import shares
from data_pipelines.input.train_iter import epoch_size, make_train_iter, state_at

__all__ = [
    "COEFFICIENTS",
    "CROPS",
    "KINDS",
    "Features",
    "either",
    "epoch_size",
    "folder",
    "kinds",
    "load_split",
    "make_train_iter",
    "read_meta",
    "sets",
    "shares",
    "state_at",
    "unexpressive",
    "uniform",
]
