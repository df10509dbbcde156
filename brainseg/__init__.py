"""Which normalisation, which loss, how long: U-Net experiments on brain-tumour MRI."""

import os
from importlib.metadata import version

# albumentations asks the network for its newest version at import unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = version("brainseg")
