"""Train, validation and test by person: never by picture, and moving nobody when people are added.

A person's number is a hash of the name alone, not of the set's: the same name in two sets (as in
Stirling's two halves) is always in the same split.
"""

import hashlib
from collections.abc import Collection, Mapping

from data_pipelines import data_card
from data_pipelines.sets import lists as people
from data_pipelines.sets import paths
from data_pipelines.sets.entry import Entry, Listing


def split(
    listing: Listing,
    validation: float = 0.1,
    test: float = 0.1,
    lists: Mapping[str, Collection[str]] | None = None,
) -> dict[str, list[Entry]]:
    """The entries of 'train', 'validation' and 'test', each in the order of the listing.

    Args:
        listing: what was read.
        validation, test: shares of the people that no list names, by `number`.
        lists: split -> people, in place of the lists that the listing was read with. Where train
            has a list, people on none are left out.

    Raises:
        ValueError: shares that are none, an unknown split, or a person in two of the lists.
    """
    if not (validation >= 0 and test >= 0 and validation + test <= 1):
        raise ValueError(f"the shares {validation} and {test} of validation and test are none")
    given = {paths.fold(name): where for name, where in listing.splits.items()}
    if lists is not None:
        given = people.assigned(lists)
    out: dict[str, list[Entry]] = {name: [] for name in data_card.SPLITS}
    for entry in listing.entries:
        where = given.get(paths.fold(entry.subject))
        if where is None and lists is not None and "train" in lists:
            continue
        out[where or _drawn(entry.subject, validation, test)].append(entry)
    return out


def number(subject: str) -> float:
    """A number in [0, 1) from a hash of the name, the same for all its spellings."""
    digest = hashlib.sha256(paths.fold(subject).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _drawn(subject: str, validation: float, test: float) -> str:
    drawn = number(subject)
    if drawn < test:
        return "test"
    return "validation" if drawn < test + validation else "train"
