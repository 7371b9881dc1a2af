from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.settings import CHECKOUT

CHECKS = "typeguard"  # what a function that typeguard checks has come to name
QUICKEN = ("from features.quick_feast import quicken_feast", "quicken_feast()")


def run(*program: str, folder: Path) -> list[str]:
    """Run a program in a process of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)],
        env={"PYTHONPATH": f"{CHECKOUT}:{folder}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_feasts_classes_are_checked_when_nothing_is_done_about_it(tmp_path: Path) -> None:
    printed = run(
        "import feast", f"print({CHECKS!r} in feast.Entity.__init__.__code__.co_names)", folder=tmp_path
    )
    assert printed == ["True"]


@pytest.mark.slow
def test_feast_is_imported_without_checks_and_torch_and_gets_torch_when_it_asks(tmp_path: Path) -> None:
    printed = run(
        *QUICKEN,
        "import sys, feast, feast.online_response",
        f"print({CHECKS!r} in feast.Entity.__init__.__code__.co_names, 'torch' in sys.modules)",
        "print(feast.online_response.get_torch().__name__)",
        folder=tmp_path,
    )
    assert printed == ["False", "False", "torch"]


def test_what_others_have_checked_stays_checked(tmp_path: Path) -> None:
    decorators = ("@typeguard.typechecked", "@typeguard.typechecked()")
    functions = (f"{decorator}\ndef f{n}(x: int) -> None: ..." for n, decorator in enumerate(decorators))
    (tmp_path / "others.py").write_text("\n".join(["import typeguard", *functions]))
    printed = run(
        *QUICKEN,
        "import others, typeguard",
        "for f in (others.f0, others.f1):",
        "    try: f('text')",
        "    except typeguard.TypeCheckError: print('refused')",
        folder=tmp_path,
    )
    assert printed == ["refused", "refused"]
