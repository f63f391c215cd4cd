"""The types that the model of `cluster.toml` has at a location."""

from __future__ import annotations

import difflib
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from poolkeeper.model.locations import Location
from poolkeeper.model.spec import ClusterSpec


def nearest_key(location: Location) -> str | None:
    """Return the known key that is most like the last one of a location, None if none is."""
    table = type_at(location[:-1])[0]
    known = list(table.model_fields) if isinstance(table, type) and issubclass(table, BaseModel) else []
    return next(iter(difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.7)), None)


def type_at(location: Location) -> tuple[Any, FieldInfo | None]:
    """Return the type at a location, and its field if it is one."""
    kind: Any = ClusterSpec
    info: FieldInfo | None = None
    for part in location:
        if isinstance(part, int):
            kind, info = get_args(kind)[0], None
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            info = kind.model_fields[part]
            kind = info.annotation
    return kind, info
