"""Recipes for CycleGAN: what the paper and others train with, and what we advise."""

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # junyanz/pytorch-CycleGAN-and-pix2pix with its defaults: the paper.
    "paper": {
        "model": {"upsample": "transpose", "blocks": 9, "lambda_identity": 5.0},
        "data": {"resize": 286 / 256},
        "training": {"epochs": 200, "decay_from": 0.5},
    },
    # eriklindernoren/PyTorch-GAN; its discriminator halves four times.
    "pytorch-gan": {
        "model": {"upsample": "resize", "discriminator_downsamplings": 4},
        "data": {"resize": 1.12},
        "training": {"epochs": 200, "decay_from": 0.5},
    },
    # A common apples-and-oranges recipe: strong crops, a short run at a constant rate.
    "apples-oranges": {
        "model": {"upsample": "resize", "pool_size": 0},
        "data": {"resize": 1.33},
        "training": {"epochs": 50, "decay_from": 1.0},
    },
    # markhliu/DGAI, chapter 6.
    "dgai": {
        "model": {
            "upsample": "transpose",
            "padding": "reflect",
            "discriminator_padding": "reflect",
            "adversarial": "sigmoid_least_squares",
            "lambda_identity": 0.0,
            "pool_size": 0,
        },
        "data": {"resize": 1.0, "crop": "centre"},
        "training": {
            "epochs": 1,
            "decay_from": 1.0,
            "learning_rate": 1e-5,
            "precision": "fp16",
            "sample_every": 100,
        },
    },
    # Today's advice for one GPU: no checkerboard, no border artefacts, half the precision.
    "fast": {
        "model": {
            "upsample": "bilinear",
            "padding": "reflect",
            "discriminator_padding": "reflect",
        },
        "data": {"zoom": 1.5},
        "training": {"epochs": 100, "precision": "auto"},
    },
    # What a CPU can do in an evening.
    "tiny": {
        "model": {
            "width": 32,
            "blocks": 6,
            "upsample": "bilinear",
            "padding": "reflect",
            "discriminator_width": 32,
            "discriminator_padding": "reflect",
        },
        "data": {"image_size": 128, "zoom": 1.5},
        "training": {"epochs": 40, "precision": "auto"},
    },
}
