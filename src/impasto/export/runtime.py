"""ONNX Runtime for browsers: the files a page needs, from the npm package `onnxruntime-web`.

The package is taken from the registry that npm is set to, and only as the one version whose
checksum stands here; or its files come from a folder.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

from impasto.errors import ImpastoError, InputError

__all__ = ["FILES", "INTEGRITY", "VERSION", "download", "registry", "runtime_files"]

VERSION = "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package's archive, as the registry says it (`npm view onnxruntime-web dist.integrity`)."""

# With WebAssembly only, and with WebGPU, whose WebAssembly is twice as large; a browser loads one.
_BUILDS = (
    *("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
    *("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs"),
    "ort-wasm-simd-threaded.asyncify.wasm",
)
FILES: Mapping[str, str] = {name: f"dist/{name}" for name in _BUILDS} | {
    "package.json": "package.json"  # says its version and its licence
}
"""Name: where it stands in the package."""

_PATIENCE = 30  # seconds without an answer


def runtime_files(folder: Path | None = None) -> dict[str, bytes]:
    """The `FILES`, from an unpacked package (`node_modules/onnxruntime-web`), or downloaded.

    `InputError` where a file is missing in the folder; `ImpastoError` where the download fails or
    is not what it should be.
    """
    if folder is None:
        return _unpacked(download())
    missing = [place for place in FILES.values() if not (folder / place).is_file()]
    if missing:
        raise InputError(
            f"{folder} has no {missing[0]}; `runtime` is the folder of an unpacked npm package, such "
            "as node_modules/onnxruntime-web"
        )
    try:
        return {name: (folder / place).read_bytes() for name, place in FILES.items()}
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror})") from error


def registry() -> str:
    """The address of the npm registry: `NPM_CONFIG_REGISTRY`, or what npm says, or npm's own."""
    for name, value in os.environ.items():
        if name.lower() == "npm_config_registry" and value:
            return value.rstrip("/")
    npm = shutil.which("npm")
    said = ""
    if npm is not None:
        asked = [npm, "config", "get", "registry"]
        try:
            done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
            said = done.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            said = ""
    return (said if said.startswith("http") else "https://registry.npmjs.org").rstrip("/")


def download() -> bytes:
    """The archive of the package, 33 MB, checked; see `runtime_files`."""
    address = f"{registry()}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
    if not address.startswith(("https://", "http://")):
        raise InputError(f"the npm registry {address} is no web address; mend NPM_CONFIG_REGISTRY")
    try:
        with urlopen(address, timeout=_PATIENCE) as answer:
            archive: bytes = answer.read()
    except (OSError, HTTPException, ValueError) as error:
        raise ImpastoError(
            f"{address} cannot be had ({error}); give `runtime`, the folder of an unpacked npm "
            f"package onnxruntime-web {VERSION}"
        ) from error
    _check(archive, address)
    return archive


def _check(archive: bytes, address: str) -> None:
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode("ascii")
    if f"sha512-{digest}" != INTEGRITY:
        raise ImpastoError(f"{address} is not the package it should be; nothing of it was kept")


def _unpacked(archive: bytes) -> dict[str, bytes]:
    places = {f"package/{place}": name for name, place in FILES.items()}
    found = {}
    with tarfile.open(fileobj=BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            name = places.get(member.name)
            file = tar.extractfile(member) if name is not None else None
            if name is not None and file is not None:
                found[name] = file.read()
    return found
