"""Plain values (dicts, lists, strings, numbers) against a small part of JSON Schema: type,
required, properties, additionalProperties, items, enum, pattern, minimum, minItems. What is not
named in `properties` is refused."""

import re
from typing import Any

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def faults(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """One line, with its place, for each thing in `value` that `schema` does not allow."""
    kind = TYPES[schema["type"]]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return [f"{where}: {value!r} is not of type {schema['type']}"]
    if kind is dict:
        return _faults_of_object(value, schema, where)
    if kind is list:
        found = [f"{where}: too few"] if len(value) < schema.get("minItems", 0) else []
        for number, item in enumerate(value):
            found += faults(item, schema["items"], f"{where}[{number}]")
        return found
    found = []
    if value not in schema.get("enum", [value]):
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{where}: {value} is less than {schema['minimum']}")
    return found


def _faults_of_object(value: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    missing = [name for name in schema.get("required", ()) if name not in value]
    found = [f"{where}.{name} is missing" for name in missing]
    for name, item in value.items():
        inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        if inner is None:
            found.append(f"{where}.{name} is not known")
        else:
            found += faults(item, inner, f"{where}.{name}")
    return found
