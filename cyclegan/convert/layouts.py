"""Whose network a state dict is: told by its keys and shapes, and renamed to ours.

Every layout gives the options of our network that computes the same, and the names that its layers
have over there. What fits no layout to the last key and shape is not recognised.
"""

import re
from collections.abc import Mapping
from functools import partial
from math import isqrt
from typing import Any

import torch

from cyclegan.convert.found import Found, convolves, norm_after, rename, with_norms
from cyclegan.convert.reading import ConvertError, Tensors
from cyclegan.networks import DcganGenerator, LatentEncoder, ResnetGenerator, UnetGenerator

JUNYANZ, DGAI = "pytorch-CycleGAN-and-pix2pix", "DGAI"
PYTORCH_GAN, CUT = "PyTorch-GAN or huggan", "CUT"
BICYCLEGAN, DCGAN = "BicycleGAN", "DCGAN"


def recognise(tensors: Tensors, latent: int | None = None) -> Found | None:
    """Tell whose network it is; None when nobody's that is known here.

    `latent` is the length of z where another file tells it.

    Raises ConvertError for one that is known and has no counterpart here.
    """
    unet = partial(_unet, latent=latent)
    for layout in (_resnet, _dgai, unet, _pytorch_gan_unet, _dcgan, _pytorch_gan_dcgan, _encoder):
        try:
            found = layout(tensors)
        except (LookupError, ValueError, TypeError, ArithmeticError, RuntimeError):
            # A tensor that the layout needs is missing, or has other dimensions.
            continue
        fitted = None if found is None else found.fitted()
        if fitted is not None:
            return fitted
    return None


def _resnet(tensors: Tensors) -> Found | None:
    pattern = re.compile(r"model\.(\d+)\.(conv_block|block)\.\d+\.weight")
    inner = [match for match in map(pattern.fullmatch, tensors) if match]
    if not inner:
        return None
    kind, numbers = inner[0][2], {int(match[1]) for match in inner}
    first, blocks = min(numbers), len(numbers)
    last = first + blocks
    blur, resized = first == 12, int(not convolves(tensors, f"model.{last}"))
    # Dropout between the convolutions moves the second one.
    second = 6 if convolves(tensors, f"model.{first}.{kind}.6") else 5
    layers = {"stem.0": "model.1", "down.0.0": "model.4", "down.1.0": f"model.{8 if blur else 7}"}
    for block in range(blocks):
        for ours, theirs in ((0, 1), (3, second)):
            layers[f"blocks.{block}.body.{ours}"] = f"model.{first + block}.{kind}.{theirs}"
    for ours, theirs in (("up.0", last + resized), ("up.1", last + 2 * resized + 3)):
        layers[f"{ours}.{resized}"] = f"model.{theirs}"
    layers["head.0"] = f"model.{last + 2 * resized + 7}"

    # CUT's filters are constants, but where they are tells what is resized by them.
    filters = {key for key in tensors if key.endswith(".filt")}
    places = [7, 11] * blur + [last, last + 4] * (resized and kind == "conv_block")
    if filters != {f"model.{place}.filt" for place in places}:
        return None
    source = CUT if filters else PYTORCH_GAN if resized else JUNYANZ
    upsample = ("bilinear" if filters else "resize") if resized else "transpose"
    rest = {key: value for key, value in tensors.items() if key not in filters}
    options = {"upsample": upsample, "downsample": "blur" if blur else "stride"}
    found = _resnet_found(source, rest, layers, blocks, options)
    if found and source == PYTORCH_GAN and found.options["channels_in"] != 3:
        raise ConvertError(
            "PyTorch-GAN's ResNets pad by as many pixels as there are channels, so those for other "
            "than 3 channels shrink their images; there is no such network here."
        )
    return found


def _dgai(tensors: Tensors) -> Found | None:
    blocks = len({key.split(".")[1] for key in tensors if key.startswith("res_blocks.")})
    layers = {"stem.0": "initial.0", "head.0": "last"}
    for half in (0, 1):
        layers[f"down.{half}.0"] = f"down_blocks.{half}.conv.0"
        layers[f"up.{half}.0"] = f"up_blocks.{half}.conv.0"
        for block in range(blocks):
            layers[f"blocks.{block}.body.{3 * half}"] = f"res_blocks.{block}.block.{half}.conv.0"
    options = {"upsample": "transpose", "padding": "reflect"}
    return _resnet_found(DGAI, tensors, layers, blocks, options)


def _resnet_found(
    source: str,
    tensors: Tensors,
    layers: Mapping[str, str],
    blocks: int,
    options: Mapping[str, Any],
) -> Found | None:
    renamed = rename(tensors, with_norms(layers))
    norm = norm_after(renamed, "stem.0", "stem.1")
    width, channels_in = renamed["stem.0.weight"].shape[:2]
    options = {
        "channels_in": channels_in,
        "channels_out": len(renamed["head.0.weight"]),
        "width": width,
        "blocks": blocks,
        "norm": norm,
        "padding": "zeros",
        "downsample": "stride",
        **options,
    }
    return Found(source, ResnetGenerator, options, renamed) if norm else None


