"""Checkpoints for junyanz/pytorch-CycleGAN-and-pix2pix: their names of our layers."""

from pathlib import Path

import torch
from torch import nn

from cyclegan.errors import UserError
from cyclegan.models import FAMILIES
from cyclegan.networks import ResnetGenerator, UnetGenerator
from cyclegan.weights import Weights


class CounterpartError(UserError):
    """A network that the other code base does not have."""


def write_checkpoints(weights: Weights, folder: Path) -> dict[str, tuple[Path, str]]:
    """Write latest_net_G_A.pth (A to B) and latest_net_G_B.pth, or latest_net_G.pth for one way.

    Returns, for each network, its file and the flags that build it over there.

    Raises CounterpartError, naming the option, before anything is written.
    """
    family = FAMILIES[weights.config.model]
    channels = family.channels(weights.settings)
    layers = {name: _layers(name, network) for name, network in weights.networks.items()}
    written = {}
    for name, network in weights.networks.items():
        # Their names end in the domain that the images come from, ours in both.
        source, target = name.removeprefix("generator_")
        both = len(family.translators) > 1
        path = folder / f"latest_net_G{f'_{source.upper()}' if both else ''}.pth"
        state = {}
        for key, value in network.state_dict().items():
            layer, _, parameter = key.rpartition(".")
            state[f"{layers[name][layer]}.{parameter}"] = value.detach().clone()
        torch.save(state, path)
        batch = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        flags = (
            f"--netG {layers[name]['']} --norm {'batch --eval' if batch else 'instance'} "
            f"--ngf {weights.settings.width} --no_dropout "
            f"--input_nc {channels[source]} --output_nc {channels[target]}"
        )
        written[name] = (path, flags)
    return written


def _layers(name: str, network: nn.Module) -> dict[str, str]:
    """Their name of every layer of ours that has parameters; under "", that of the network."""
    norms = [module for module in network.modules() if isinstance(module, nn.InstanceNorm2d)]
    if any(norm.affine for norm in norms):
        raise _refusal(name, "norm is affine, and it knows only instance and batch")
    if isinstance(network, ResnetGenerator):
        return _resnet(name, network)
    if isinstance(network, UnetGenerator):
        return _unet(name, network)
    raise _refusal(name, f"it is a {type(network).__name__}, not a ResNet or U-Net that translates")


def _resnet(name: str, network: ResnetGenerator) -> dict[str, str]:
    blocks = len(network.blocks)
    if blocks not in (6, 9):
        raise _refusal(name, f"blocks is {blocks}, and it knows 6 and 9")
    if network.attention is not None:
        raise _refusal(name, "it has attention, which is not known there")
    for layer in network.up:
        first = next(layer.children())
        if isinstance(first, nn.Upsample):
            upsample = "resize" if first.mode == "nearest" else first.mode
            raise _refusal(name, f"upsample is {upsample}, and it knows only transpose")
    for layer in network.down:
        first = next(layer.children())
        assert isinstance(first, nn.Conv2d)
        if first.padding_mode != "zeros":
            raise _refusal(name, f"padding is {first.padding_mode}, and it knows only zeros")
        if first.stride == (1, 1):
            raise _refusal(name, "downsample is blur, and it knows only stride")
    # Of each convolution; its norm comes right after it, here as there.
    places = [("stem", 0, "model", 1), ("down.0", 0, "model", 4), ("down.1", 0, "model", 7)]
    for block in range(blocks):
        ours, theirs = f"blocks.{block}.body", f"model.{10 + block}.conv_block"
        places += [(ours, 0, theirs, 1), (ours, 3, theirs, 5)]
    places += [("up.0", 0, "model", 10 + blocks), ("up.1", 0, "model", 13 + blocks)]
    layers = {"": f"resnet_{blocks}blocks", "head.0": f"model.{17 + blocks}"}
    for ours, at, theirs, there in places:
        layers |= {f"{ours}.{at + step}": f"{theirs}.{there + step}" for step in (0, 1)}
    return layers


def _unet(name: str, network: UnetGenerator) -> dict[str, str]:
    if network.latent:
        raise _refusal(name, f"latent is {network.latent}, and none of its generators takes a z")
    if network.multiple not in (128, 256):
        raise _refusal(name, f"image_size is {network.multiple}, and it knows 128 and 256")
    if network.variant != "paper":
        raise _refusal(name, f"unet is {network.variant}, and it knows only that of the paper")
    innermost = len(network.down) - 1
    layers, place = {"": f"unet_{network.multiple}"}, "model.model"
    # Theirs are nested: each level holds the next one, between its way down and its way up.
    for level in range(innermost + 1):
        up = 3 if level in (0, innermost) else 5
        if level:
            layers |= {f"down.{level}.{at}": f"{place}.{at}" for at in (1, 2)}
            layers |= {f"up.{level}.{at}": f"{place}.{up + at - 1}" for at in (1, 2)}
        else:
            layers |= {"down.0.0": f"{place}.0", "up.0.1": f"{place}.{up}"}
        place += ".3.model" if level else ".1.model"
    return layers


def _refusal(name: str, why: str) -> CounterpartError:
    return CounterpartError(
        f"pytorch-CycleGAN-and-pix2pix has no network like {name}: {why}; choose --format onnx or "
        "torchscript."
    )
