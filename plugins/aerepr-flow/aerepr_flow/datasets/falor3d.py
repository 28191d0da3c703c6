"""`falor3d`: 233,280 pictures of a living room under seven factors, lights and camera.

Source: Nie et al. 2020, "Semi-supervised StyleGAN for disentanglement learning", arXiv:2003.03461 (there Falcor3D); the
factors and their order as NVlabs/High-res-disentanglement-datasets says.
"""

from __future__ import annotations

from aerepr_flow.rendered import RenderedDataset, RenderedSpec


class Falor3DSpec(RenderedSpec):
    """Table `[data]` with `name = "falor3d"`."""


class Falor3D(RenderedDataset):
    """Pictures 128 x 128 or larger, as published."""

    Spec = Falor3DSpec
    folders = ("Falcor3D_down128", "Falor3D_down128", "Falcor3D", "Falor3D")
    labels_file = ("train-rec.labels", "labels.npy")
    names = (
        "lighting_intensity",
        "lighting_x-dir",
        "lighting_y-dir",
        "lighting_z-dir",
        "camera_x-pos",
        "camera_y-pos",
        "camera_z-pos",
    )
    sizes = (5, 6, 6, 6, 6, 6, 6)
