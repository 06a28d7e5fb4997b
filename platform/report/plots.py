"""Plots as inline SVG: shapes that stretch with the page. Numbers beside them are the page's, in HTML.

A plot is as many units wide as it has values, and 100 high.
"""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

_HEIGHT = 100


def columns(values: Sequence[float], top: float, pauses: Sequence[float], titles: Sequence[str]) -> Markup:
    """A column for each value, up to `top`; `pauses` are places from 0 to 1 that get a line."""
    return _plot({"clips": values}, top, pauses, titles)


def stack(series: Mapping[str, Sequence[float]], top: float, pauses: Sequence[float], titles: Sequence[str]) -> Markup:
    """Columns of several values each, one on the other; names are classes of the style sheet."""
    return _plot(series, top, pauses, titles)


def strip(shares: Sequence[float]) -> Markup:
    """A line of cells, the fuller the stronger."""
    cells = "".join(
        f'<rect x="{index}" y="0" width="1" height="1" style="fill-opacity: {min(share, 1):.2f}"/>'
        for index, share in enumerate(shares)
        if share >= 0.005
    )
    return Markup(f'<svg class="strip" viewBox="0 0 {len(shares)} 1" preserveAspectRatio="none">{cells}</svg>')


def round_top(most: float) -> float:
    """The next number that is read easily, as is its half."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= most * (1 - 1e-9))


def _plot(series: Mapping[str, Sequence[float]], top: float, pauses: Sequence[float], titles: Sequence[str]) -> Markup:
    width = len(titles)
    columns = "".join(
        f"<g><title>{Markup.escape(titles[index])}</title>"
        f'<rect class="ground" x="{index}" y="0" width="1" height="{_HEIGHT}"/>'
        f"{_column(index, {name: values[index] for name, values in series.items()}, top)}</g>"
        for index in range(width)
    )
    lines = "".join(
        f'<line class="pause" x1="{place * width:.2f}" x2="{place * width:.2f}" y1="0" y2="{_HEIGHT}"/>'
        for place in pauses
    )
    half = f'<line class="half" x1="0" x2="{width}" y1="{_HEIGHT / 2}" y2="{_HEIGHT / 2}"/>'
    return Markup(
        f'<svg class="plot" viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none">{half}{columns}{lines}</svg>'
    )


def _column(index: int, values: Mapping[str, float], top: float) -> str:
    shapes, reached = [], 0.0
    for name, value in values.items():
        height = _HEIGHT * value / top
        if height >= 0.05:
            y = _HEIGHT - reached - height
            shapes.append(f'<rect class="{name}" x="{index}.08" y="{y:.2f}" width="0.84" height="{height:.2f}"/>')
        reached += height
    return "".join(shapes)