def _unet(tensors: Tensors, latent: int | None) -> Found | None:
    """U-Nets of which each level holds the next one: junyanz's, and both of BicycleGAN."""
    separate = "model.down.0.weight" in tensors
    place, level, layers = "model" if separate else "model.model", 0, {}
    while True:
        inner = f"{place}.{'submodule' if separate else '1.model' if level == 0 else '3.model'}"
        innermost = not any(key.startswith(f"{inner}.") for key in tensors)
        if separate:
            down, up = f"{place}.down.{min(level, 1)}", f"{place}.up.1"
        else:
            down, up = f"{place}.{min(level, 1)}", f"{place}.{3 if level == 0 or innermost else 5}"
        layers |= {f"down.{level}.{min(level, 1)}": down, f"up.{level}.1": up}
        if innermost:
            break
        place, level = inner, level + 1
    renamed = rename(tensors, with_norms(layers))
    norm = norm_after(renamed, "down.1.1", "down.1.2")
    width, joined = renamed["down.0.0.weight"].shape[:2]
    assumed = ""
    if separate:
        latent = renamed["down.1.1.weight"].shape[1] - width
    elif joined <= 4:
        latent = 0
    elif latent is None:
        # Nothing in there tells where the image ends and z begins; 8 is what its authors take.
        latent = 8 if joined in (9, 11) else joined - 3
        assumed = (
            f"z is assumed to have {latent} numbers and the image {joined - latent} channels; the "
            "encoder's file would tell."
        )
    if latent and norm != "instance":
        return None
    if latent:
        renamed = _skips_first(renamed, level)
    options = {
        "channels_in": joined - latent,
        "channels_out": renamed["up.0.1.weight"].shape[1],
        "width": width,
        "image_size": 2 ** (level + 1),
        "norm": norm,
        "latent": latent,
        "inject": "all" if separate else "input",
        "variant": "paper",
    }
    source = BICYCLEGAN if latent else JUNYANZ
    return Found(source, UnetGenerator, options, renamed, assumed) if norm else None


def _pytorch_gan_unet(tensors: Tensors) -> Found | None:
    levels = len({key.split(".")[0] for key in tensors if key.startswith("down")})
    layers = {"down.0.0": "down1.model.0", "up.0.3": "final.2"}
    for level in range(1, levels):
        layers[f"down.{level}.1"] = f"down{level + 1}.model.0"
        layers[f"up.{level}.1"] = f"up{levels - level}.model.0"
    renamed = rename(tensors, layers)
    width, channels_in = renamed["down.0.0.weight"].shape[:2]
    options = {
        "channels_in": channels_in,
        "channels_out": len(renamed["up.0.3.weight"]),
        "width": width,
        "image_size": 2**levels,
        "norm": "instance",
        "latent": 0,
        "variant": "pytorch-gan",
    }
    renamed = _skips_first(renamed, levels - 1)
    return Found(PYTORCH_GAN, UnetGenerator, options, renamed)


def _skips_first(tensors: Tensors, innermost: int) -> Tensors:
    """Exchange what comes from below and what skips, which they join in the other order."""
    tensors = dict(tensors)
    for level in range(innermost):
        for key, axis in ((f"up.{level}.1.weight", 0), (f"up.{level}.3.weight", 1)):
            if key in tensors:
                tensors[key] = torch.cat(tensors[key].chunk(2, axis)[::-1], axis)
    return tensors


def _dcgan(tensors: Tensors) -> Found | None:
    matches = {key: re.fullmatch(r"(?:[a-z]+\.)?(\d+)\.(\w+)", key) for key in tensors}
    renamed = {
        f"layers.{match[1]}.{match[2]}": tensors[key] for key, match in matches.items() if match
    }
    places = [int(key.split(".")[1]) for key, value in renamed.items() if value.ndim == 4]
    if len(renamed) != len(tensors):
        return None
    last = renamed[f"layers.{max(places)}.weight"]
    options = {
        "latent": len(renamed["layers.0.weight"]),
        "channels": last.shape[1],
        "width": len(last),
        "image_size": 2 ** (len(places) + 1),
        "upsample": "transpose",
    }
    return Found(DCGAN, DcganGenerator, options, renamed)


def _pytorch_gan_dcgan(tensors: Tensors) -> Found | None:
    # The list of layers was called conv_model at first.
    name = "conv_blocks" if "conv_blocks.0.weight" in tensors else "conv_model"
    layers = {"layers.0.0": "l1.0", "layers.1": f"{name}.0", "layers.10": f"{name}.9"}
    for place in (2, 3, 6, 7):
        layers[f"layers.{place + 1}"] = f"{name}.{place}"
    renamed = rename(tensors, layers)
    rows, latent = renamed["layers.0.0.weight"].shape
    channels, width = renamed["layers.10.weight"].shape[:2]
    options = {
        "latent": latent,
        "channels": channels,
        "width": width,
        "image_size": 4 * isqrt(rows // (2 * width)),
        "upsample": "resize",
    }
    return Found(PYTORCH_GAN, DcganGenerator, options, renamed)


def _encoder(tensors: Tensors) -> Found | None:
    layers = {"layers.0": "conv.0", "mean": "fc.0", "log_variance": "fcVar.0"}
    residual = "conv.1.conv.2.weight" in tensors
    levels = 1
    while convolves(tensors, f"conv.{levels}.conv.2" if residual else f"conv.{3 * levels - 1}"):
        ours = f"layers.{levels}"
        if residual:
            layers |= {
                f"{ours}.body.2": f"conv.{levels}.conv.2",
                f"{ours}.body.5": f"conv.{levels}.conv.5.0",
                f"{ours}.shortcut": f"conv.{levels}.shortcut.1",
            }
        else:
            layers[f"{ours}.1"] = f"conv.{3 * levels - 1}"
        levels += 1
    width, channels = tensors["conv.0.weight"].shape[:2]
    options = {
        "channels": channels,
        "latent": len(tensors["fc.0.weight"]),
        "width": width,
        "levels": levels,
        "kind": "resnet" if residual else "doubling",
    }
    return Found(BICYCLEGAN, LatentEncoder, options, rename(tensors, layers))
