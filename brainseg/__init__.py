"""Which normalisation, which loss, how long: U-Net experiments on brain-tumour MRI."""

import os
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

# albumentations asks the network for its newest version at import unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

if TYPE_CHECKING:
    from brainseg.api import LGG, Segmentation, Segmenter, UNet, load

__all__ = ["LGG", "Segmentation", "Segmenter", "UNet", "load"]
__version__ = version("brainseg")


def __getattr__(name: str) -> Any:
    """Import what is used when it is used: `import brainseg` alone brings no torch."""
    if name in __all__:
        return getattr(import_module("brainseg.api"), name)
    raise AttributeError(f"module 'brainseg' has no attribute {name!r}")
