"""A suite as one HTML file that needs nothing else: no script, no font, no image, no network.

Invariant: beside those of every page (page.py), it carries a content security policy that forbids scripts and every
request.
"""

from __future__ import annotations

import functools
import re

from jinja2 import Template

from poolkeeper.model.verdict import Outcome, Suite
from poolkeeper.report import html
from poolkeeper.suite import report_text, report_wording

_NOT_IN_ANCHORS = re.compile(r"[^A-Za-z0-9_.-]+")


def render(suite: Suite) -> str:
    """The whole page. Passwords are redacted."""
    suite = report_text.legible(suite)
    return _template().render(
        suite=suite, groups=report_wording.groups(suite), wording=report_wording, outcomes=tuple(Outcome)
    )


def anchor(check: str) -> str:
    """The id of a check's place in the page."""
    return f"check-{_NOT_IN_ANCHORS.sub('-', check)}"


@functools.cache
def _template() -> Template:
    return html.template("suite.html.j2", anchor=anchor)
