"""Label maps of simple spines for tests: boxes of the size of vertebrae, stacked along z."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from endplate.images.volume import Volume

SPACING = 3.0  # mm, cubic
LUMBAR_STEP = 36.0
SIDE = 40  # voxels of the map across and to the back
BACK = slice(16, 34)


def spine(labels, *, step=LUMBAR_STEP, whole=False, extra=()) -> Volume:
    """A spine whose labels run from the feet upwards, in LPS: i to the left, j back, k to the head.

    Each body is 45 x 36 x 24 mm (39 mL); a whole vertebra has an arch around a canal as well.
    `extra` are (label, box) in voxels.
    """
    height = round(step / SPACING)
    array = np.zeros((SIDE, SIDE, height * len(labels) + 16), np.uint8)
    for n, label in enumerate(labels):
        k = slice(8 + n * height, 8 + n * height + 8)
        array[12:27, 8:20, k] = label
        if whole:
            arch = slice(k.start + 2, k.start + 6)
            array[12:15, 20:28, arch] = label  # pedicles and laminae leave a canal between them
            array[24:27, 20:28, arch] = label
            array[12:27, 27:29, arch] = label
            array[18:21, 29:38, arch] = label
            array[2:12, 22:24, arch] = label
            array[27:37, 22:24, arch] = label
    for label, box in extra:
        array[box] = label
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = (-60, -60, 100)
    return Volume(array, affine, name="mask.nii.gz")


def ct_of(mask: Volume, *, marrow=150, cortex=400) -> Volume:
    """A CT in which the labelled voxels are bone in soft tissue."""
    array = np.full(mask.array.shape, 40, np.int16)
    array[mask.array > 0] = marrow
    inner = mask.array > 0
    for axis in range(3):
        inner &= (np.roll(inner, 1, axis) > 0) & (np.roll(inner, -1, axis) > 0)
    array[(mask.array > 0) & ~inner] = cortex
    array[0] = -1000  # air, so that the image is known as CT
    return Volume(array, mask.affine, name="ct.nii.gz")


def nifti(volume: Volume, path: Path, *, names=None, dtype=None) -> Path:
    """Write a volume as NIfTI with nibabel alone; `names` go into a label table."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    array = volume.array if dtype is None else volume.array.astype(dtype)
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, code=1)
    image.set_qform(None, code=0)
    if names:
        lines = "".join(
            f'<Label Key="{label}" Red="0"><![CDATA[{name}]]></Label>\n'
            for label, name in names.items()
        )
        text = f"<CaretExtension><LabelTable>\n{lines}</LabelTable></CaretExtension>"
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, text.encode()))
    nibabel.save(image, path)
    return path
