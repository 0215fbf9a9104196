"""A model of our own for TotalSegmentator: whatever is brighter than a threshold is one vertebra.

It has the files of a trained nnU-Net, and a network of the smallest size whose weights are set by
hand: the first channel carries the image's value through to the end, where it is held against
the threshold. It lets the real program run to its end in seconds, without a download.
"""

from __future__ import annotations

import json
from pathlib import Path

# TotalSegmentator 2.18, totalsegmentator/map_tasks_config.py: the model of task total, fast.
FAST = "Dataset297_TotalSegmentator_total_3mm_1559subj"
TRAINER = "nnUNetTrainer_4000epochs_NoMirroring"
L3, CLASSES = 29, 118
THRESHOLD = 70.0

_NETWORK = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
_ARCHITECTURE = {
    "n_stages": 2, "features_per_stage": [2, 2], "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[1, 1, 1]] * 2, "strides": [[1, 1, 1], [2, 2, 2]], "n_conv_per_stage": [1, 1],
    "n_conv_per_stage_decoder": [1], "conv_bias": True, "norm_op": None, "norm_op_kwargs": {},
    "dropout_op": None, "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"negative_slope": 1.0},
}  # fmt: skip
_IMPORTED = ["conv_op", "norm_op", "dropout_op", "nonlin"]
_VALUES = {"mean": 0.0, "std": 1.0, "percentile_00_5": -200.0, "percentile_99_5": 400.0,
           "max": 3000.0, "min": -1000.0, "median": 0.0}  # fmt: skip
_RESAMPLE = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}


def threshold_model(results: Path) -> Path:
    """Lay the model into a folder of weights; returns the folder of the model."""
    folder = results / FAST / f"{TRAINER}__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    names = {"background": 0} | {f"class_{n}": n for n in range(1, CLASSES)}
    (folder / "dataset.json").write_text(json.dumps({
        "channel_names": {"0": "CT"}, "labels": names, "file_ending": ".nii.gz", "numTraining": 1,
    }))  # fmt: skip
    (folder / "plans.json").write_text(json.dumps(_plans()))
    _save(folder / "fold_0" / "checkpoint_final.pth")
    return folder


def _plans() -> dict:
    resample = {f"resampling_fn_{what}": "resample_data_or_seg_to_shape"
                for what in ("data", "seg", "probabilities")}  # fmt: skip
    settings = {f"{name}_kwargs": _RESAMPLE for name in resample}
    return {
        "dataset_name": FAST, "plans_name": "nnUNetPlans",
        "image_reader_writer": "NibabelIOWithReorient", "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "original_median_spacing_after_transp": [3.0] * 3,
        "original_median_shape_after_transp": [100] * 3, "experiment_planner_used": "none",
        "foreground_intensity_properties_per_channel": {"0": _VALUES},
        "configurations": {"3d_fullres": {
            "data_identifier": "made", "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 1, "patch_size": [32, 32, 32], "spacing": [3.0] * 3,
            "median_image_size_in_voxels": [100.0] * 3,
            "normalization_schemes": ["CTNormalization"], "use_mask_for_norm": [False],
            "batch_dice": False, **resample, **settings,
            "architecture": {
                "network_class_name": _NETWORK, "arch_kwargs": _ARCHITECTURE,
                "_kw_requires_import": _IMPORTED,
            },
        }},
    }  # fmt: skip


def _save(path: Path) -> None:
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    network = get_network_from_plans(
        _NETWORK, _ARCHITECTURE, _IMPORTED, 1, CLASSES, deep_supervision=False
    )
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.zero_()
            if name.startswith("encoder.stages.0") and name.endswith("conv.weight"):
                weight[0, 0] = 1.0  # the value itself
            elif name.startswith("decoder.stages.0") and name.endswith("conv.weight"):
                weight[0, 2] = 1.0  # of what comes up and what came across, the latter
            elif name == "decoder.seg_layers.0.weight":
                weight[L3, 0] = 1.0
            elif name == "decoder.seg_layers.0.bias":
                weight[:] = -100.0
                weight[0], weight[L3] = 0.0, -THRESHOLD
    torch.save(
        {
            "network_weights": network.state_dict(), "trainer_name": TRAINER,
            "init_args": {"configuration": "3d_fullres"}, "inference_allowed_mirroring_axes": None,
        },
        path,
    )  # fmt: skip
