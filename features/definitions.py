"""What `feast apply` registers: the Feast objects of the data set that params.yaml names.

Feast collects module-level objects, so each becomes a global of this module.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from features.compile.feast import compile_feast
from features.declarations.catalogs import find_catalog

_home = Path(os.environ.get("GATEHOUSE_HOME") or Path(__file__).resolve().parents[1]).resolve()
_params = yaml.safe_load((_home / "params.yaml").read_text(encoding="utf-8"))
_dataset = _params["dataset"]
_mapping = _params["datasets"][_dataset].get("mapping")
_catalog = find_catalog(_dataset, _home / _mapping if _mapping else None)

globals().update(
    {
        f"{type(_object).__name__}_{_object.name}": _object
        for _object in compile_feast(_catalog, _home / "lake" / _dataset)
    }
)
