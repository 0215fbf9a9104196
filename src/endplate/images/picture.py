"""Pictures of a measurement: what was measured, drawn on the image it was measured on.

Anterior is at the viewer's left and labelled; in planes across the body the patient's right is at
the viewer's left, as radiologists look at it. No name, date or number of a patient is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont
from scipy import ndimage

from endplate.images.geometry import Geometry
from endplate.images.pelvis import Pelvis
from endplate.images.vertebra import Vertebra
from endplate.images.volume import Points, Volume

ENDPLATES, REGIONS, HEIGHTS, TEXT = "#F0E442", "#E69F00", "#56B4E9", "#FFFFFF"
_CANVAS, _FAINT = "#101418", "#9AA4AD"
_BONE_WINDOW = (-200.0, 700.0)  # HU shown as black and as white
_ROOM = {"front": 62.0, "back": 75.0, "above": 22.0, "below": 60.0}  # mm around the bodies
_TILE = 62.0  # mm: side of a picture across one body


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG with its file name, one line under it, and a text for those who cannot see it."""

    name: str
    content: bytes
    caption: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is drawn of one vertebra.

    Attributes
    ----------
    vertebra
        Its frame, planes and height lines.
    caption
        What stands beside its name.
    outlines
        The ellipses of the measured planes, closed lines of LPS points.
    values
        What stands under each plane's picture.
    """

    vertebra: Vertebra
    caption: str = ""
    outlines: Sequence[Points] = ()
    values: Sequence[str] = ()


def sagittal(image: Volume, shown: Sequence[Shown], *, cut: Mapping[str, Points]) -> Picture:
    """The spine from the side, in a plane that follows it sideways.

    Parameters
    ----------
    shown
        The vertebrae from the head down; at least one.
    cut
        Middles (LPS mm) of vertebrae that the field of view cuts, by level.
    """
    vertebrae = [s.vertebra for s in shown]
    ends = np.concatenate([line for v in vertebrae for line in v.lines.values()])
    view = _View.of(
        np.array([v.frame.centre for v in vertebrae]), ends, _from_the_side(vertebrae),
        (_ROOM["front"], _ROOM["back"]),
    )  # fmt: skip
    canvas = Image.fromarray(_grey(image, view.sampled(image)), "L").convert("RGB")
    draw = ImageDraw.Draw(canvas)
    for one in shown:
        _draw_vertebra(draw, view, one)
    for level, centre in cut.items():
        x, y = view.pixel(centre)
        draw.text((x, y), f"{level} cut", fill=_FAINT, font=_font(15), anchor="mm")
    legend = [("endplate planes", ENDPLATES), ("heights", HEIGHTS)]
    legend += [("HU planes", REGIONS)] if any(s.outlines for s in shown) else []
    _draw_frame(draw, view, canvas.size, "AP", legend)
    names = [s.vertebra.level for s in shown]
    said = "; ".join(f"{s.vertebra.level} {s.caption}".strip() for s in shown)
    caption = f"{names[0]} to {names[-1]} from the side, along the spine; anterior at the left."
    alt = (
        f"Sagittal reformat along the spine, {names[0]} to {names[-1]}, anterior at the left, with "
        f"lines for endplate planes, heights and the measured planes. {said}."
    )
    return Picture("sagittal.png", _png(canvas), caption, alt)


def across(image: Volume, shown: Sequence[Shown]) -> Picture:
    """The three measured planes of each body, with the measured ellipse, one row per level."""
    pixels = 170
    rows = [s for s in shown if s.outlines]
    wide, tall = 70 + 3 * (pixels + 8), 34 + len(rows) * (pixels + 8)
    canvas = Image.new("RGB", (wide, tall), _CANVAS)
    draw = ImageDraw.Draw(canvas)
    for at, title in enumerate(("below superior endplate", "middle", "above inferior endplate")):
        place = (70 + at * (pixels + 8) + pixels / 2, 17)
        draw.text(place, title, fill=_FAINT, font=_font(13), anchor="mm")
    for row, one in enumerate(rows):
        top = 34 + row * (pixels + 8)
        draw.text(
            (35, top + pixels / 2), one.vertebra.level, fill=TEXT, font=_font(20), anchor="mm"
        )
        for column, outline in enumerate(one.outlines):
            tile = _tile(image, one.vertebra, outline, pixels)
            text = one.values[column] if column < len(one.values) else ""
            pen = ImageDraw.Draw(tile)
            _label(pen, (pixels / 2, pixels - 11), text, TEXT, 14)
            _label(pen, (9, pixels / 2), "R", _FAINT, 13)
            _label(pen, (pixels - 9, pixels / 2), "L", _FAINT, 13)
            canvas.paste(tile, (70 + column * (pixels + 8), top))
    said = "; ".join(f"{s.vertebra.level}: {', '.join(s.values)}" for s in rows)
    caption = "The three measured planes of each body; the patient's right at the left."
    alt = (
        f"Planes across the vertebral bodies with the measured ellipses, the patient's right at "
        f"the left, posterior below. {said}."
    )
    return Picture("planes.png", _png(canvas), caption, alt)


def overlaid(
    image: Volume, later: Vertebra, earlier: Vertebra, back: Callable[[Points], Points]
) -> Picture:
    """One vertebra from the side, with its outline then and now.

    Parameters
    ----------
    image
        Of the later study.
    back
        From the later to the earlier study, as the vertebra was laid onto itself.
    """
    pixels, half = 480, _TILE / 2 + 8
    at = ((np.arange(pixels) + 0.5) / pixels - 0.5) * 2 * half
    v, w = np.meshgrid(at + later.back, -at)  # the posterior wall in the middle
    points = later.frame.to_world(np.stack([np.zeros_like(v), v, w], axis=-1))
    canvas = Image.fromarray(_grey(image, _interpolated(image, points)), "L").convert("RGB")
    drawn = np.array(canvas)
    for colour, block, there in ((HEIGHTS, earlier.block, back(points)),
                                 (REGIONS, later.block, points)):  # fmt: skip
        inside = block.at(there) >= 0.5
        drawn[inside ^ ndimage.binary_erosion(inside, iterations=2)] = ImageColor.getrgb(colour)
    canvas = Image.fromarray(drawn)
    draw = ImageDraw.Draw(canvas)
    _label(draw, (pixels / 2, 14), later.level, TEXT, 19)
    _label(draw, (12, pixels / 2), "A", TEXT, 18)
    _label(draw, (pixels - 12, pixels / 2), "P", TEXT, 18)
    for row, (text, colour) in enumerate((("earlier", HEIGHTS), ("later", REGIONS))):
        _label(draw, (42, pixels - 34 + 18 * row), text, colour, 15)
    caption = f"{later.level} from the side, laid onto itself: its outline in both studies."
    alt = f"Midsagittal section of {later.level}, anterior at the left; {caption}"
    return Picture(f"changed_{later.level}.png", _png(canvas), caption, alt)


# -- the view from the side -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A picture's place in the patient: `across` from its left to its right edge, from the head
    down; what lies along `deep` is followed, so that the spine stays in the picture.
    """

    across: Points
    deep: Points
    up: Points
    path: tuple[Points, Points]  # height and depth of what is followed, mm
    start_mm: float
    top_mm: float
    shape: tuple[int, int]
    scale: float  # pixels per mm

    @classmethod
    def of(
        cls, followed: Points, shown: Points, across: Points, room: tuple[float, float]
    ) -> _View:
        """A view that follows some points and shows others, with room (mm) on both sides."""
        up = np.array([0.0, 0.0, 1.0])
        across = across - up * (across @ up)
        across = across / np.linalg.norm(across)
        deep = np.cross(across, up)
        order = np.argsort(followed @ up)
        start = float((shown @ across).min()) - room[0]
        end = float((shown @ across).max()) + room[1]
        top = float((shown @ up).max()) + _ROOM["above"]
        bottom = float((shown @ up).min()) - _ROOM["below"]
        scale = float(np.clip(1000 / (top - bottom), 2.0, 4.0))
        return cls(
            across, deep, up, ((followed @ up)[order], (followed @ deep)[order]), start, top,
            (round((top - bottom) * scale), round((end - start) * scale)), scale,
        )  # fmt: skip

    def sampled(self, image: Volume) -> npt.NDArray[np.float32]:
        """The image in this view."""
        z = self.top_mm - (np.arange(self.shape[0]) + 0.5) / self.scale
        x = self.start_mm + (np.arange(self.shape[1]) + 0.5) / self.scale
        y = np.interp(z, *self.path)
        points = (
            y[:, None, None] * self.deep
            + x[None, :, None] * self.across
            + z[:, None, None] * self.up
        )
        return _interpolated(image, points)

    def pixel(self, world: Points) -> tuple[float, float]:
        """Where a point in the patient is drawn."""
        return (
            float((world @ self.across - self.start_mm) * self.scale),
            float((self.top_mm - world @ self.up) * self.scale),
        )


