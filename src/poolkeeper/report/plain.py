"""A result as JSON: pydantic's TypeAdapter turns its data classes into plain data.

An outcome is its word, a field is its key, a property is left out. `text` refuses NaN and infinity.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from pydantic import TypeAdapter


def data(value: Any) -> Any:
    """Return a data class, and every value in it, as dicts, lists, texts and numbers; a field's alias is its key."""
    return _adapter(value.__class__).dump_python(value, mode="json", by_alias=True)


def text(document: object) -> str:
    """Return plain data as indented JSON, ending in one newline.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@functools.cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
