"""`isaac3d`: 737,280 pictures of a robot arm in a kitchen under nine factors.

Source: Nie et al. 2020, "Semi-supervised StyleGAN for disentanglement learning", arXiv:2003.03461. The order of the factors is
that of the authors' code of "Flow Factorized Representation Learning". The page of the files,
NVlabs/High-res-disentanglement-datasets, names them in another order than its own strides, which are those of these sizes.
"""

from __future__ import annotations

from aerepr_flow.rendered import RenderedDataset, RenderedSpec


class Isaac3DSpec(RenderedSpec):
    """Table `[data]` with `name = "isaac3d"`."""


class Isaac3D(RenderedDataset):
    """Pictures 128 x 128 or larger, as published."""

    Spec = Isaac3DSpec
    folders = ("Isaac3D_down128", "Isaac3D")
    labels_file = ("labels.npy",)
    names = (
        "object_shape",
        "robot_x-move",
        "robot_y-move",
        "camera_height",
        "object_scale",
        "lighting_intensity",
        "lighting_y-dir",
        "object_color",
        "wall_color",
    )
    sizes = (3, 8, 5, 4, 4, 4, 6, 4, 4)
