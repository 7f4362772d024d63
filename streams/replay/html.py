"""Reports as one HTML page that needs nothing else: tables, and plots drawn by hand as SVG."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, EDGE = 640, 200, 40

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; font-size: 14px } td, th { padding: .25rem .75rem; text-align: left;
border-bottom: 1px solid #ddd } td.n { text-align: right; font-variant-numeric: tabular-nums }
.good { color: #176c37 } .bad { color: #b3261e } code { word-break: break-all } svg { max-width: 100%; height: auto }
.scroll { overflow-x: auto } td:has(code) { min-width: 20rem }
"""


class Code(str):
    """Text that may be broken anywhere, as a digest may."""


def page(title: str, parts: Iterable[str]) -> str:
    """Put a page together; the parts are HTML."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = f"<h1>{escape(title)}</h1>{''.join(parts)}"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>"


def verdict(text: str, *, good: bool) -> str:
    """Say what came of it."""
    return f'<p class="{"good" if good else "bad"}"><strong>{escape(text)}</strong></p>'


def note(text: str) -> str:
    """Explain what stands above or below."""
    return f"<p>{escape(text)}</p>"


def table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Show rows; nothing where there are none."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<h2>{escape(heading)}</h2><div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def _cell(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<td class=n>{value:,}</td>"
    if isinstance(value, float):
        return f"<td class=n>{value:,.1f}</td>"
    if isinstance(value, Code):
        return f"<td><code>{escape(value)}</code></td>"
    return f"<td>{escape('' if value is None else str(value))}</td>"


def curve(heading: str, points: Sequence[tuple[float, float]], across: str, up: str) -> str:
    """Plot a line through points."""
    if len(points) < 2:
        return ""
    x_max = max(x for x, _ in points) or 1.0
    y_max = max(y for _, y in points) or 1.0
    path = " ".join(f"{_x(x / x_max):.1f},{_y(y / y_max):.1f}" for x, y in points)
    label = f"{heading}: {up} up to {y_max:,.0f}, {across} up to {x_max:,.1f}"
    drawn = (
        f'<polyline points="{path}" fill="none" stroke="#1a5fb4" stroke-width="2"/>{_axes()}'
        f"{_text(EDGE, 14, f'{up}: {y_max:,.0f}')}{_text(WIDTH - EDGE, HEIGHT - 8, f'{x_max:,.1f} {across}', 'end')}"
    )
    return f"<h2>{escape(heading)}</h2>{_svg(label, HEIGHT, drawn)}"


def bars(heading: str, counts: Mapping[str, int]) -> str:
    """Plot counts as bars, the largest first."""
    if not counts:
        return ""
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    largest, height = ordered[0][1] or 1, 26 * len(ordered) + 8
    drawn = "".join(
        f'<rect x="200" y="{26 * at + 6}" width="{max(1.0, 340 * count / largest):.1f}" height="16" fill="#1a5fb4"/>'
        f"{_text(192, 26 * at + 19, name, 'end')}{_text(208 + 340 * count / largest, 26 * at + 19, f'{count:,}')}"
        for at, (name, count) in enumerate(ordered)
    )
    return f"<h2>{escape(heading)}</h2>{_svg(heading, height, drawn)}"


def _svg(label: str, height: int, drawn: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" aria-label="{escape(label)}">{drawn}</svg>'


def _axes() -> str:
    low, right = HEIGHT - EDGE / 2 - 4, WIDTH - EDGE
    return f'<path d="M{EDGE},20V{low}H{right}" fill="none" stroke="#888"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="12" text-anchor="{anchor}">{escape(text)}</text>'


def _x(share: float) -> float:
    return EDGE + share * (WIDTH - 2 * EDGE)


def _y(share: float) -> float:
    return HEIGHT - EDGE / 2 - 4 - share * (HEIGHT - EDGE / 2 - 24)
