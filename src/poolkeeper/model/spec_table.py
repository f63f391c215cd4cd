"""The base class of every table of `cluster.toml`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SpecTable(BaseModel):
    """A frozen table of the file. It refuses an unknown key and a value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
