"""Files from the Hugging Face hub, fetched once and cached: the only room that goes on the network.

huggingface-hub is the extra `hub`.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from impasto.errors import WeightsError

__all__ = ["fetch"]


def fetch(repository: str, file: str, revision: str | None = None) -> Path:
    """The path of `file` of `repository` (`user/name`) in the cache.

    `revision`: a branch, a tag or a commit of the repository; its main branch if not given. Raises
    `WeightsError` where the file is neither there nor to be had, does not hold what the hub says it
    holds, or the extra is missing.
    """
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ValueError as error:  # which it reads from its variables, HF_…
        raise WeightsError(
            f"huggingface-hub cannot be used here ({error}); check its variables"
        ) from None
    except ImportError:
        raise WeightsError(
            "files of the hub need huggingface-hub; install the extra: pip install 'impasto[hub]'"
        ) from None
    try:
        try:
            path = Path(hf_hub_download(repository, file, revision=revision, local_files_only=True))
        except LocalEntryNotFoundError:
            # Asked once before it is fetched: the download tries again and again, half a minute.
            url = hf_hub_url(repository, file, revision=revision)
            _within(_patience(), lambda: get_hf_file_metadata(url))
            path = Path(hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # of whatever HTTP library the hub's client uses
        raise WeightsError(
            f"cannot fetch {file} of {repository}: {_reason(error, revision)}"
        ) from None
    # The hub keeps large files under the SHA-256 of their content, which makes the name a checksum.
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        with blob.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != blob.name:
                raise WeightsError(f"{file} in the cache is damaged; delete {path} and try again")
    return path


def _reason(error: Exception, revision: str | None) -> str:
    from huggingface_hub.errors import (
        EntryNotFoundError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such repository, or it is private; check the spelling"
    if isinstance(error, RevisionNotFoundError):
        return f"the repository has no revision {revision}; check the spelling"
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return "the repository has no such file; check the spelling"
    return "no network, or it broke off, and there is no copy in the cache; try again"


def _patience() -> float:
    """Seconds to wait for the hub's first answer; the hub's own variable says otherwise."""
    return float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or 2.5)  # a number: the hub has read it


def _within(seconds: float, ask: Callable[[], object]) -> None:
    """Whatever `ask` raises, and `TimeoutError` where it takes longer, looking up a name included."""
    raised: list[BaseException] = [TimeoutError()]

    def answer() -> None:
        try:
            ask()
        except Exception as error:
            raised[0] = error
        else:
            raised.clear()

    asking = Thread(target=answer, daemon=True)
    asking.start()
    asking.join(seconds)
    if raised:
        raise raised[0]
