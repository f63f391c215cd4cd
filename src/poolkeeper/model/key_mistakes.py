"""The sentence for each kind of mistake that pydantic finds in one key of `cluster.toml`."""

from __future__ import annotations

from typing import Any

from poolkeeper.model.grammar import IN_WORDS, shown
from poolkeeper.model.locations import Location

UNKNOWN_KEY = "extra_forbidden"  # pydantic's name for it
_SENTENCES = {
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list of tables",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_long": "must have at most {max_length} characters",
}


def sentence(error: dict[str, Any], location: Location, near: str | None) -> str:
    """Return the rule that is broken, and the value that breaks it.

    `error` is one of pydantic's; `near` is the known key that an unknown one resembles.
    """
    kind, given, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == UNKNOWN_KEY:
        if near is None and len(location) == 2 and location[0] in ("postgresql", "pgpool"):
            return f"unknown key; other parameters of {location[0]}.conf belong under [{location[0]}.parameters]"
        return "unknown key" + (f"; did you mean {near}?" if near else "")
    if kind == "missing":
        return "is required"
    if kind == "refused":
        return str(context["sentence"])
    if kind == "string_pattern_mismatch":
        words = IN_WORDS.get(context["pattern"], context["pattern"])
        return f"must be {words}, not {shown(given)}"
    rule = _SENTENCES.get(kind, str(error["msg"])).format_map(context).replace("'", '"')
    return f"{rule}, not {shown(given)}"
