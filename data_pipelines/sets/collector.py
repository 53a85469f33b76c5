"""Takes entries and rejections as a reader finds them; each picture of a person once."""

from collections.abc import Mapping, Sequence

from data_pipelines.sets import paths
from data_pipelines.sets.entry import TWICE, Entry, Fault, Listing, Rejection, Truth


class Collector:
    """The listing as it grows."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.entries: dict[tuple[str, str], Entry] = {}
        self.rejected: list[Rejection] = []
        self.people: set[str] = set()
        self._files: set[tuple[str, str]] = set()

    def reject(self, subject: str, name: str, source: str, fault: Fault | str) -> None:
        fault = fault if isinstance(fault, Fault) else Fault(fault)
        self.people.add(subject)
        line = (self.dataset, paths.clean(subject), paths.clean(name), source)
        self.rejected.append(Rejection(*line, fault.reason, paths.clean(fault.detail)))

    def add(
        self,
        subject: str,
        name: str,
        truth: Truth,
        source: str,
        *,
        picture: str = "",
        crops: tuple[str, str] = ("", ""),
    ) -> None:
        """One more picture, or a rejection if its name or its file is there already."""
        subject, name = paths.clean(subject), paths.clean(name)
        self.people.add(subject)
        taken = (subject, picture or crops[0])
        if (subject, name) in self.entries or taken in self._files:
            self.reject(subject, name, source, TWICE)
            return
        self._files.add(taken)
        self.entries[subject, name] = Entry(self.dataset, subject, name, picture, *crops, truth)

    def listing(
        self, root: str, layout: str, splits: Mapping[str, str], notes: Sequence[str] = ()
    ) -> Listing:
        """All of it, sorted. Where train has a list, people on none are left out, with a note."""
        entries = [self.entries[key] for key in sorted(self.entries)]
        if "train" in splits.values():
            left = sorted({e.subject for e in entries if paths.fold(e.subject) not in splits})
            entries = [each for each in entries if paths.fold(each.subject) in splits]
            notes = [*notes, *counted(left, "people are on no list, and left out")]
        there = {paths.fold(subject) for subject in self.people}
        absent = sorted(name for name in splits if name not in there)
        notes = [*notes, *counted(absent, "people of the lists are not in the set")]
        rejected = sorted(self.rejected, key=lambda r: (r.subject, r.name, r.source, r.reason))
        named = {each.subject: splits.get(paths.fold(each.subject), "") for each in entries}
        return Listing(
            dataset=self.dataset,
            root=root,
            layout=layout,
            entries=tuple(entries),
            rejected=tuple(rejected),
            splits={subject: split for subject, split in named.items() if split},
            notes=tuple(notes),
        )


def counted(names: Sequence[str], what: str) -> list[str]:
    """A line of how many people something is true of, and the first of them; none for nobody."""
    some = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return [f"{len(names)} {what} ({some})"] if names else []
