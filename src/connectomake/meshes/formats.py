"""Files of one mesh for other programs: OBJ, PLY, STL, GLB; in nm, x, y, z, triangles counter-clockwise from outside.

Sources: Wavefront OBJ; "The PLY Polygon File Format" (Turk 1994), binary little-endian; binary STL; glTF 2.0, section 4.4.
"""

import json
from collections.abc import Callable

import numpy as np


def obj(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Return a mesh as OBJ: text, corners counted from 1."""
    points = "".join(f"v {x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in vertices.tolist())
    corners = "".join(f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist())
    return f"# nm\n{points}{corners}".encode()


def ply(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Return a mesh as binary PLY."""
    head = (
        f"ply\nformat binary_little_endian 1.0\ncomment nm\nelement vertex {len(vertices)}\nproperty float x\n"
        f"property float y\nproperty float z\nelement face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.zeros(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, faces
    return head.encode() + vertices.astype("<f4").tobytes() + rows.tobytes()


def stl(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Return a mesh as binary STL, which repeats the vertices of every triangle."""
    corners = vertices.astype(np.float64)[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    rows = np.zeros(len(faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["normal"], rows["corners"] = normals / np.where(lengths > 0, lengths, 1), corners
    return b"nm".ljust(80) + np.uint32(len(faces)).astype("<u4").tobytes() + rows.tobytes()  # type: ignore[no-any-return]


def glb(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Return a mesh as binary glTF; its unit is called metre there, but numbers are nm."""
    corners, points = faces.astype("<u4").tobytes(), vertices.astype("<f4")
    data = corners + points.tobytes()
    views = [
        {"buffer": 0, "byteOffset": 0, "byteLength": len(corners), "target": 34963},
        {"buffer": 0, "byteOffset": len(corners), "byteLength": points.nbytes, "target": 34962},
    ]
    low, high = ([float(v) for v in f(points, axis=0)] for f in (np.min, np.max))
    accessors = [
        {"bufferView": 0, "componentType": 5125, "count": faces.size, "type": "SCALAR"},
        {"bufferView": 1, "componentType": 5126, "count": len(points), "type": "VEC3", "min": low, "max": high},
    ]
    mesh = {"primitives": [{"attributes": {"POSITION": 1}, "indices": 0, "mode": 4}]}
    scene = {
        "asset": {"version": "2.0", "generator": "connectomake"}, "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}], "meshes": [mesh], "buffers": [{"byteLength": len(data)}], "bufferViews": views,
        "accessors": accessors,
    }  # fmt: skip
    text = json.dumps(scene, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 4) * 4)
    parts = [(len(text), b"JSON", text), (len(data), b"BIN\0", data)]
    body = b"".join(np.uint32(n).astype("<u4").tobytes() + kind + part for n, kind, part in parts)
    return b"glTF" + np.array([2, 12 + len(body)], "<u4").tobytes() + body


def legacy_fragment(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Return a mesh as a fragment file of Neuroglancer's legacy format."""
    return np.array(len(vertices), "<u4").tobytes() + vertices.astype("<f4").tobytes() + faces.astype("<u4").tobytes()


FORMATS: dict[str, Callable[[np.ndarray, np.ndarray], bytes]] = {"obj": obj, "ply": ply, "stl": stl, "glb": glb}
