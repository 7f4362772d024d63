"""Draw an outage as an SVG that can be read on light and on dark paper."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

WIDTH, LEFT, RIGHT = 860, 64, 16
PANEL, GAP, TOP = 130, 46, 62
COLOURS = {
    "accepted": "#2e9e5b",
    "declined": "#7a7fd1",
    "unknown": "#e0a100",
    "retry_later": "#e07a3f",
    "not_found": "#9aa0a6",
    "pending": "#b58bd6",
}
BREAKERS = {"closed": "#2e9e5b", "half_open": "#e0a100", "open": "#d1495b"}
MILLISECOND, LONGEST_S = 0.001, 1000.0

_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .faint { fill: #57606a } .grid { stroke: #d0d7de; stroke-width: 1 }
.away { fill: #d1495b; opacity: .10 } .line { fill: none; stroke-width: 1.8 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .faint { fill: #9198a1 } .grid { stroke: #3d444d } .away { opacity: .22 }
}
</style>"""


@dataclass(frozen=True, slots=True)
class Second:
    """What one second was like."""

    at: int
    calls: Mapping[str, int]
    """By answer."""
    breakers: tuple[str, ...]
    """Of each worker, at its end."""
    call_s: float | None
    """The mean time of a call that ended."""
    payment_s: tuple[float, float] | None
    """The median and the longest time from request to end, of the payments that ended."""
    ended: int

    def told(self) -> dict[str, Any]:
        """Give it for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outage:
    """A run, in which the provider was away from `before_s` for `away_s`."""

    before_s: int
    away_s: int
    seconds: Sequence[Second]


def draw(outage: Outage) -> str:
    """Draw calls by answer, the breakers, and how long calls and payments took."""
    panels = (_calls, _breakers, _latencies, _ends)
    height = TOP + len(panels) * (PANEL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Calls, breakers and latencies while a provider is away for a minute</title>",
        _STYLE,
        *_away(outage, len(panels)),
    ]
    for number, panel in enumerate(panels):
        parts += panel(outage, TOP + number * (PANEL + GAP))
    return "\n".join([*parts, "</svg>", ""])


def _away(outage: Outage, panels: int) -> Iterator[str]:
    start, end = _x(outage, outage.before_s), _x(outage, outage.before_s + outage.away_s)
    for number in range(panels):
        y = TOP + number * (PANEL + GAP)
        yield f'<rect class="away" x="{start:.1f}" y="{y}" width="{end - start:.1f}" height="{PANEL}"/>'
    middle = (start + end) / 2
    yield _text((start + middle) / 2, 16, "the provider hangs", "middle")
    yield _text((middle + end) / 2, 16, "it answers 503", "middle")


def _calls(outage: Outage, y: int) -> Iterator[str]:
    most = max((sum(each.calls.values()) for each in outage.seconds), default=1) or 1
    scale = _linear(most, y)
    yield from _frame(outage, y, "calls ended, a second", [(0, "0"), (most, str(most))], scale)
    width = (WIDTH - LEFT - RIGHT) / _span(outage) * 0.9
    for each in outage.seconds:
        below = 0
        for answer, colour in COLOURS.items():
            count = each.calls.get(answer, 0)
            if count:
                top, bottom = scale(below + count), scale(below)
                yield (
                    f'<rect x="{_x(outage, each.at):.1f}" y="{top:.1f}" width="{width:.1f}" '
                    f'height="{bottom - top:.1f}" fill="{colour}"/>'
                )
                below += count
    seen = {answer for each in outage.seconds for answer in each.calls}
    yield from _legend(y, [(name.replace("_", " "), each) for name, each in COLOURS.items() if name in seen])


def _breakers(outage: Outage, y: int) -> Iterator[str]:
    yield from _frame(outage, y, "breaker of each worker", [], lambda value: y)
    workers = max(len(each.breakers) for each in outage.seconds)
    row = PANEL / workers
    starts = [each.at for each in outage.seconds[1:]] + [_span(outage)]
    for each, end in zip(outage.seconds, starts, strict=True):
        left, right = _x(outage, each.at), _x(outage, end)
        for number, state in enumerate(each.breakers):
            yield (
                f'<rect x="{left:.1f}" y="{y + number * row + row * 0.25:.1f}" width="{right - left + 0.3:.1f}" '
                f'height="{row * 0.5:.1f}" fill="{BREAKERS[state]}"/>'
            )
    yield from (
        _text(LEFT - 8, y + (number + 0.5) * row + 4, f"{number + 1}", "end") for number in range(workers)
    )
    yield from _legend(y, [(name.replace("_", " "), colour) for name, colour in BREAKERS.items()])


def _latencies(outage: Outage, y: int) -> Iterator[str]:
    scale = _logarithmic(y)
    marks = [
        (0.001, "1 ms"),
        (0.01, "10 ms"),
        (0.1, "100 ms"),
        (1.0, "1 s"),
        (10.0, "10 s"),
        (100.0, "100 s"),
    ]
    yield from _frame(outage, y, "latency", marks, scale)
    lines = {
        "a call, mean": ("#4c8ed9", [(each.at, each.call_s) for each in outage.seconds]),
        "a payment, median": ("#2e9e5b", [(each.at, _of(each.payment_s, 0)) for each in outage.seconds]),
        "a payment, longest": ("#d1495b", [(each.at, _of(each.payment_s, 1)) for each in outage.seconds]),
    }
    for colour, points in lines.values():
        yield _line(outage, points, scale, colour)
    yield from _legend(y, [(name, colour) for name, (colour, _) in lines.items()])


def _ends(outage: Outage, y: int) -> Iterator[str]:
    most = max((each.ended for each in outage.seconds), default=1) or 1
    scale = _linear(most, y)
    yield from _frame(outage, y, "payments that ended, a second", [(0, "0"), (most, str(most))], scale)
    yield _line(outage, [(each.at, float(each.ended)) for each in outage.seconds], scale, "#2e9e5b")
    for second in range(0, _span(outage) + 1, 20):
        yield _text(_x(outage, second), y + PANEL + 18, f"{second} s", "middle", "faint")


def _frame(
    outage: Outage, y: int, title: str, marks: Sequence[tuple[float, str]], scale: Callable[[float], float]
) -> Iterator[str]:
    yield _text(LEFT, y - 8, title, "start", "title")
    yield f'<path class="grid" d="M{LEFT} {y + PANEL}H{WIDTH - RIGHT}"/>'
    for value, label in marks:
        yield f'<path class="grid" d="M{LEFT} {scale(value):.1f}H{WIDTH - RIGHT}"/>'
        yield _text(LEFT - 8, scale(value) + 4, label, "end", "faint")


def _legend(y: int, entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    x = float(WIDTH - RIGHT)
    for name, colour in reversed(entries):
        x -= 7.0 * len(name) + 24
        yield f'<rect x="{x:.0f}" y="{y - 18}" width="10" height="10" fill="{colour}"/>'
        yield _text(x + 14, y - 9, name, "start", "faint")


def _line(
    outage: Outage, points: Sequence[tuple[int, float | None]], scale: Callable[[float], float], colour: str
) -> str:
    """Draw a line that has gaps where there is no value."""
    path, pen = [], "M"
    for at, value in points:
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{_x(outage, at + 0.5):.1f} {scale(value):.1f}")
        if pen == "M":
            path.append("h0.1")  # a lone value is a dot
        pen = "L"
    return f'<path class="line" stroke-linecap="round" stroke="{colour}" d="{"".join(path)}"/>'


def _of(pair: tuple[float, float] | None, index: int) -> float | None:
    return None if pair is None else pair[index]


def _linear(most: float, y: int) -> Callable[[float], float]:
    return lambda value: y + PANEL - PANEL * value / most


def _logarithmic(y: int) -> Callable[[float], float]:
    decades = math.log10(LONGEST_S / MILLISECOND)
    return lambda value: y + PANEL - PANEL * math.log10(max(value, MILLISECOND) / MILLISECOND) / decades


def _span(outage: Outage) -> int:
    return max(each.at for each in outage.seconds) + 1


def _x(outage: Outage, second: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * second / _span(outage)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{marked}>{text}</text>'
