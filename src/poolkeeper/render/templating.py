"""The Jinja2 environment of the rendered files; an undefined name is an error."""

from __future__ import annotations

import jinja2

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("poolkeeper.render"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)


def fill(template: str, **values: object) -> str:
    """Return the template of that name with these values."""
    return _ENVIRONMENT.get_template(template).render(**values)
