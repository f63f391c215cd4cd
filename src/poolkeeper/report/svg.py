"""The figures of every report as SVG: a drawing is a list of shapes, and this module alone writes them down.

A drawing has no colours of its own: its shapes have classes, which page.css colours in an HTML report. `standalone`
adds the colours for a file that a Markdown document shows. Text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

WIDTH, LEFT, RIGHT = 720.0, 130.0, 20.0  # of a figure over time; the axis begins after the labels of its rows
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #17272d; }
.background { fill: #ffffff; } .tick { stroke: #dce4e5; } .unity { stroke: #52656c; stroke-dasharray: 3 3; }
.dot { fill: #52656c; fill-opacity: .55; } .interval { fill: #0b5f78; fill-opacity: .25; }
.median { stroke: #0b5f78; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #e4edee; } .background { fill: #172327; } .tick { stroke: #293a3f; } .unity { stroke: #9db0b5; }
  .dot { fill: #9db0b5; } .interval { fill: #7cc7dc; } .median { stroke: #7cc7dc; }
}
"""


@dataclass(frozen=True)
class Shape:
    """An SVG element. `text` is its content, `tooltip` its title; coordinates are in units of the drawing."""

    tag: str
    attributes: Mapping[str, str | float]
    text: str = ""
    tooltip: str = ""


@dataclass(frozen=True)
class Drawing:
    """Shapes on an area of `width` by `height`. `label` describes it to a reader who cannot see it."""

    label: str
    width: float
    height: float
    shapes: tuple[Shape, ...] = field(default=())


def line(name: str, start: tuple[float, float], end: tuple[float, float], tooltip: str = "") -> Shape:
    """Return a line of that class."""
    ends = {"x1": start[0], "x2": end[0], "y1": start[1], "y2": end[1]}
    return Shape("line", {"class": name, **ends}, tooltip=tooltip)


def rectangle(name: str, x: float, y: float, width: float, height: float, tooltip: str = "") -> Shape:
    """Return a rectangle of that class."""
    return Shape("rect", {"class": name, "x": x, "y": y, "width": width, "height": height}, tooltip=tooltip)


def dot(name: str, x: float, y: float, radius: float) -> Shape:
    """Return a circle of that class."""
    return Shape("circle", {"class": name, "cx": x, "cy": y, "r": radius})


def curve(name: str, points: str) -> Shape:
    """Return a line through points, given as "x,y x,y"."""
    return Shape("polyline", {"class": name, "points": points})


def text(x: float, y: float, content: str, anchor: str = "") -> Shape:
    """Return a text whose start, middle or end (`anchor`) is at x."""
    return Shape("text", {"x": x, "y": y, **({"text-anchor": anchor} if anchor else {})}, content)


@dataclass(frozen=True)
class Axis:
    """Seconds → x. The ticks are (x, label)."""

    begin: float
    end: float

    def x(self, seconds: float) -> float:
        """Return the place of that moment."""
        inner = WIDTH - LEFT - RIGHT
        return round(LEFT + inner * (seconds - self.begin) / (self.end - self.begin), 1)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Round values, about eight at most."""
        span = self.end - self.begin
        step = next((s for s in _STEPS if span / s <= 8), 200)
        first = math.ceil(self.begin / step)
        return tuple((self.x(i * step), f"{i * step:g}") for i in range(first, math.floor(self.end / step) + 1))

    def shapes(self, foot: float) -> tuple[Shape, ...]:
        """Return the ticks from the top down to `foot`, and their labels below it."""
        lines = (line("tick", (x, 0), (x, foot)) for x, _ in self.ticks)
        return (*lines, *(text(x, foot + 14, f"{label} s", "middle") for x, label in self.ticks))


def inline(drawing: Drawing) -> str:
    """Return the drawing as an element of an HTML page, which colours it."""
    return _written(_root(drawing))


def standalone(drawing: Drawing) -> str:
    """Return the drawing as a file of its own, with colours for a light and a dark page."""
    root = _root(drawing, xmlns="http://www.w3.org/2000/svg")
    root.attrib |= {"width": f"{drawing.width:g}", "height": f"{drawing.height:g}"}
    title, style = ET.Element("title"), ET.Element("style")
    title.text, style.text = drawing.label, _STYLE
    background = ET.Element(
        "rect", {"class": "background", "width": f"{drawing.width:g}", "height": f"{drawing.height:g}"}
    )
    root[:0] = [title, style, background]
    return _written(root) + "\n"


def _root(drawing: Drawing, **attributes: str) -> ET.Element:
    view = f"0 0 {drawing.width:g} {drawing.height:g}"
    root = ET.Element("svg", {**attributes, "viewBox": view, "role": "img", "aria-label": drawing.label})
    root.extend(map(_element, drawing.shapes))
    return root


def _element(shape: Shape) -> ET.Element:
    element = ET.Element(shape.tag, {name: f"{value}" for name, value in shape.attributes.items()})
    element.text = shape.text or None
    if shape.tooltip:
        ET.SubElement(element, "title").text = shape.tooltip
    return element


def _written(root: ET.Element) -> str:
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")
