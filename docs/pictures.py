"""Make the pictures of the documentation from a finished run: ``python docs/pictures.py [config.yaml]``.

Writes ``docs/pictures/slices.png`` (image, affinities, segmentation of one section) and ``docs/pictures/objects.png`` (the
largest objects' meshes, read as Neuroglancer reads them). Nothing but what the run left in its folder is read.
"""

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numba import njit
from PIL import Image, ImageDraw, ImageFont

from connectomake.config import load_config
from connectomake.geometry import Box
from connectomake.layers import read_box
from connectomake.objects import read_parquet
from connectomake.planning.plan import Plan
from connectomake.planning.resolve import resolve
from connectomake.planning.targets import Targets

FOLDER = Path(__file__).parent / "pictures"
PAPER = (255, 255, 255)
INK = (40, 44, 52)
ZOOM = 2  # screen pixels per voxel of a section
GAP = 18
OBJECTS = 14
SIZE = (1240, 900)  # of the picture of the meshes
SAMPLES = 3  # per pixel and axis
TURN, TILT = math.radians(-32), math.radians(20)
GOLDEN = 0.6180339887


# ---- colours -----------------------------------------------------------------------------------------------------------------
def oklch(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Turn OKLCH (Ottosson 2020), where equal steps look equal, into sRGB (n, 3) in 0 to 1."""
    a, b = chroma * np.cos(2 * np.pi * hue), chroma * np.sin(2 * np.pi * hue)
    cones = np.stack([
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.2914855480 * b,
    ])  # fmt: skip
    matrix = np.array([
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ])  # fmt: skip
    linear = np.clip((matrix @ cones**3).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def palette(count: int) -> np.ndarray:
    """Return `count` colours (n, 3); neighbours in the list differ most."""
    rank = np.arange(count)
    lightness = np.array([0.72, 0.62, 0.80])[rank % 3]
    return oklch(lightness, np.full(count, 0.155), (0.08 + rank * GOLDEN) % 1)


# ---- drawing -----------------------------------------------------------------------------------------------------------------
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the typeface that comes with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


def scale_bar(draw: ImageDraw.ImageDraw, corner: tuple[int, int], pixels_per_nm: float, colour: tuple[int, int, int]) -> None:
    """Draw a bar of 1 µm whose lower left corner is given."""
    x, y = corner
    shade = tuple(255 - value for value in colour)
    draw.rectangle([x, y - 6, x + round(1000 * pixels_per_nm), y], fill=colour, outline=shade, width=1)
    draw.text((x, y - 12), "1 µm", fill=colour, font=font(20, bold=True), anchor="lb", stroke_width=2, stroke_fill=shade)


def save(picture: Image.Image, name: str) -> None:
    """Write a picture in 256 colours, which keeps it small."""
    FOLDER.mkdir(exist_ok=True)
    few = picture.quantize(256, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE)
    few.save(FOLDER / name, optimize=True)


# ---- sections ----------------------------------------------------------------------------------------------------------------
def section(plan: Plan, layer: str, z: int) -> np.ndarray:
    """Read one section (y, x) of a layer's first channel."""
    return channels(plan, layer, z)[0]


def channels(plan: Plan, layer: str, z: int) -> np.ndarray:
    """Read one section (c, y, x) of all channels of a layer."""
    (_, y0, x0), (_, y1, x1) = plan.roi.start, plan.roi.stop
    return read_box(Path(plan.outdir, layer), plan.layers[layer], Box((z, y0, x0), (z + 1, y1, x1)))[:, 0]


def grey(values: np.ndarray) -> np.ndarray:
    """Stretch values to 0 … 1, (y, x, 3)."""
    low, high = np.percentile(values, [0.5, 99.5])
    return np.repeat(np.clip((values.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1)[..., None], 3, axis=2)


def warm(values: np.ndarray) -> np.ndarray:
    """Paint a probability (1, y, x) with matplotlib's `magma`; affinities z, y, x (3, y, x) as red, green, blue: (y, x, 3)."""
    shares = values.astype(np.float64) / (255 if values.dtype == np.uint8 else 1)
    return np.moveaxis(shares[:3], 0, -1) if len(shares) >= 3 else mpl.colormaps["magma"](shares[0])[..., :3]


def painted(ids: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Paint objects over the image, with a dark seam between them, (y, x, 3)."""
    names, place = np.unique(ids, return_inverse=True)
    colours = palette(len(names))[np.argsort(np.random.default_rng(3).random(len(names)))]
    seam = np.zeros(ids.shape, bool)
    seam[1:] |= (ids[1:] != ids[:-1]) & (ids[:-1] > 0)
    seam[:, 1:] |= (ids[:, 1:] != ids[:, :-1]) & (ids[:, :-1] > 0)
    mixed = colours[place.reshape(ids.shape)] * (0.45 + 0.55 * image)
    mixed[seam] *= 0.6
    return np.where((ids == 0)[..., None], 0.75 * image, mixed)


def panel(picture: np.ndarray, title: str) -> Image.Image:
    """Enlarge a section and put its title above."""
    shown = Image.fromarray((255 * picture).round().astype(np.uint8)).resize(
        (ZOOM * picture.shape[1], ZOOM * picture.shape[0]), Image.Resampling.NEAREST
    )
    out = Image.new("RGB", (shown.width, shown.height + 34), PAPER)
    out.paste(shown, (0, 34))
    ImageDraw.Draw(out).text((0, 26), title, fill=INK, font=font(20, bold=True), anchor="ls")
    return out


def block_lines(picture: Image.Image, plan: Plan, z: int) -> None:
    """Hint at the blocks: dashed lines between them, their ids in the corners."""
    draw = ImageDraw.Draw(picture, "RGBA")
    for axis, n in ((0, plan.roi.shape[1]), (1, plan.roi.shape[2])):
        for at in range(plan.block[1 + axis], n, plan.block[1 + axis]):
            for dash in range(0, max(picture.size), 12):
                line = (
                    [(dash, ZOOM * at + 34), (dash + 5, ZOOM * at + 34)]
                    if axis == 0
                    else [(ZOOM * at, dash + 34), (ZOOM * at, dash + 39)]
                )
                draw.line(line, fill=(255, 255, 255, 190), width=2)
    layer = (z - plan.roi.start[0]) // plan.block[0]
    for row in range(plan.grid.shape[1]):
        for column in range(plan.grid.shape[2]):
            name = plan.grid.name(plan.grid.id_at((layer, row, column)))
            place = (ZOOM * column * plan.block[2] + 8, ZOOM * row * plan.block[1] + 40)
            draw.text(place, name, fill=(255, 255, 255, 230), font=font(18), stroke_width=2, stroke_fill=(0, 0, 0, 150))


def slices(plan: Plan) -> Image.Image:
    """Draw image, probability and segmentation of a section side by side."""
    z = plan.roi.start[0] + plan.roi.shape[0] // 2
    image, output = grey(section(plan, "image", z)), channels(plan, "affinity", z)
    panels = [
        panel(image, f"image, section {z}"),
        panel(warm(output), "affinities z, y, x as red, green, blue" if len(output) >= 3 else "interior probability"),
        panel(painted(section(plan, "segmentation", z), image), "objects; dashed: blocks and their ids"),
    ]
    block_lines(panels[2], plan, z)
    width = sum(p.width for p in panels) + GAP * (len(panels) - 1)
    out = Image.new("RGB", (width, panels[0].height), PAPER)
    for i, part in enumerate(panels):
        out.paste(part, (i * (part.width + GAP), 0))
    scale_bar(ImageDraw.Draw(out), (14, out.height - 14), ZOOM / plan.source.voxel_size[2], (255, 255, 255))
    return out


# ---- meshes ------------------------------------------------------------------------------------------------------------------
@njit
def rasterise(corners, normals, tag, depths, faced, tags):  # type: ignore[no-untyped-def]
    """Fill the triangles (n, 3, 3) of x, y in samples and depth into the buffers, nearest first."""
    height, width = depths.shape
    for t in range(len(corners)):
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[t]
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


def turned(points: np.ndarray) -> np.ndarray:
    """Turn x, y, z (x right, y down, z away from the viewer) into the view."""
    s, c = math.sin(TURN), math.cos(TURN)
    around = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    s, c = math.sin(TILT), math.cos(TILT)
    return points @ (np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ around).T


def smooth_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the normals (n, 3) of vertices, those of cells' seams shared."""
    _, same = np.unique(points.round(1), axis=0, return_inverse=True)
    same = same.reshape(-1)
    a, b, c = (points[faces[:, i]] for i in range(3))
    flat = np.cross(b - a, c - a)
    total = np.zeros((same.max() + 1, 3))
    for i in range(3):
        np.add.at(total, same[faces[:, i]], flat)
    normals = total[same]
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


class View:
    """The picture's plane: where a point (x, y, z) in nm comes to lie, and the buffers."""

    def __init__(self, plan: Plan) -> None:
        self.low, self.high = (
            np.array([p * v for p, v in zip(at, plan.source.voxel_size, strict=True)])[::-1]
            for at in (plan.roi.start, plan.roi.stop)
        )
        box = turned(np.array([[x, y, z] for x in self.ends(0) for y in self.ends(1) for z in self.ends(2)]))
        width, height = SIZE
        span = box.max(0) - box.min(0)
        self.zoom = SAMPLES * min(0.96 * width / span[0], 0.96 * height / span[1])
        self.middle = (box.max(0) + box.min(0)) / 2
        shape = (SAMPLES * height, SAMPLES * width)
        self.depths = np.full(shape, np.inf)
        self.normals = np.zeros((*shape, 3))
        self.tags = np.full(shape, -1, np.int32)

    def ends(self, axis: int) -> tuple[float, float]:
        """Return the ends of the region along x, y or z."""
        return float(self.low[axis]), float(self.high[axis])

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return (n, 3): column, row in samples, depth."""
        seen = (turned(points) - self.middle) * self.zoom
        return seen + np.array([self.depths.shape[1] / 2, self.depths.shape[0] / 2, 0])

    def add(self, tag: int, points: np.ndarray, faces: np.ndarray) -> None:
        """Draw a mesh."""
        seen, normals = self(points), turned(smooth_normals(points, faces))
        rasterise(seen[faces], normals[faces], tag, self.depths, self.normals, self.tags)

    def shaded(self, colours: np.ndarray) -> np.ndarray:
        """Return the picture (y, x, 3) in samples: two lights, dark hollows, dark outlines, on paper."""
        facing = np.abs(self.normals @ np.array([-0.35, -0.55, -0.76]))
        rim = np.abs(self.normals[..., 2])
        seen = self.tags >= 0
        hollow = np.clip(occlusion(np.where(seen, self.depths, self.depths[seen].max())) / (40 * SAMPLES), -0.25, 0.5)
        light = (0.30 + 0.62 * facing + 0.16 * rim) * (1 - 0.8 * hollow)
        picture = np.where(seen[..., None], colours[self.tags] * light[..., None] + 0.25 * facing[..., None] ** 24, 1.0)
        return np.clip(picture, 0, 1)


def occlusion(depths: np.ndarray) -> np.ndarray:
    """Return how far each sample lies behind its surroundings (depth minus its local mean)."""
    rows, columns = (np.fft.fftfreq(n)[:, None] if i == 0 else np.fft.rfftfreq(n)[None] for i, n in enumerate(depths.shape))
    sigma = 14.0 * SAMPLES
    blur = np.exp(-2 * (np.pi * sigma) ** 2 * (rows**2 + columns**2))
    return depths - np.fft.irfft2(np.fft.rfft2(depths) * blur, depths.shape)


def far_lines(view: View, plan: Plan) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Yield start, stop (x, y, z) and shade of lines: the blocks on the three far faces, the edges of the region behind."""
    corners = np.array(list(itertools.product(*(view.ends(axis) for axis in range(3)))))
    far = corners[np.argmax(view(corners)[:, 2])]
    steps = [b * v for b, v in zip(plan.block, plan.source.voxel_size, strict=True)][::-1]
    for along, across in itertools.permutations(range(3), 2):
        face = 3 - along - across
        for place in np.arange(view.low[across], view.high[across], steps[across])[1:]:
            yield *line_along(view, along, {across: place, face: far[face]}), 0.86
    for along in range(3):
        first, second = (axis for axis in range(3) if axis != along)
        for ends in itertools.product(view.ends(first), view.ends(second)):
            if ends[0] == far[first] or ends[1] == far[second]:
                yield *line_along(view, along, {first: ends[0], second: ends[1]}), 0.62


def line_along(view: View, along: int, others: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of the line through the region along one axis, where the other axes have the values given."""
    ends = np.zeros((2, 3))
    for axis, value in others.items():
        ends[:, axis] = value
    ends[:, along] = view.ends(along)
    return ends[0], ends[1]


def draw_line(view: View, picture: np.ndarray, start: np.ndarray, stop: np.ndarray, shade: float) -> None:
    """Draw a line in grey where no object hides it."""
    seen = view(start + np.linspace(0, 1, 6000)[:, None] * (stop - start))
    width = SAMPLES // 2 + 1
    for dy, dx in itertools.product(range(-width, width + 1), repeat=2):
        x, y = seen[:, 0].astype(int) + dx, seen[:, 1].astype(int) + dy
        inside = (x >= 0) & (y >= 0) & (x < picture.shape[1]) & (y < picture.shape[0])
        x, y, depth = x[inside], y[inside], seen[inside, 2]
        free = depth < view.depths[y, x]
        picture[y[free], x[free]] = np.minimum(picture[y[free], x[free]], shade)


def objects(plan: Plan) -> Image.Image:
    """Draw the meshes of the largest objects."""
    from cloudvolume import CloudVolume

    table = read_parquet(Targets(plan).objects)
    largest = [int(i) for i in table["id"][np.argsort(-table["voxels"].astype(np.int64), kind="stable")][:OBJECTS]]
    meshes = CloudVolume(f"file://{Path(plan.outdir, 'segmentation').absolute()}", progress=False).mesh.get(largest)
    view = View(plan)
    for tag, name in enumerate(largest):
        view.add(tag, meshes[name].vertices.astype(np.float64), meshes[name].faces.astype(np.int64))
    samples = view.shaded(palette(OBJECTS))
    for start, stop, shade in far_lines(view, plan):
        draw_line(view, samples, start, stop, shade)
    height, width = samples.shape[:2]
    small = samples.reshape(height // SAMPLES, SAMPLES, width // SAMPLES, SAMPLES, 3).mean((1, 3))
    out = Image.fromarray((255 * small).round().astype(np.uint8))
    draw = ImageDraw.Draw(out)
    scale_bar(draw, (24, out.height - 20), view.zoom / SAMPLES, INK)
    triangles = sum(len(meshes[name].faces) for name in largest)
    text = f"the {OBJECTS} largest of {len(table['id']):,} objects, {triangles:,} triangles"
    draw.text((out.width - 24, out.height - 20), text, fill=INK, font=font(20), anchor="rb")
    return out


def main(arguments: Sequence[str]) -> None:
    """Make both pictures."""
    plan = resolve(load_config(arguments[0] if arguments else "config.yaml"))
    save(slices(plan), "slices.png")
    save(objects(plan), "objects.png")


if __name__ == "__main__":
    main(sys.argv[1:])
