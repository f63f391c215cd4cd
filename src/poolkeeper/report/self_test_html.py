"""A live self-test as one HTML file that needs nothing else: no script, no font, no image, no network."""

from __future__ import annotations

from poolkeeper.model.live_test import LiveTest
from poolkeeper.report import page, self_test_wording


def render(test: LiveTest) -> str:
    """The whole page."""
    return page.template("self_test.html.j2").render(test=test, words=self_test_wording)
