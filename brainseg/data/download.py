"""A data set from Kaggle, where nobody has put it on the disk."""

from pathlib import Path
from textwrap import shorten

from brainseg.files import only_one

REMEDY = "set data.root=PATH or BRAINSEG_DATA, let this machine reach Kaggle, or use data=phantom"


def download(handle: str, name: str) -> Path:
    """The folder that Kaggle's archive was unpacked into, now or before.

    Args:
        handle: `owner/dataset/versions/N`: without its version, kagglehub asks Kaggle even where
            the data are in its cache.
        name: of the data set, for the lock and for messages.

    Raises:
        FileNotFoundError: Kaggle could not be reached, in one line.
    """
    import kagglehub  # here: a path on disk does not need the 0.4 s

    cache = Path(kagglehub.config.get_cache_folder())
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # kagglehub has no lock of its own
        with only_one(cache / f"brainseg-{name}.lock", f"the {name} scans are being downloaded"):
            return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub's own, requests' and the disk's
        reason = shorten(str(error) or type(error).__name__, 120, placeholder=" ...")
        rule = f"the scans could not be downloaded from Kaggle ({reason})"
        raise FileNotFoundError(f"data.root=null; {rule}; {REMEDY}") from error
