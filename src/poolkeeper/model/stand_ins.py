"""Valid values in the place of wrong ones, so that the rules between keys are checked for the rest of the file.

Invariant: a stand-in makes no rule complain about another key.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Any, Literal, TypeVar, get_args, get_origin

from annotated_types import Ge
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from poolkeeper.model.locations import Location, walk
from poolkeeper.model.spec_types import type_at

Value = TypeVar("Value", int, str, IPv4Address)
_NAME = re.compile(r"\bunreadable\d+\b")


class UnusedValues:
    """Values that the file does not have; each is taken once."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._used = {str(leaf) for leaf in _leaves(raw)}
        self._serials = itertools.count()

    def take(self, form: Callable[[int], Value]) -> Value:
        """Return the next value of that form."""
        return next(value for value in map(form, self._serials) if str(value) not in self._used)


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(item)
    else:
        yield tree


def put(tree: Any, location: Location, unused: UnusedValues) -> None:
    """Set a stand-in at a location whose surroundings exist."""
    holder, last = walk(tree, location[:-1]), location[-1]
    if isinstance(holder, dict | list):
        kind, info = type_at(location)
        holder[last] = _stand_in(kind, info, str(last), unused)  # type: ignore[index]


def without_names(sentence: str) -> str:
    """Return a rule's sentence without the name of a stand-in, which the file does not have."""
    return _NAME.sub("a service whose name is wrong", sentence)


def _stand_in(kind: Any, info: FieldInfo | None, name: str, unused: UnusedValues) -> Any:
    """Return a valid value that breaks no rule of another key.

    Names, addresses and ports are unused ones. There are no nodes, numbers are the smallest, and the network is too
    small for any address, so that `rules.addresses_are_in_the_subnet` does not check them.
    """
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        return {key: _stand_in(field.annotation, field, key, unused) for key, field in fields}
    if get_origin(kind) in (tuple, dict):
        return get_origin(kind)()
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]  # the last value of synchronous_mode is off, which requires nothing of the nodes
    if kind is bool:
        return False
    if kind is int:
        lower: list[Any] = [limit.ge for limit in (info.metadata if info else []) if isinstance(limit, Ge)]
        return unused.take(lambda n: 65535 - n) if name.endswith("port") else max(lower, default=0)
    if kind is str:
        return unused.take(lambda n: f"unreadable{n}")
    return str(unused.take(lambda n: IPv4Address("192.0.2.0") + n)) if kind is IPv4Address else "192.0.2.0/30"
