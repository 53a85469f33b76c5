"""TensorBoard's event files: written by this process itself, so that a flush leaves nothing in a
queue, and cut to a step when a run goes on.

A record is the length (uint64, little-endian), its checksum, the event and its checksum (uint32).
"""

import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event  # pyrefly: ignore[missing-module-attribute]

from ofer_jax import atomic

PATTERN = "events.out.tfevents.*"


class Events:
    """Adds a file of events to `folder`; in those that are there nothing after step `start` stays.

    Their names begin with the second, so that a number is added: two of one second are two files.
    """

    def __init__(self, folder: Path, start: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        before = sorted(folder.glob(PATTERN))
        for path in before:
            _cut(path, start)
        self._writer = EventsWriter(str(folder / "events"), f".{len(before)}")
        self._flushed = time.monotonic()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add one event of numbers; on disk within some seconds, or at the next flush."""
        for name, value in values.items():
            self._add(step, summary.scalar(name, value))
        if time.monotonic() - self._flushed > 10:
            self.flush()

    def picture(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Add a picture, uint8 [H, W, 3] RGB."""
        self._add(step, summary.image(name, pixels, dataformats="HWC"))

    def _add(self, step: int, found: object) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, summary=found))

    def flush(self) -> None:
        """Return when everything is on disk."""
        self._writer.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()


def read(folder: Path) -> list[tuple[int, str, float]]:
    """(step, name, value) of all numbers in a folder, in the order of steps and names."""
    found = [
        (event.step, value.tag, value.simple_value)
        for path in folder.glob(PATTERN)
        for event, _ in _records(path)
        for value in event.summary.value
        if value.HasField("simple_value")
    ]
    return sorted(found)


def _records(path: Path) -> Iterator[tuple[Event, bytes]]:
    """Each event and the bytes of its record, up to half a one of a run that was killed."""
    data, at = path.read_bytes(), 0
    while at + 12 <= len(data):
        end = at + 16 + struct.unpack_from("<Q", data, at)[0]
        if end > len(data):
            return
        try:
            event = Event.FromString(data[at + 12 : end - 4])
        except DecodeError:
            return
        yield event, data[at:end]
        at = end


def _cut(path: Path, last: int) -> None:
    kept = b"".join(record for event, record in _records(path) if event.step <= last)
    if len(kept) < path.stat().st_size:
        atomic.write_bytes(path, kept)
