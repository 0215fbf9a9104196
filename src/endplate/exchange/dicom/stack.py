"""How image planes lie in the patient, and whether they make up one regular volume.

Only Image Position and Image Orientation (Patient) count (PS3.3 section C.7.6.2.1.1): a slice
thickness, a spacing between slices or a slice location never stands in for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

# A plane may lie this far from its place in a regular grid: scanners round positions to 0.1 mm
# at worst (0.05 and the fit's own part), and a twentieth of the spacing is less than the error
# of any measurement across slices.
OFF_GRID_MM = 0.06
OFF_GRID_SHARE = 0.05
# Two planes closer than this are in one place.
SAME_PLACE_MM = 0.01
# Cosines that differ by more than this are different orientations (0.06 degrees).
SAME_DIRECTION = 1e-3
# A lean below this (degrees) is rounding and not a tilted gantry.
LEAST_TILT = 0.1
# A gap counts as a whole number of spacings if it is off by no more than this share of one.
WHOLE_GAP_SHARE = 0.1


@dataclass(frozen=True)
class Grid:
    """The one grid that planes lie on, or the reason why there is none.

    Attributes
    ----------
    order
        The planes from first to last along the normal.
    affine
        From (column, row, plane) index to LPS mm; None where there is no regular grid.
    tilt
        Degrees between the normal and the way from plane to plane.
    missing
        Places in `order` before which planes are missing.
    fault
        Id of what is wrong: ``dicom.missing_slice`` or ``dicom.irregular_spacing``.
    """

    order: tuple[int, ...]
    affine: Points | None = None
    tilt: float = 0.0
    missing: tuple[int, ...] = ()
    fault: str = ""


def axes(orientation: npt.ArrayLike) -> Points | None:
    """Unit vectors along a row and along a column as two rows; None if they are no right angle."""
    two = np.asarray(orientation, dtype=float)
    if two.shape != (6,) or not np.isfinite(two).all():
        return None
    two = two.reshape(2, 3)
    lengths = np.linalg.norm(two, axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(two[0] @ two[1]) > 0.01:
        return None
    row = two[0] / lengths[0]
    column = two[1] - row * (row @ two[1])
    return np.array([row, column / np.linalg.norm(column)])


def same_orientation(orientations: Points) -> list[list[int]]:
    """Indices of the planes (n, 6), grouped by orientation, in the order of first appearance."""
    left = np.arange(len(orientations))
    groups = []
    while len(left):
        apart = np.abs(orientations[left] - orientations[left[0]]).max(axis=1)
        groups.append([int(i) for i in left[apart <= SAME_DIRECTION]])
        left = left[apart > SAME_DIRECTION]
    return groups


def same_place(positions: Points, normal: Points) -> list[list[int]]:
    """Indices of the planes (n, 3) that lie in one place, as groups of two or more."""
    order = np.argsort(positions @ normal, kind="stable")
    groups: list[list[int]] = [[int(order[0])]]
    for i in order[1:]:
        if np.linalg.norm(positions[i] - positions[groups[-1][0]]) <= SAME_PLACE_MM:
            groups[-1].append(int(i))
        else:
            groups.append([int(i)])
    return [group for group in groups if len(group) > 1]


def grid(positions: Points, orientation: npt.ArrayLike, spacing: tuple[float, float]) -> Grid:
    """The grid on which planes of one orientation lie.

    Parameters
    ----------
    positions
        Image Position (Patient) of each plane, (n, 3) LPS mm, n of 2 or more, all different.
    orientation
        Image Orientation (Patient), six cosines.
    spacing
        Pixel Spacing: between rows, then between columns, mm.
    """
    directions = axes(orientation)
    if directions is None:
        raise ValueError("The orientation is not made of two unit vectors at a right angle.")
    normal = np.cross(directions[0], directions[1])
    order = np.argsort(positions @ normal, kind="stable")
    placed = positions[order]
    count = np.arange(len(placed)) - (len(placed) - 1) / 2
    step = count @ placed / (count @ count)  # least squares: the mean position needs no fitting
    first = placed.mean(axis=0) + count[0] * step
    off = np.linalg.norm(placed - (first + np.outer(np.arange(len(placed)), step)), axis=1)
    distance = float(step @ normal)
    known = tuple(int(i) for i in order)
    if off.max() > max(OFF_GRID_MM, OFF_GRID_SHARE * distance) or distance < SAME_PLACE_MM:
        return _faulty(known, placed, normal)
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * spacing[1]
    affine[:3, 1] = directions[1] * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first
    lean = float(np.degrees(np.arctan2(np.linalg.norm(np.cross(normal, step)), distance)))
    return Grid(known, affine, tilt=lean if lean >= LEAST_TILT else 0.0)


def _faulty(order: tuple[int, ...], placed: Points, normal: Points) -> Grid:
    """Tell planes that are missing from planes that are unevenly spaced."""
    steps = np.diff(placed, axis=0)
    gaps = steps @ normal
    usual = float(np.median(gaps))
    if usual >= SAME_PLACE_MM:
        whole = np.round(gaps / usual)
        typical = np.median(steps, axis=0)
        off = np.linalg.norm(steps - np.outer(whole, typical), axis=1)
        if (whole >= 1).all() and off.max() <= max(OFF_GRID_MM, WHOLE_GAP_SHARE * usual):
            missing = tuple(int(i) + 1 for i in np.flatnonzero(whole > 1))
            if missing:
                return Grid(order, missing=missing, fault="dicom.missing_slice")
    return Grid(order, fault="dicom.irregular_spacing")