def _from_the_side(vertebrae: Sequence[Vertebra]) -> Points:
    """To the back, as these vertebrae face."""
    return np.asarray(np.mean([v.frame.axes[:, 1] for v in vertebrae], axis=0))


def _draw_vertebra(draw: ImageDraw.ImageDraw, view: _View, one: Shown) -> None:
    vertebra = one.vertebra
    frame = vertebra.frame
    for plane in (vertebra.superior, vertebra.inferior):
        normal = plane.normal @ frame.axes
        offset = float(normal @ frame.to_local(plane.centre))
        ends = [
            frame.to_world([0.0, v, (offset - normal[1] * v) / normal[2]])
            for v in (vertebra.front, vertebra.back)
        ]
        draw.line([view.pixel(p) for p in ends], fill=ENDPLATES, width=2)
    for line in vertebra.lines.values():
        draw.line([view.pixel(p) for p in line], fill=HEIGHTS, width=2)
    for outline in one.outlines:
        v = frame.to_local(outline)[:, 1]
        ends = [outline[int(np.argmin(v))], outline[int(np.argmax(v))]]
        draw.line([view.pixel(p) for p in ends], fill=REGIONS, width=3)
    front = view.pixel(frame.to_world([0.0, vertebra.front, 0.0]))
    place = (front[0] - 14, front[1])
    draw.text(place, vertebra.level, fill=TEXT, font=_font(19), anchor="rm", stroke_width=2,
              stroke_fill="#000000")  # fmt: skip
    if one.caption:
        draw.text((place[0], place[1] + 17), one.caption, fill=REGIONS, font=_font(14),
                  anchor="rm", stroke_width=2, stroke_fill="#000000")  # fmt: skip


