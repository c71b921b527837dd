"""Render the example pictures of the page and the README; every one is computed from numbers only.

pip install mitsuba pillow numpy     (and pyoidn, Intel's denoiser: see DENOISER)
python docs/render_examples.py --out cyclegan/ui/examples
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from pathlib import Path

import mitsuba as mi
import numpy as np
from PIL import Image, ImageFilter

# Without the denoiser the pictures need ten times the samples per pixel.
DENOISER = importlib.util.find_spec("pyoidn") and importlib.import_module("pyoidn")
# Needs libLLVM (19 works, 15 is too old; DRJIT_LIBLLVM_PATH names it); "scalar_rgb" does not.
mi.set_variant("llvm_ad_rgb")
Array = np.ndarray
Parts = tuple[Array, Array, Array, Array]  # vertices, triangles, sRGB colours, roughness
T = mi.ScalarTransform4f
# Apple varieties, in sRGB: ground colour, blush colour, blush coverage, streaks, freckles.
APPLES = {
    "red": ((0.62, 0.36, 0.20), (0.50, 0.05, 0.09), 1.25, 0.35, 0.45),
    "gala": ((0.86, 0.73, 0.38), (0.70, 0.16, 0.12), 0.62, 0.80, 0.40),
    "pink": ((0.75, 0.73, 0.36), (0.71, 0.22, 0.21), 0.55, 0.50, 0.45),
    "green": ((0.56, 0.68, 0.22), (0.66, 0.68, 0.28), 0.35, 0.15, 0.60),
}

# Per picture, in centimetres with z up: size; what lies in each bay of the crate; how many in each
# (a single one lies on the table); half width, half depth and height of the crate, a low one being
# a tray in a kitchen; where the camera is; where it looks; its horizontal angle of view.
WIDE, TALL, SQUARE, BIG, TRAY = (640, 480), (480, 640), (512, 512), (21, 17, 13), (14, 10, 3.2)
SHOTS: dict[str, tuple] = {
    "apples-1": (WIDE, ["gala pink"], 44, BIG, (2, -44, 46), (0, -2, 9), 38),
    "apples-2": (SQUARE, ["gala"], 1, TRAY, (3, -23, 13), (0.3, 0, 3.3), 25),
    "apples-3": (TALL, ["green", "red"], 21, BIG, (3, -42, 50), (0, -1, 9), 32),
    "apples-4": (WIDE, ["red gala green"], 6, TRAY, (-8, -40, 25), (0, 0, 4), 32),
    "oranges-1": (WIDE, ["orange"], 44, BIG, (-4, -42, 44), (0, -2, 9), 38),
    "oranges-2": (SQUARE, ["orange"], 1, TRAY, (-3, -24, 14), (0.3, 0, 3.3), 25),
    "oranges-3": (TALL, ["orange", "orange"], 21, BIG, (-3, -40, 50), (2, -1, 9), 32),
    "oranges-4": (WIDE, ["orange"], 6, TRAY, (7, -40, 26), (0, 0, 4), 32),
}


def hash01(cell: Array, seed: int) -> Array:
    """Map integer lattice points (..., 3) to repeatable pseudo-random numbers in 0..1."""
    x, y, z = (cell[..., k].astype(np.uint32) for k in range(3))
    h = x * np.uint32(374761393) + y * np.uint32(668265263) + z * np.uint32(2246822519)
    h = h + np.uint32((seed * 3266489917 + 374761393) & 0xFFFFFFFF)
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return ((h ^ (h >> np.uint32(16))) & np.uint32(0xFFFFFF)) / float(0x1000000)


def noise(p: Array, freq: float, seed: int, octaves: int = 4) -> Array:
    """Fractal value noise in about 0..1 at points (..., 3); 3-D, so a globe has no seam."""
    total = np.zeros(p.shape[:-1])
    for octave in range(octaves):
        q = p * (freq * 2.03**octave) + 17.3 * octave
        base = np.floor(q).astype(np.int32)
        f = smooth(0, 1, q - base)
        w = np.moveaxis(np.stack([1 - f, f]), -1, 0)
        for i, j, k in np.ndindex(2, 2, 2):
            near = 0.5**octave * w[0, i] * w[1, j] * w[2, k]
            total += near * hash01(base + np.array([i, j, k], np.int32), seed + octave)
    return total / (2 - 0.5 ** (octaves - 1))


def cells(p: Array, freq: float, seed: int) -> Array:
    """Distance to the nearest of one random point per lattice cell."""
    base, best = np.floor(p * freq).astype(np.int32), np.full(p.shape[:-1], 9.0)
    for step in np.ndindex(3, 3, 3):
        cell = base + np.array(step, np.int32) - 1
        point = cell + np.stack([hash01(cell, seed + k) for k in range(3)], -1)
        best = np.minimum(best, np.linalg.norm(p * freq - point, axis=-1))
    return best


def smooth(low: float, high: float, x: Array) -> Array:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array | tuple, b: Array | tuple, t: Array) -> Array:
    """Blend two colours with a weight per point."""
    return np.asarray(a) * (1 - t[..., None]) + np.asarray(b) * t[..., None]


def globe(rows: int) -> tuple[Array, Array, Array, Array]:
    """Angle from the pole, angle around, unit direction and triangles of a lat-long grid."""
    # The ends stop short of the poles: coincident vertices there would have no normal.
    theta, phi = np.mgrid[
        0.004 : np.pi - 0.004 : rows * 1j, 0 : 2 * np.pi - np.pi / rows : 2j * rows
    ]
    s = np.sin(theta)
    a = np.arange(phi.size).reshape(phi.shape)
    b = np.roll(a, -1, axis=1)  # the columns wrap around
    faces = np.stack([a[:-1], a[1:], b[:-1], b[:-1], a[1:], b[1:]], -1).reshape(-1, 3)
    return theta, phi, np.stack([s * np.cos(phi), s * np.sin(phi), np.cos(theta)], -1), faces


def stem(rng: np.random.Generator) -> Parts:
    """A bent woody stick standing in the dimple of an apple."""
    theta, phi, d, faces = globe(24)
    t = 0.5 + 0.5 * d[..., 2]
    radius = (0.030 + 0.022 * smooth(0.75, 1, t)) * np.sin(theta) ** 0.3
    p = np.stack([radius * np.cos(phi), radius * np.sin(phi), 0.4 + t * rng.uniform(0.4, 0.8)], -1)
    p[..., :2] += t[..., None] ** 2 * rng.uniform(-0.25, 0.25, 2)
    brown = mix((0.30, 0.19, 0.10), (0.46, 0.38, 0.20), noise(p, 14, 9))
    return p.reshape(-1, 3), faces, brown.reshape(-1, 3), np.full(t.size, 0.8)


def apple(kind: str, seed: int, rows: int) -> Parts:
    """One apple of a variety, about 1 in radius, stem up."""
    rng = np.random.default_rng(seed)
    ground, blush, cover, streaks, freckles = APPLES[kind]
    theta, phi, d, faces = globe(rows)
    s, c, up = np.sin(theta), np.cos(theta), np.cos(theta) > 0
    # A sphere with wide shoulders, a funnel for the stem and a lobed basin underneath.
    pit = np.exp(-((s / np.where(up, 0.30, 0.27)) ** 2))
    lobes = np.cos(5 * phi + seed) * np.exp(-(((s - 0.45) / 0.25) ** 2)) * np.where(up, 0.5, 1)
    z = rng.uniform(0.84, 0.95) * c - np.where(up, 0.42, -0.25) * pit - 0.03 * lobes
    p = np.dstack([d[..., :2] * (1 + rng.uniform(0.05, 0.12) * c)[..., None], z])
    p *= (0.91 + 0.16 * noise(d, 1.3, seed, 2) + 0.03 * noise(d, 3.5, seed + 9, 2))[..., None]
    # Streaks follow the meridians, so their noise is stretched from pole to pole.
    ring = np.stack([7 * np.cos(phi), 7 * np.sin(phi), 1.2 * theta + noise(d, 3, seed)], -1)
    fine = noise(ring, 1.6, seed + 1) * 0.5 + noise(ring, 5.0, seed + 2) * 0.5
    red = cover + 0.30 * d @ np.array([np.cos(seed), np.sin(seed), 0.4])  # the side in the sun
    red += 1.1 * (noise(d, 1.6, seed + 3) - 0.5) + streaks * 1.5 * (fine - 0.5) - 0.5 * pit * up
    red = 0.95 * smooth(0.05, 0.95, red)
    color = mix(mix(ground, np.multiply(ground, 0.86), noise(d, 4, seed + 8)), blush, red)
    color *= (1 + 0.35 * (fine - 0.5) * red + 0.25 * (noise(d, 9, seed + 4) - 0.5))[..., None]
    spot = smooth(0.16, 0.07, cells(d, 13, seed + 5)) * freckles * smooth(0.15, 0.5, s)
    color = mix(color, (0.85, 0.76, 0.52), spot)
    # Russet around the stem, dry brown remains of the blossom at the other end.
    color = mix(color, (0.50, 0.42, 0.18), 0.7 * smooth(0.42, 0.08, s + 0.2 * fine) * up)
    color = mix(color, (0.16, 0.11, 0.07), smooth(0.16, 0.06, s) * ~up)
    rough = 0.20 + 0.22 * noise(d, 2.5, seed + 6) + 0.2 * spot
    verts, more, brown, dull = stem(rng)
    return (
        np.concatenate([p.reshape(-1, 3), verts]),
        np.concatenate([faces, more + theta.size]),
        np.concatenate([color.reshape(-1, 3), brown]),
        np.concatenate([rough.ravel(), dull]),
    )


def orange(seed: int, rows: int) -> Parts:
    """One orange, about 1 in radius, stem end up."""
    rng = np.random.default_rng(seed)
    theta, phi, d, faces = globe(rows)
    s, up = np.sin(theta), np.cos(theta) > 0
    pore = np.exp(-((cells(d, 24, seed) / 0.34) ** 2))
    lump = noise(d, 1.4, seed + 1, 2) - 0.5
    # Shallow furrows run into the stem end; the blossom end carries a small scar.
    furrow = np.cos(9 * phi + 4 * lump) * np.exp(-(((s - 0.16) / 0.10) ** 2)) * up
    button = smooth(0.02, -0.02, s - 0.085 - 0.03 * np.cos(5 * phi + seed)) * up
    scar = smooth(0.09, 0.04, s + 0.03 * noise(d, 20, seed + 2)) * ~up
    height = 1 + 0.10 * lump - 0.0065 * pore + 0.006 * noise(d, 12, seed + 3)
    height += 0.012 * furrow - 0.05 * np.exp(-((s / 0.2) ** 2)) + 0.022 * button - 0.03 * scar
    p = d * height[..., None] * [1, 1, rng.uniform(0.90, 0.98)]
    ripe = np.clip(rng.uniform(0.1, 0.8) + 1.3 * (noise(d, 1.5, seed + 4) - 0.5), 0, 1)
    color = mix((0.88, 0.41, 0.08), (0.91, 0.55, 0.16), ripe)
    color = mix(color, (0.82, 0.34, 0.06), 0.45 * np.clip(pore, 0, 1))
    color *= (1 + 0.16 * (noise(d, 8, seed + 5) - 0.5))[..., None]
    blemish = smooth(0.66, 0.78, noise(d, 5, seed + 6)) * 0.5
    color = mix(color, (0.62, 0.42, 0.20), blemish)
    color = mix(color, (0.72, 0.60, 0.18), 0.5 * smooth(0.32, 0.1, s) * up)
    color = mix(color, mix((0.33, 0.36, 0.16), (0.46, 0.40, 0.24), noise(d, 40, seed)), button)
    color = mix(color, (0.35, 0.22, 0.10), 0.8 * scar)
    rough = 0.34 + 0.16 * noise(d, 2.5, seed + 7) + 0.4 * np.maximum(button, blemish)
    return p.reshape(-1, 3), faces, color.reshape(-1, 3), rough.ravel()


def to_mesh(verts: Array, faces: Array, color: Array, rough: Array) -> mi.Mesh:
    """Turn arrays into a Mitsuba mesh with a waxy, vertex-coloured skin."""
    props = mi.Properties()
    skin = {
        key: {"type": "mesh_attribute", "name": f"vertex_{key}"}
        for key in ("base_color", "roughness")
    }
    props["mesh_bsdf"] = mi.load_dict({"type": "principled", "specular": 0.5, **skin})
    mesh = mi.Mesh("fruit", len(verts), len(faces), has_vertex_normals=True, props=props)
    # Reflectance is linear, the colours here are picked in sRGB.
    mesh.add_attribute("vertex_base_color", 3, np.clip(color, 0, 1).ravel() ** 2.2)
    mesh.add_attribute("vertex_roughness", 1, np.clip(rough, 0.05, 1))
    params = mi.traverse(mesh)
    params.update(
        {
            "vertex_positions": verts.astype(np.float32).ravel(),
            "faces": faces.astype(np.uint32).ravel(),
        }
    )
    return mesh


def surface(color: Array | tuple, rough: float) -> dict:
    """A principled material with an sRGB colour or colour image."""
    color = color if np.ndim(color) == 3 else np.tile(color, (2, 2, 1))
    paint = {"type": "bitmap", "raw": True, "bitmap": mi.Bitmap(np.float32(color) ** 2.2)}
    return {
        "type": "twosided",
        "bsdf": {"type": "principled", "roughness": rough, "specular": 0.4, "base_color": paint},
    }


def wood(seed: int, boards: float) -> Array:
    """Planks with grain along x, in sRGB."""
    y, x = np.mgrid[0:boards:800j, 0:boards:800j]
    board = np.floor(y)
    p = np.stack([x + 7.7 * board, y, board], -1)
    rings = np.sin(26 * noise(p * [0.5, 2, 1], 1, seed, 3) + 5 * (y - board))
    fibre = noise(p * [1.2, 45, 1], 1, seed + 1, 3)
    light = np.array([0.66, 0.50, 0.34]) + 0.06 * (seed % 2)
    color = mix(light, light - [0.24, 0.22, 0.17], np.clip(0.22 * rings + 0.8 * fibre + 0.07, 0, 1))
    gap = 0.35 + 0.65 * smooth(0.004, 0.016, np.minimum(y - board, 1 - y + board))
    return color * (gap * (0.88 + 0.24 * hash01(np.stack([board] * 3, -1), seed)))[..., None]


def surroundings(shop: bool, seed: int) -> dict:
    """Everything around the picture as a light-probe image: lamps or window, and a dim room."""
    v, u = np.mgrid[0:1:256j, 0:1:512j]
    lon, s = 2 * np.pi * u, np.sin(np.pi * v)
    d = np.stack([s * np.sin(lon), np.cos(np.pi * v), -s * np.cos(lon)], -1)
    # Shelves nearby are only ever seen as blurred reflections: noise is enough.
    room = (0.12 + 0.55 * noise(d, 3.0, seed, 3)[..., None] ** 2) * np.array([1.0, 0.88, 0.74])
    room *= (0.4 + 0.8 * smooth(0.75, 0.2, v))[..., None] * (1 if shop else 2.2)
    high = np.where(d[..., 1] > 0.1, d[..., 1], 1e-9)
    ax, az = d[..., 0] / high, d[..., 2] / high  # where the ray meets a ceiling one unit up
    if shop:  # rows of tubes and one spotlight
        tube = (np.abs((ax + 0.35) % 1.5 - 0.75) < 0.07) & ((az + 0.2) % 1.2 < 0.8)
        tube &= np.maximum(np.abs(ax), np.abs(az)) < 2.6
        lamps = [(tube, (30, 27.5, 23.5)), (np.hypot(ax - 0.5, az - 0.9) < 0.13, (95, 82, 62))]
    else:  # a window with bars to the left and a warm lamp over the worktop
        left = np.maximum(-d[..., 0], 1e-3)
        wx, wy = np.abs(d[..., 2] / left + 0.2), np.abs(d[..., 1] / left - 0.75)
        pane = (wx < 0.6) & (wy < 0.55) & (wx > 0.035) & (np.abs(wy - 0.3) > 0.03)
        lamps = [(pane, (11, 12.2, 13.6)), (np.hypot(ax - 0.5, az + 0.3) < 0.16, (42, 31, 19))]
    room += sum(where[..., None] * np.array(color) for where, color in lamps)
    return {
        "type": "envmap",
        "bitmap": mi.Bitmap(room.astype(np.float32)),
        "to_world": T().rotate([1, 0, 0], 90),
    }


def pack(radii: Array, low: Array, high: Array, seed: int) -> Array:
    """Let balls fall into a box and settle until they rest on each other."""
    rng = np.random.default_rng(seed)
    low, high = low + radii[:, None], high - radii[:, None]
    p = rng.uniform(low, np.minimum(high, 30))
    for step in range(1500):
        # Shaking breaks up towers, the pull makes a mound, the last steps only clear overlaps.
        p += rng.normal(size=p.shape) * 0.05 * max(0, 1 - step / 800)
        pull = min(1, max(0, 3 - step / 450))
        p += pull * np.array([0.01, 0.01, 0]) * ((low + high) / 2 - p) - [0, 0, 0.2 * pull]
        for _ in range(3):
            gap = p[:, None] - p[None]
            dist = np.linalg.norm(gap, axis=-1) + 1e-6
            push = np.clip(radii[:, None] + radii - dist, 0, None) * (dist > 1e-5)
            p = np.clip(p + 0.35 * (gap * (push / dist)[..., None]).sum(1), low, high)
    return p


def heap(kinds: list[str], at: Array, radii: Array, seed: int) -> mi.Mesh:
    """Fruit at the given places, stems more often up or towards the camera than not."""
    rng = np.random.default_rng(seed)
    rows = 440 if len(at) == 1 else 220 if len(at) < 12 else 150
    # Ten different ones, each turned another way, are enough for a heap.
    models = [
        orange(seed + k, rows)
        if (kind := kinds[k % len(kinds)]) == "orange"
        else apple(kind, seed + k, rows)
        for k in range(min(len(at), 10))
    ]
    heaped: list[Parts] = []
    for k, (place, radius) in enumerate(zip(at, radii, strict=True)):
        verts, faces, *skin = models[k % len(models)]
        axis = rng.normal([0, -0.5, 0.7]) if len(at) > 1 else np.array([0.25, -0.38, 1.0])
        side = np.cross(rng.normal(size=3), axis)
        frame = np.stack([side, np.cross(axis, side), axis])
        verts = radius * verts @ (frame / np.linalg.norm(frame, axis=1, keepdims=True)) + place
        verts[:, 2] -= verts[:, 2].min() if len(at) == 1 else 0
        heaped.append((verts, faces + sum(len(other[0]) for other in heaped), *skin))
    # One mesh renders much faster than many, each with a material of its own to compile.
    return to_mesh(*(np.concatenate(part) for part in zip(*heaped, strict=True)))


def arrangement(bays: list[str], count: int, crate: tuple, shop: bool, seed: int) -> dict:
    """Everything with a shape: the fruit, its crate, and what stands around."""
    x, y, h = crate
    top = surface((0.14, 0.14, 0.14) if shop else wood(2 * seed, 5), 0.4)
    place, turn = T().translate([0, -5, 0]).scale(120 if shop else 46), 2 * (seed % 2) - 1
    scene = {"top": {"type": "rectangle", "bsdf": top, "to_world": place}}
    if not shop:  # a painted wall and a mug, both out of focus
        place = T().translate([0, 30, 30]).rotate([1, 0, 0], 90).scale(45)
        scene["wall"] = {
            "type": "rectangle",
            "bsdf": surface((0.80, 0.77, 0.70), 0.5),
            "to_world": place,
        }
        scene["mug"] = {
            "type": "cylinder",
            "bsdf": surface((0.42, 0.48, 0.52), 0.25),
            "radius": 4.2,
            "p0": [13 * turn, 20, 0],
            "p1": [13 * turn, 20, 9.5],
        }
    edges, skin = np.linspace(-x, x, len(bays) + 1), surface(wood(2 * seed + 1, 2), 0.6)
    boards = [((edge, 0), (0.3, y)) for edge in edges]
    boards += [((0, end), (x + 0.3, 0.4)) for end in (-y, y)]
    for k, (at, half) in enumerate(boards if count > 1 else []):
        place = T().translate([*at, h / 2]).scale([*half, h / 2])
        scene[f"board{k}"] = {"type": "cube", "bsdf": skin, "to_world": place}
    for bay, kinds in enumerate(bays):
        radii = np.random.default_rng(seed + bay).uniform(3.5, 4.1, count)
        low, high = np.array([edges[bay], -y, 0]), np.array([edges[bay + 1], y, 99])
        at = pack(radii * 1.04, low, high, seed + bay) * (count > 1)  # apples bulge beyond balls
        scene[f"heap{bay}"] = heap(kinds.split(), at, radii, seed + 50 * bay)
    return scene


def photograph(name: str, seed: int, spp: int) -> Array:
    """Path-trace a picture; linear RGB."""
    (width, height), bays, count, crate, eye, look, angle = SHOTS[name]
    scene = mi.load_dict(
        {
            "type": "scene",
            "light": surroundings(crate == BIG, seed),
            **arrangement(bays, count, crate, crate == BIG, seed),
            "integrator": {
                "type": "aov",
                "aovs": "skin:albedo,facing:sh_normal",
                "image": {"type": "path", "max_depth": 5},
            },
            "camera": {
                "type": "thinlens",
                "fov": angle,
                "aperture_radius": 0.25,
                "focus_distance": math.dist(eye, look) - 3,
                "to_world": T().look_at(eye, look, [0, 0, 1]),
                "film": {
                    "type": "hdrfilm",
                    "rfilter": {"type": "box"},
                    "pixel_format": "rgb",
                    "width": width,
                    "height": height,
                },
            },
        }
    )
    # Short passes bound the memory, and clipping each one removes stray bright samples.
    runs = range(max(1, spp // 16))
    layers = np.mean([np.clip(mi.render(scene, spp=16, seed=k), -1, 12) for k in runs], axis=0)
    layers = [np.ascontiguousarray(layers[..., k : k + 3], np.float32) for k in (0, 3, 6)]
    return DENOISER.denoise(*layers, hdr=True) if DENOISER else layers[0]


def develop(linear: Array, seed: int) -> Image.Image:
    """What a phone makes of the light: exposure, falloff, contrast, glare and sensor noise."""
    h, w, _ = linear.shape
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    level = np.exp(np.log(linear.mean(-1) + 1e-3).mean())
    light = linear * (0.18 / level) * (1 - 0.16 * (x * x + y * y))[..., None]
    grain = np.random.default_rng(seed).normal(size=light.shape)
    light = np.clip(light + grain * np.sqrt(light * 1e-4 + 1e-5), 0, None)
    # A filmic curve: deep shadows, and highlights that roll off instead of clipping.
    curve = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    image = Image.fromarray((255 * np.clip(curve, 0, 1) ** (1 / 2.2)).astype(np.uint8))
    return Image.blend(image, image.filter(ImageFilter.GaussianBlur(max(w, h) / 60)), 0.04)


def main() -> None:
    """Render all pictures, or the one asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("cyclegan/ui/examples"))
    parser.add_argument("--spp", type=int, default=16, help="samples per pixel")
    parser.add_argument("--only", choices=sorted(SHOTS), metavar="NAME", help="just this picture")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(SHOTS, 11):
        if args.only in (None, name):
            image = develop(photograph(name, seed, args.spp), seed)
            image.save(args.out / f"{name}.jpg", quality=87, optimize=True)


if __name__ == "__main__":
    main()
