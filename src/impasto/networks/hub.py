"""Files from the Hugging Face hub, fetched once and cached: the only room that goes on the network.

huggingface-hub is the extra `hub`.
"""

import hashlib
import re
from pathlib import Path

from impasto.errors import WeightsError

__all__ = ["fetch"]


def fetch(repository: str, file: str, revision: str | None = None) -> Path:
    """The path of `file` of `repository` (`user/name`) in the cache.

    Raises `WeightsError` where it is neither there nor to be had, does not hold what the hub says
    it holds, or the extra is missing.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError:
        raise WeightsError(
            "files of the hub need huggingface-hub; install the extra: pip install 'impasto[hub]'"
        ) from None
    try:
        path = Path(hf_hub_download(repository, file, revision=revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
        raise WeightsError(
            f"cannot fetch {file} of {repository}: no network, no such file, and no copy in the cache"
        ) from None
    # The hub keeps large files under the SHA-256 of their content, which makes the name a checksum.
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        with blob.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != blob.name:
                raise WeightsError(f"{file} in the cache is damaged; delete {path} and try again")
    return path