def _draw_frame(
    draw: ImageDraw.ImageDraw,
    view: _View,
    size: tuple[int, int],
    sides: str,
    legend: Sequence[tuple[str, str]],
) -> None:
    """Sides, scale and what the colours mean."""
    wide, tall = size
    _label(draw, (14, tall / 2), sides[0], TEXT, 22)
    _label(draw, (wide - 14, tall / 2), sides[1], TEXT, 22)
    length = 50 * view.scale
    y = tall - 16
    start = wide - 16 - length
    draw.line([(start, y), (start + length, y)], fill=TEXT, width=2)
    for x in (start, start + length):
        draw.line([(x, y - 5), (x, y + 5)], fill=TEXT, width=2)
    _label(draw, (start + length / 2, y - 12), "50 mm", TEXT, 14)
    for row, (text, colour) in enumerate(legend):
        at = tall - 16 - 18 * (len(legend) - 1 - row)
        draw.line([(12, at), (32, at)], fill=colour, width=3)
        draw.text((38, at), text, fill=TEXT, font=_font(14), anchor="lm", stroke_width=2,
                  stroke_fill="#000000")  # fmt: skip


# -- the whole curve --------------------------------------------------------------------------


def curve(image: Volume, geometry: Geometry, cobb: Sequence[Mapping[str, str]]) -> Picture:
    """The curve of the spine with its endplates and the pelvis, from the side and from the front.

    Parameters
    ----------
    geometry
        With at least two vertebrae.
    cobb
        Frontal curves to be written beside the spine: ``first``, ``last`` and ``says``.
    """
    vertebrae = list(geometry.vertebrae.values())
    centres = np.array([v.frame.centre for v in vertebrae])
    pelvis = geometry.pelvis
    followed = centres if pelvis.sacrum is None else np.vstack([centres, pelvis.sacrum.centre])
    heads = [h.sphere for h in pelvis.heads.values()]
    middles = np.array([h.centre for h in heads]).reshape(-1, 3)
    shown = np.vstack([followed, middles])
    back = _from_the_side(vertebrae)
    left = np.cross(back, [0.0, 0.0, 1.0])
    panels = []
    for across, sides, room in ((back, "AP", (58.0, 66.0)), (left, "RL", (46.0, 46.0))):
        view = _View.of(followed, shown, across, room)
        panel = Image.fromarray(_grey(image, view.sampled(image)), "L").convert("RGB")
        draw = ImageDraw.Draw(panel)
        _draw_pelvis(draw, view, pelvis, from_the_side=sides == "AP")
        for superior, inferior in geometry.plates.values():
            for plate in (superior, inferior):
                if plate is not None:
                    half = plate.depth / 2 if sides == "AP" else plate.width / 2
                    axis = plate.frame.axes[:, 1 if sides == "AP" else 0]
                    ends = [plate.centre - half * axis, plate.centre + half * axis]
                    draw.line([view.pixel(p) for p in ends], fill=ENDPLATES, width=2)
        draw.line([view.pixel(p) for p in followed], fill=HEIGHTS, width=3)
        for v in vertebrae:
            x, y = view.pixel(v.frame.centre)
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=HEIGHTS)
            _label(draw, (x - 34 * view.scale, y), v.level, TEXT, 17)
        if sides == "RL":
            _draw_cobb(draw, view, geometry, cobb)
        legend = [("endplates", ENDPLATES), ("line of the bodies", HEIGHTS)]
        legend += [("hips and S1", REGIONS)] if heads else []
        _draw_frame(draw, view, panel.size, sides, legend)
        panels.append(panel)
    canvas = Image.new(
        "RGB", (sum(p.width for p in panels) + 8, max(p.height for p in panels)), _CANVAS
    )
    canvas.paste(panels[0], (0, 0))
    canvas.paste(panels[1], (panels[0].width + 8, 0))
    names = list(geometry.vertebrae)
    said = "".join(f" {c['first']}-{c['last']}: {c['says']}." for c in cobb)
    caption = (
        f"The curve from {names[0]} to {names[-1]}: from the side (anterior at the left) and from "
        f"the front (the patient's right at the left)."
    )
    alt = (
        f"Sagittal and frontal reformat along the spine, {names[0]} to {names[-1]}, with the line "
    )
    alt += f"through the bodies, the endplates and what was found of the pelvis.{said}"
    return Picture("curve.png", _png(canvas), caption, alt)


