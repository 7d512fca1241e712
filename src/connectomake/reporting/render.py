"""A small renderer of meshes: one depth buffer, soft light, dark hollows; no graphics card, no window."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from connectomake.compiled import lazy_njit
from connectomake.geometry import Box, Vec
from connectomake.reporting.colours import INK, colours_of, font, scale_bar

SIZE = (1240, 900)
SAMPLES = 2
"""Per pixel and axis."""
TURN, TILT = math.radians(-32), math.radians(20)

Mesh = tuple[np.ndarray, np.ndarray]
"""Points (n, 3) in nm, x, y, z, as meshes are stored; faces (m, 3)."""


def _rasterise(corners, normals, tag, depths, faced, tags):  # type: ignore[no-untyped-def]
    """Fill the triangles (n, 3, 3) of x, y in samples and depth into the buffers, nearest first."""
    height, width = depths.shape
    for t in range(len(corners)):
        ax, ay, az = corners[t, 0]
        bx, by, bz = corners[t, 1]
        cx, cy, cz = corners[t, 2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0:
            continue
        for y in range(max(math.ceil(min(ay, by, cy)), 0), min(math.floor(max(ay, by, cy)) + 1, height)):
            for x in range(max(math.ceil(min(ax, bx, cx)), 0), min(math.floor(max(ax, bx, cx)) + 1, width)):
                u = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
                v = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                depth = u * az + v * bz + w * cz
                if depth < depths[y, x]:
                    depths[y, x] = depth
                    tags[y, x] = tag
                    for k in range(3):
                        faced[y, x, k] = u * normals[t, 0, k] + v * normals[t, 1, k] + w * normals[t, 2, k]


rasterise = lazy_njit(_rasterise)


def _turned(points: np.ndarray) -> np.ndarray:
    """Turn x, y, z (x right, y down, z away from the viewer) into the view."""
    s, c = math.sin(TURN), math.cos(TURN)
    around = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    s, c = math.sin(TILT), math.cos(TILT)
    result: np.ndarray = points @ (np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ around).T
    return result


def _smooth_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the normals (n, 3) of vertices, those of cells' seams shared."""
    _, same = np.unique(points.round(1), axis=0, return_inverse=True)
    same = same.reshape(-1)
    a, b, c = (points[faces[:, i]] for i in range(3))
    flat = np.cross(b - a, c - a)
    total = np.zeros((int(same.max()) + 1, 3))
    for i in range(3):
        np.add.at(total, same[faces[:, i]], flat)
    normals: np.ndarray = total[same]
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)  # type: ignore[no-any-return]


