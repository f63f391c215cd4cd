"""A live self-test as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from poolkeeper.report import html
from poolkeeper_lab.chaos.report import self_test_wording
from poolkeeper_lab.chaos.report.self_test_model import LiveTest


def render(test: LiveTest) -> str:
    """The whole page."""
    return html.template("self_test.html.j2").render(test=test, words=self_test_wording)