def _draw_pelvis(
    draw: ImageDraw.ImageDraw, view: _View, pelvis: Pelvis, *, from_the_side: bool
) -> None:
    """Femoral heads, hip axis, and from the side the lines that enclose pelvic incidence."""
    spheres = [h.sphere for h in pelvis.heads.values()]
    for one in spheres:
        x, y = view.pixel(one.centre)
        r = one.radius * view.scale
        draw.ellipse((x - r, y - r, x + r, y + r), outline=REGIONS, width=2)
    if len(spheres) < 2:
        return
    if not from_the_side:
        draw.line([view.pixel(s.centre) for s in spheres], fill=REGIONS, width=2)
    elif pelvis.sacrum is not None:
        hips = np.mean([s.centre for s in spheres], axis=0)
        middle, normal = pelvis.sacrum.centre, pelvis.sacrum.normal
        for end in (hips, middle - 45 * normal):
            draw.line([view.pixel(middle), view.pixel(end)], fill=REGIONS, width=2)


def _draw_cobb(
    draw: ImageDraw.ImageDraw, view: _View, geometry: Geometry, cobb: Sequence[Mapping[str, str]]
) -> None:
    """Long lines along both end plates of each frontal curve, with its angle."""
    for one in cobb:
        ends = [geometry.plates[one["first"]][0], geometry.plates[one["last"]][1]]
        if ends[1] is None:
            ends[1] = geometry.plates[one["last"]][0]
        places = []
        for plate in ends:
            if plate is not None:
                out = plate.frame.axes[:, 0] * 62
                draw.line(
                    [view.pixel(plate.centre - out), view.pixel(plate.centre + out)],
                    fill=TEXT, width=1,
                )  # fmt: skip
                places.append(view.pixel(plate.centre + out * 0.9))
        x, y = np.mean(places, axis=0)
        _label(draw, (float(x), float(y)), one["says"], TEXT, 16)


