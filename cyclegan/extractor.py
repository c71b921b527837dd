"""The network in whose features FID and KID compare pictures."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclegan.errors import UserError
from cyclegan.images import to_bytes

INCEPTION = "inception-v3-compat"
"""What torch-fidelity calls the one extractor whose distances are called FID."""


class EvaluationError(UserError):
    """FID and KID cannot be had: no package, no such extractor, or too few photos."""


class DownloadError(EvaluationError):
    """The Inception weights cannot be downloaded, now."""


@dataclass(frozen=True)
class Extractor:
    """A network that turns pictures into features, what to call it and where it is from."""

    name: str
    source: str
    protocol: str
    network: Callable[[Tensor], Any]

    def __call__(self, images: Tensor) -> Tensor:
        """Turn [N, 1 or 3, H, W] in [-1, 1] into float32 [N, D] on the CPU, D being 2 or more.

        Raises EvaluationError when that is not what the network gives.
        """
        pixels = to_bytes(images)
        if pixels.shape[1] == 1:
            pixels = pixels.repeat(1, 3, 1, 1)
        features = self.network(pixels)
        got = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        if not isinstance(got, list) or len(got) != 2 or got[0] != len(images) or got[1] < 2:
            raise EvaluationError(
                f"The feature extractor {self.source} must give [N, D], D being 2 or more; for "
                f"{len(images)} images it gives {got}."
            )
        features = features.float().cpu()
        if not torch.isfinite(features).all():
            raise EvaluationError(f"The feature extractor {self.source} gives infinite features.")
        return features


def load_extractor(path: Path | None, image_size: int, device: torch.device) -> Extractor:
    """Load what FID and KID compare pictures in, and try it on black ones of `image_size` pixels.

    A file holds the Inception weights that torch-fidelity downloads (None: download them, once), or
    any network as TorchScript that takes uint8 images [N, 3, H, W] and gives features [N, D]; one
    whose `forward` knows `return_features`, as NVIDIA's do, is called with True. TorchScript is a
    program: it cannot run Python, but take it only from where you would take one.

    Raises EvaluationError, naming the file, when it is neither; DownloadError.
    """
    try:
        import torch_fidelity  # noqa: F401
    except ImportError:
        raise EvaluationError(
            "FID and KID need a package: pip install 'torch-fidelity>=0.4,<0.5'."
        ) from None
    if path is None:
        extractor = _inception(_download(), INCEPTION, device)
    elif _is_torchscript(path):
        extractor = _torchscript(path, device)
    else:
        extractor = _inception(_read_state(path), str(path), device)
    try:
        extractor(torch.full((2, 3, image_size, image_size), -1.0, device=device))
    except RuntimeError as error:
        # TorchScript puts its own stack above the cause.
        reason = str(error).strip().splitlines()[-1]
        raise EvaluationError(
            f"The feature extractor {extractor.source} does not take images of {image_size} pixels "
            f"as uint8 [N, 3, H, W]: {reason}"
        ) from None
    if path is None:
        return extractor
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return replace(
        extractor, protocol=f"{extractor.protocol}, from {path.name} (SHA-256 {digest}…)"
    )


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
    except OSError as error:
        reason = error.strerror
        raise EvaluationError(f"The feature extractor {path} cannot be read ({reason}).") from None


def _torchscript(path: Path, device: torch.device) -> Extractor:
    try:
        network = torch.jit.load(path, map_location=device).eval()
        arguments: Sequence[Any] = network.forward.schema.arguments
    except Exception as error:
        # A damaged archive fails with RuntimeError, an empty one with AttributeError, and so on.
        raise _unusable(str(path)) from error
    convention = {a.name: True for a in arguments if a.name == "return_features"}
    return Extractor(
        # A file may be called anything, but only one network gives what is called FID.
        path.stem if path.stem != INCEPTION else f"{INCEPTION} (TorchScript)",
        str(path),
        "features of a TorchScript network fed at that size",
        lambda pixels: network(pixels, **convention),
    )


def _read_state(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch.load raises nearly anything on what it did not write.
        raise _unusable(str(path)) from error


def _download() -> Any:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    try:
        # As torch-fidelity does it, to the same place, but checked and without running code.
        return torch.hub.load_state_dict_from_url(
            URL_INCEPTION_V3,
            map_location="cpu",
            progress=False,
            check_hash=True,
            weights_only=True,
        )
    except Exception as error:
        # The network and a damaged file raise nearly anything.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DownloadError(
            f"The Inception weights for FID and KID cannot be downloaded from {URL_INCEPTION_V3} "
            f"({reason}); give --feature-extractor PATH: those weights, fetched elsewhere, "
            "or any network as TorchScript."
        ) from None


def _inception(state: Any, source: str, device: torch.device) -> Extractor:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # The library would unpickle the file and run what is in it; it gets a copy of plain tensors.
    copy = io.BytesIO()
    torch.save(state, copy)
    copy.seek(0)
    try:
        network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=copy
        )
    except Exception as error:
        raise _unusable(source) from error
    network.to(device)
    size = network.INPUT_IMAGE_SIZE
    return Extractor(
        INCEPTION,
        source,
        f"features of Inception ({INCEPTION}), which resizes to {size}×{size} by itself",
        lambda pixels: network(pixels)[0],
    )


def _unusable(source: str) -> EvaluationError:
    return EvaluationError(
        f"The feature extractor {source} is neither TorchScript nor the Inception weights of "
        "torch-fidelity, or it is damaged; fetch it again or choose another file."
    )
