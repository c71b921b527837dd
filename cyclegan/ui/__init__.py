"""The page. `serve` opens it; everything else is its parts, one file a tab."""

import contextlib
import os

# Both are read while gradio and huggingface_hub are being imported. Without them every start asks
# the outside world for something, and waits where there is no network.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# On a ZeroGPU Space this replaces parts of torch, so it has to come before torch.
with contextlib.suppress(ImportError):
    import spaces  # noqa: F401  # type: ignore[import-not-found]

from cyclegan.ui.app import build, serve

__all__ = ["build", "serve"]