# -- across one body --------------------------------------------------------------------------


def _tile(image: Volume, vertebra: Vertebra, outline: Points, pixels: int) -> Image.Image:
    """One plane of a body, with the ellipse that was measured in it."""
    middle = outline[:-1].mean(axis=0)
    normal = np.cross(outline[0] - middle, outline[len(outline) // 4] - middle)
    normal /= np.linalg.norm(normal)
    left = vertebra.frame.axes[:, 0] - normal * (vertebra.frame.axes[:, 0] @ normal)
    left /= np.linalg.norm(left)
    back = vertebra.frame.axes[:, 1] - normal * (vertebra.frame.axes[:, 1] @ normal)
    back -= left * (back @ left)
    back /= np.linalg.norm(back)
    at = ((np.arange(pixels) + 0.5) / pixels - 0.5) * _TILE
    points = middle + at[None, :, None] * left + at[:, None, None] * back
    tile = Image.fromarray(_grey(image, _interpolated(image, points)), "L").convert("RGB")
    scale = pixels / _TILE
    line = [
        (
            float(((p - middle) @ left) * scale + pixels / 2),
            float(((p - middle) @ back) * scale + pixels / 2),
        )
        for p in outline
    ]
    ImageDraw.Draw(tile).line(line, fill=REGIONS, width=2)
    return tile


# -- pixels -----------------------------------------------------------------------------------


def _interpolated(image: Volume, points: Points) -> npt.NDArray[np.float32]:
    index = np.moveaxis(image.to_index(points), -1, 0)
    low = np.maximum(np.floor(index.reshape(3, -1).min(axis=1)).astype(int) - 1, 0)
    high = np.ceil(index.reshape(3, -1).max(axis=1)).astype(int) + 2
    part = image.array[tuple(slice(a, max(b, a + 1)) for a, b in zip(low, high, strict=True))]
    if not part.size:
        return np.full(index.shape[1:], np.nan, np.float32)
    return np.asarray(
        ndimage.map_coordinates(
            np.asarray(part, np.float32), index - low[:, None, None], order=1, cval=np.nan
        ),
        np.float32,
    )


def _grey(image: Volume, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Values as grey levels: a bone window on CT, the middle 98 % of the values on MR."""
    low, high = _BONE_WINDOW
    known = values[np.isfinite(values)]
    if image.acquisition.modality == "MR" and len(known):
        low, high = np.percentile(known, [1, 99])
    grey = (np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-6) * 255
    return np.asarray(np.clip(grey, 0, 255), np.uint8)


def _label(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: str, size: int
) -> None:
    draw.text(place, text, fill=colour, font=_font(size), anchor="mm", stroke_width=2,
              stroke_fill="#000000")  # fmt: skip


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _png(picture: Image.Image) -> bytes:
    into = BytesIO()
    picture.save(into, "PNG")
    return into.getvalue()
