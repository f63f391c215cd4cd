"""The base class of every table of `cluster.toml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SpecTable(BaseModel):
    """A table of the file: frozen; a key that it does not know, or a value of another type, is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
