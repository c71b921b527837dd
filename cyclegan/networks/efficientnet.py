"""EfficientNet-Lite0 (Tan and Le 2019), as trained on ImageNet and frozen: what others look at."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((1, 1, 16), (2, 2, 24), (2, 2, 40), (3, 2, 80), (3, 1, 112), (4, 2, 192), (1, 1, 320))
"""How many blocks each has, by what the first one divides the size, and the channels."""
SEEN_AFTER = (1, 2, 4, 6)
"""The stages whose outputs are looked at: the last ones at strides of 4, 8, 16 and 32 pixels."""
CHANNELS = tuple(STAGES[stage][-1] for stage in SEEN_AFTER)
EPSILON = 1e-3


class FrozenConvolution(nn.Module):
    """A convolution and its batch norm in one, padded as TensorFlow pads, which never trains.

    Its numbers are buffers, so no optimiser finds them, and not persistent, so no checkpoint holds
    them: they are those of the published file.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, state: Mapping[str, Tensor], convolution: str, norm: str, stride: int = 1):
        super().__init__()
        weight = state[f"{convolution}.weight"].float()
        spread = (state[f"{norm}.running_var"] + EPSILON).sqrt()
        scale = state[f"{norm}.weight"] / spread
        shift = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        self.register_buffer("weight", weight * scale[:, None, None, None], persistent=False)
        self.register_buffer("bias", shift, persistent=False)
        self.stride, self.kernel = stride, weight.shape[-1]
        self.depthwise = weight.shape[1] == 1

    def forward(self, x: Tensor) -> Tensor:
        # TensorFlow pads only as much as the last step needs, the odd pixel right and below.
        pads = [
            max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
            for size in (x.shape[3], x.shape[2])
        ]
        if any(pads):
            x = F.pad(x, [edge for pad in pads for edge in (pad // 2, pad - pad // 2)])
        groups = x.shape[1] if self.depthwise else 1
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=groups)


class InvertedResidual(nn.Module):
    """Widen, filter every channel alone, narrow (Sandler et al. 2018)."""

    def __init__(self, state: Mapping[str, Tensor], name: str, stride: int):
        super().__init__()
        widens = f"{name}._expand_conv.weight" in state
        self.expand = (
            FrozenConvolution(state, f"{name}._expand_conv", f"{name}._bn0") if widens else None
        )
        self.depthwise = FrozenConvolution(state, f"{name}._depthwise_conv", f"{name}._bn1", stride)
        self.project = FrozenConvolution(state, f"{name}._project_conv", f"{name}._bn2")

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        narrow = self.project(F.relu6(self.depthwise(wide)))
        return x + narrow if x.shape == narrow.shape else narrow


class EfficientNetLite(nn.Module):
    """The features of EfficientNet-Lite0 at four scales.

    Args:
        state: the state dict of the published weights.

    Forward: [N, 3, H, W] in [-1, 1] to four features [N, c, h, w] with `CHANNELS`, at strides of 4,
    8, 16 and 32 pixels. Gradients pass through to the images.

    Raises KeyError when `state` is of another network.
    """

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        self.stem = FrozenConvolution(state, "_conv_stem", "_bn0", 2)
        self.stages, index = nn.ModuleList(), 0
        for count, stride, _ in STAGES:
            blocks = []
            for step in (stride, *[1] * (count - 1)):
                blocks.append(InvertedResidual(state, f"_blocks.{index}", step))
                index += 1
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu6(self.stem(x))
        seen = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in SEEN_AFTER:
                seen.append(x)
        return seen


class EfficientNetLiteClasses(nn.Module):
    """What EfficientNet-Lite0 takes each place of a picture for.

    Forward: [N, 3, H, W] in [-1, 1] to the logits of ImageNet's classes, [N, 1000, h, w], at a
    stride of 32 pixels; their mean over all places is what the published network says of the whole.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, state: Mapping[str, Tensor]):
        super().__init__()
        self.features = EfficientNetLite(state)
        self.head = FrozenConvolution(state, "_conv_head", "_bn1")
        self.register_buffer("weight", state["_fc.weight"][:, :, None, None], persistent=False)
        self.register_buffer("bias", state["_fc.bias"], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.relu6(self.head(self.features(x)[-1])), self.weight, self.bias)