class View:
    """The picture's plane: where a point comes to lie, and the buffers.

    Parameters
    ----------
    box
        What is shown, in voxels.
    voxel_size
        Nanometres, z, y, x.
    """

    def __init__(self, box: Box, voxel_size: tuple[float, float, float]) -> None:
        self.low, self.high = (
            np.array([p * v for p, v in zip(at, voxel_size, strict=True)])[::-1] for at in (box.start, box.stop)
        )
        corners = _turned(np.array(list(itertools.product(*(self.ends(axis) for axis in range(3))))))
        width, height = SIZE
        span = corners.max(0) - corners.min(0)
        self.zoom = float(SAMPLES * min(0.94 * width / span[0], 0.94 * height / span[1]))
        self._middle = (corners.max(0) + corners.min(0)) / 2
        shape = (SAMPLES * height, SAMPLES * width)
        self.depths = np.full(shape, np.inf)
        self.normals = np.zeros((*shape, 3))
        self.tags = np.full(shape, -1, np.int32)

    def ends(self, axis: int) -> tuple[float, float]:
        """Return the ends of the box along x, y or z, in nm."""
        return float(self.low[axis]), float(self.high[axis])

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return (n, 3): column, row in samples, depth."""
        seen = (_turned(points) - self._middle) * self.zoom
        return seen + np.array([self.depths.shape[1] / 2, self.depths.shape[0] / 2, 0])  # type: ignore[no-any-return]

    def add(self, tag: int, mesh: Mesh) -> None:
        """Draw a mesh."""
        points, faces = mesh
        if len(faces):
            seen, normals = self(points), _turned(_smooth_normals(points, faces))
            rasterise(seen[faces], normals[faces], tag, self.depths, self.normals, self.tags)

    def shaded(self, colours: np.ndarray) -> np.ndarray:
        """Return the picture (y, x, 3) in samples: two lights and dark hollows, on paper."""
        seen = self.tags >= 0
        if not seen.any():
            return np.ones((*self.tags.shape, 3))
        facing = np.abs(self.normals @ np.array([-0.35, -0.55, -0.76]))
        hollow = np.clip(_behind(np.where(seen, self.depths, self.depths[seen].max())) / (40 * SAMPLES), -0.25, 0.5)
        light = (0.30 + 0.62 * facing + 0.16 * np.abs(self.normals[..., 2])) * (1 - 0.8 * hollow)
        picture = np.where(seen[..., None], colours[self.tags] * light[..., None] + 0.25 * facing[..., None] ** 24, 1.0)
        return np.clip(picture, 0, 1)


def _behind(depths: np.ndarray) -> np.ndarray:
    """Return how far each sample lies behind its surroundings (depth minus its local mean)."""
    rows, columns = np.fft.fftfreq(depths.shape[0])[:, None], np.fft.rfftfreq(depths.shape[1])[None]
    blur = np.exp(-2 * (np.pi * 14.0 * SAMPLES) ** 2 * (rows**2 + columns**2))
    return depths - np.fft.irfft2(np.fft.rfft2(depths) * blur, depths.shape)


def _far_lines(view: View, steps: list[float]) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Yield start, stop (x, y, z) and shade of lines: the blocks on the three far faces, the edges of the box behind."""
    corners = np.array(list(itertools.product(*(view.ends(axis) for axis in range(3)))))
    far = corners[np.argmax(view(corners)[:, 2])]
    for along, across in itertools.permutations(range(3), 2):
        face = 3 - along - across
        for place in np.arange(view.low[across], view.high[across], steps[across])[1:200]:
            yield *_line(view, along, {across: float(place), face: float(far[face])}), 0.86
    for along in range(3):
        first, second = (axis for axis in range(3) if axis != along)
        for ends in itertools.product(view.ends(first), view.ends(second)):
            if ends[0] == far[first] or ends[1] == far[second]:
                yield *_line(view, along, {first: ends[0], second: ends[1]}), 0.62


def _line(view: View, along: int, others: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of the line through the box along one axis, where the other axes have the values given."""
    ends = np.zeros((2, 3))
    for axis, value in others.items():
        ends[:, axis] = value
    ends[:, along] = view.ends(along)
    return ends[0], ends[1]


def _draw_line(view: View, picture: np.ndarray, start: np.ndarray, stop: np.ndarray, shade: float) -> None:
    """Draw a line in grey where no object hides it."""
    seen = view(start + np.linspace(0, 1, 5000)[:, None] * (stop - start))
    for dy, dx in itertools.product((0, 1), repeat=2):
        x, y = seen[:, 0].astype(int) + dx, seen[:, 1].astype(int) + dy
        inside = (x >= 0) & (y >= 0) & (x < picture.shape[1]) & (y < picture.shape[0])
        x, y, depth = x[inside], y[inside], seen[inside, 2]
        free = depth < view.depths[y, x]
        picture[y[free], x[free]] = np.minimum(picture[y[free], x[free]], shade)


def rendering(meshes: dict[int, Mesh], box: Box, block: Vec, voxel_size: tuple[float, float, float], title: str) -> Image.Image:
    """Draw meshes in a box with the blocks' lines on its far faces.

    Parameters
    ----------
    meshes
        By object id.
    box
        What is shown, in voxels; a mesh may reach out of it.
    block
        Shape of a block.
    voxel_size
        Nanometres, z, y, x.
    title
        Stands in the lower right corner.
    """
    view = View(box, voxel_size)
    for tag, mesh in enumerate(meshes.values()):
        view.add(tag, mesh)
    samples = view.shaded(colours_of(np.array(list(meshes), np.uint64)))
    steps = [b * v for b, v in zip(block, voxel_size, strict=True)][::-1]
    for start, stop, shade in _far_lines(view, steps):
        _draw_line(view, samples, start, stop, shade)
    height, width = samples.shape[:2]
    small = samples.reshape(height // SAMPLES, SAMPLES, width // SAMPLES, SAMPLES, 3).mean((1, 3))
    out = Image.fromarray((255 * small).round().astype(np.uint8))
    scale_bar(out, (24, out.height - 20), view.zoom / SAMPLES, light=False)
    ImageDraw.Draw(out).text((out.width - 24, out.height - 20), title, fill=INK, font=font(20), anchor="rb")
    return out
