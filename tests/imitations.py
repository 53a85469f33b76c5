"""Classes that pickle under another module's name, for files of packages that are not installed."""

import contextlib
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def imitated(*titles: str) -> Iterator[dict[str, type]]:
    """A class for each "module.Name", which pickle finds there as long as the block lasts."""
    made, saved = {}, dict(sys.modules)
    for title in titles:
        module, _, name = title.rpartition(".")
        made[title] = type(name, (), {"__module__": module})
        parts = module.split(".")
        for path in (".".join(parts[:i]) for i in range(1, len(parts) + 1)):
            if sys.modules.get(path) is saved.get(path):
                sys.modules[path] = types.ModuleType(path)
        setattr(sys.modules[module], name, made[title])
    try:
        yield made
    finally:
        for key in set(sys.modules) - set(saved):
            del sys.modules[key]
        sys.modules.update(saved)


def instance(cls, **fields):
    """An instance with these fields, made without its class's `__init__`."""
    out = cls()
    out.__dict__.update(fields)
    return out
