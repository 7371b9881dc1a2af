"""What `feast apply` registers: the Feast objects of the data set that params.yaml names.

Feast collects module-level objects, so each becomes a global of this module.
"""

from __future__ import annotations

import os
from pathlib import Path

from features.compile.feast import compile_feast
from features.home import catalog_of

_home = Path(os.environ.get("GATEHOUSE_HOME") or Path(__file__).resolve().parents[1]).resolve()
_catalog = catalog_of(_home)

globals().update(
    {
        f"{type(_object).__name__}_{_object.name}": _object
        for _object in compile_feast(_catalog, _home / "lake" / _catalog.dataset)
    }
)
