"""Programs that check infrastructure: of .tools (`make infra-tools`) or the PATH, else tests are skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.settings import CHECKOUT

INFRA = CHECKOUT / "infra"
_TOOLS = CHECKOUT / ".tools"


def run(program: str, *arguments: str | Path, **environment: str) -> str:
    """What a program prints; the test fails if it does, and is skipped where there is no such program."""
    found = shutil.which(program, path=f"{_TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"no {program} here; `make infra-tools` fetches it")
    return _checked([found, *map(str, arguments)], os.environ | environment)


def validate_kubernetes(manifests: Path) -> None:
    """Hold manifests to the schemas of Kubernetes' own objects."""
    if not (_TOOLS / "python" / "kubernetes_validate").is_dir():
        pytest.skip("no kubernetes-validate here; `make infra-tools` fetches it")
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", "-k", "1.33", str(manifests)]
    _checked(command, os.environ | {"PYTHONPATH": str(_TOOLS / "python")})


def _checked(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
