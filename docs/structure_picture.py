"""Draw which package imports which, floor by floor: ``python -m docs.structure_picture`` writes docs/pictures/structure.svg.

The floors and the imports are those that `tests/test_imports.py` checks. An arrow that follows from others (a
imports b, b imports c, a imports c) is not drawn.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.test_imports import FLOOR_OF, FLOORS, arrows

PICTURE = Path(__file__).parent / "pictures" / "structure.svg"
WIDTH, STEP, HEIGHT, TOP = 1180, 74, 26, 16
LETTER, PAD, GAP, NAMES = 7.2, 18, 36, 150
"""Pixels: of a letter, around a package's name, between packages, for the floors' names at the left."""
PACKAGES_TO_A_ROW = 7


def shown(imports: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Yield the imports that follow from no others."""
    below: dict[str, set[str]] = {}
    for package in sorted(imports, key=FLOOR_OF.__getitem__):
        below[package] = imports[package].union(*(below[other] for other in imports[package]))
    for package, others in imports.items():
        yield from ((package, other) for other in sorted(others) if not any(other in below[step] for step in others - {other}))


def rows() -> list[tuple[str, list[str]]]:
    """Return the floors from the top down, with their packages; a floor of many takes several rows."""
    found = []
    for floor, packages in reversed(FLOORS.items()):
        names = packages.split()
        parts = [names[i : i + PACKAGES_TO_A_ROW] for i in range(0, len(names), PACKAGES_TO_A_ROW)]
        found += [(floor if i == 0 else "", part) for i, part in enumerate(parts)]
    return found


def places() -> dict[str, tuple[float, int, float]]:
    """Return left, top and width of each package's box."""
    found = {}
    for row, (_, names) in enumerate(rows()):
        widths = [LETTER * len(name) + PAD for name in names]
        left = NAMES + (WIDTH - NAMES - sum(widths) - GAP * (len(names) - 1)) / 2
        for name, width in zip(names, widths, strict=True):
            found[name] = left, TOP + STEP * row, width
            left += width + GAP
    return found


def draw() -> str:
    """Return the picture as SVG."""
    boxes, floors = places(), rows()
    height = 2 * TOP + STEP * (len(floors) - 1) + HEIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0,0 6,3 0,6z" fill="#5b7a99"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for row, (floor, _) in enumerate(floors):
        y = TOP + STEP * row
        if floor:
            lines.append(f'<line x1="8" x2="{WIDTH - 8}" y1="{y - 10}" y2="{y - 10}" stroke="#e6e6e6"/>')
            lines.append(f'<text x="8" y="{y + 17}" fill="#777777">{floor}</text>')
    imports = {package: {*arrows(package)} for package in FLOOR_OF}
    for package, other in shown(imports):
        (x0, y0, w0), (x1, y1, w1) = boxes[package], boxes[other]
        start, end, bend = x0 + w0 / 2, x1 + w1 / 2, max((y1 - y0) / 3, 20)
        curve = f"M{start:.0f},{y0 + HEIGHT} C{start:.0f},{y0 + HEIGHT + bend:.0f} {end:.0f},{y1 - bend:.0f} {end:.0f},{y1}"
        lines.append(f'<path d="{curve}" fill="none" stroke="#5b7a99" stroke-opacity=".55" marker-end="url(#tip)"/>')
    for name, (left, top, wide) in boxes.items():
        lines.append(
            f'<rect x="{left:.0f}" y="{top}" width="{wide:.0f}" height="{HEIGHT}" rx="5" fill="#eef4fa" stroke="#34597d"/>'
        )
        lines.append(f'<text x="{left + wide / 2:.0f}" y="{top + 17}" text-anchor="middle" fill="#1b2a38">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw())
