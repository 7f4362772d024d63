"""Plots as SVG that needs nothing else: lines, and bars in parts. Colours are of the page's style."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 12, 40
COLOURS = 12
LETTER = 7.2
"""About how wide a letter is."""

Pair = tuple[float, float]
Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points; lines of one colour belong together, and are named once."""

    name: str
    points: Sequence[Pair]
    colour: int
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """What goes along an axis; `ticks` are (value, label), or are found by themselves."""

    label: str
    logarithmic: bool = False
    ticks: Sequence[tuple[float, str]] = ()
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A value of x that is told; with `until`, all from there to that one."""

    x: float
    text: str
    until: float | None = None


def lines(
    title: str, drawn: Sequence[Line], across: Axis, up: Axis, marks: Sequence[Mark] = (), width: int = WIDTH
) -> str:
    """Plot lines; nothing where there are no points."""
    points = [point for line in drawn for point in line.points]
    if not points:
        return ""
    x_ticks, x = _scale([point[0] for point in points], across, LEFT, width - RIGHT)
    y_ticks, y = _scale([point[1] for point in points], up, HEIGHT - BOTTOM, TOP)
    parts = [
        *_grid(x_ticks, y_ticks, x, y, width),
        *(_mark(mark, x) for mark in marks),
        *(part for line in drawn for part in _line(line, x, y)),
        _text(width - RIGHT, HEIGHT - 4, across.label, "end"),
    ]
    names = {line.name: line.colour for line in drawn}
    return figure(f"{title} ({up.label})", svg(title, width, HEIGHT, parts), names, width)


def bars(
    title: str,
    rows: Mapping[str, Mapping[str, float]],
    unit: str,
    show: Callable[[float], str],
    known: Sequence[str] = (),
) -> str:
    """Plot a bar of parts for each row, all on one scale; nothing where there is nothing.

    Parts whose names are `known` have the same colour in every plot, by their place.
    """
    rows = {name: parts for name, parts in rows.items() if sum(parts.values()) > 0}
    if not rows:
        return ""
    found = {name: None for parts in rows.values() for name in parts}
    names = [*(name for name in known if name in found), *(name for name in found if name not in known)]
    places = [*known, *(name for name in names if name not in known)]
    colours = {name: places.index(name) for name in names}
    left = 14 + LETTER * max(map(len, rows))
    room = WIDTH - left - 90
    most = max(sum(parts.values()) for parts in rows.values())
    drawn: list[str] = []
    for number, (name, parts) in enumerate(rows.items()):
        drawn += _bar(name, parts, colours, 8 + 26 * number, left, room / most, show)
    picture = svg(title, WIDTH, 12 + 26 * len(rows), drawn)
    return figure(f"{title} ({unit})", picture, colours, WIDTH)


def figure(title: str, picture: str, names: Mapping[str, int], width: int) -> str:
    """Put a picture under its title, with what its colours mean if there are two or more."""
    keys = "".join(
        f'<span class=key><i class="b{colour % COLOURS}"></i>{escape(name)}</span>'
        for name, colour in names.items()
    )
    shown = f"<div class=keys>{keys}</div>" if len(names) > 1 else ""
    return f'<figure style="width:{width + 28}px"><figcaption>{escape(title)}</figcaption>{shown}{picture}</figure>'


def svg(label: str, width: float, height: float, parts: Iterable[str]) -> str:
    """Put a picture together."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def short(value: float) -> str:
    """Show a number in little room."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _scale(
    values: Sequence[float], axis: Axis, begin: float, end: float
) -> tuple[Sequence[tuple[float, str]], Scale]:
    if axis.logarithmic:
        return _logarithmic([value for value in values if value > 0], axis, begin, end)
    low = min(0.0, *values) if len(values) > 1 else min(0.0, values[0])
    high = max(axis.most or 0.0, *values, *(value for value, _ in axis.ticks)) or 1.0
    ticks = axis.ticks or [(tick, short(tick)) for tick in nice(low, high)]
    high = max(high, ticks[-1][0])
    return ticks, lambda value: begin + (end - begin) * (value - low) / (high - low)


def _logarithmic(
    values: Sequence[float], axis: Axis, begin: float, end: float
) -> tuple[Sequence[tuple[float, str]], Scale]:
    low = math.floor(math.log10(min(values, default=1.0)))
    high = max(low + 1, math.ceil(math.log10(max(values, default=10.0))))
    ticks = axis.ticks or [(10.0**power, short(10.0**power)) for power in range(low, high + 1)]
    least = 10.0**low
    return ticks, lambda value: begin + (end - begin) * (math.log10(max(value, least)) - low) / (high - low)


def nice(low: float, high: float, about: int = 5) -> list[float]:
    """Give round values from at most `low` to at least `high`."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _grid(
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    x: Scale,
    y: Scale,
    width: float,
) -> Iterator[str]:
    for value, label in y_ticks:
        yield f'<path class="grid" d="M{LEFT},{y(value):.1f}H{width - RIGHT}"/>'
        yield _text(LEFT - 8, y(value) + 4, label, "end")
    for value, label in x_ticks:
        yield f'<path class="grid" d="M{x(value):.1f},{HEIGHT - BOTTOM}v4"/>'
        yield _text(x(value), HEIGHT - BOTTOM + 17, label, "middle")


def _mark(mark: Mark, x: Scale) -> str:
    at = x(mark.x)
    if mark.until is not None:
        wide = max(1.0, x(mark.until) - at)
        band = (
            f'<rect class="band" x="{at:.1f}" y="{TOP}" width="{wide:.1f}" height="{HEIGHT - BOTTOM - TOP}"/>'
        )
        return f"{band}{_text(at + wide / 2, TOP + 12, mark.text, 'middle')}"
    return f'<path class="mark" d="M{at:.1f},{TOP}V{HEIGHT - BOTTOM}"/>{_text(at - 6, TOP + 12, mark.text, "end")}'


def _line(line: Line, x: Scale, y: Scale) -> Iterator[str]:
    path = " ".join(f"{x(across):.1f},{y(up):.1f}" for across, up in line.points)
    colour = line.colour % COLOURS
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    if len(line.points) > 1:
        yield f'<polyline class="line l{colour}" points="{path}"{dash}/>'
    if line.dots or len(line.points) == 1:
        for across, up in line.points:
            yield (
                f'<circle class="f{colour}" cx="{x(across):.1f}" cy="{y(up):.1f}" r="3.5">'
                f"<title>{escape(line.name)}: {short(up)} at {short(across)}</title></circle>"
            )


def _bar(
    name: str,
    parts: Mapping[str, float],
    colours: Mapping[str, int],
    y: float,
    left: float,
    scale: float,
    show: Callable[[float], str],
) -> Iterator[str]:
    yield _text(left - 8, y + 13, name, "end", "strong")
    at = left
    for part, value in ((part, parts[part]) for part in colours if part in parts):
        kind, wide = f"f{colours[part] % COLOURS}", max(0.5, value * scale)
        told = f"<title>{escape(part)}: {escape(show(value))}</title>"
        yield f'<rect class="{kind}" x="{at:.1f}" y="{y}" width="{wide:.1f}" height="18">{told}</rect>'
        at += value * scale
    yield _text(at + 6, y + 13, show(sum(parts.values())), "start")


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{marked}>{escape(text)}</text>'
