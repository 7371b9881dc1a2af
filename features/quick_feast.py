"""Lets a process import Feast sooner: most of its time goes into what no command here uses.

Feast has the arguments of its classes checked by typeguard, which parses and compiles their source anew in
every process: seconds, each time. And it imports PyTorch for the sake of `to_tensor`. A command that reads
features wants neither: its own arguments are checked by mypy, and PyTorch can wait for its first use.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def quicken_feast() -> None:
    """Keep typeguard off Feast's own classes, and PyTorch out until `to_tensor` asks for it.

    To be called before Feast is imported, by programs only: it holds for the whole process. What others have
    checked by typeguard stays checked.
    """
    import typeguard

    checked = typeguard.typechecked

    def typechecked(target: Any = None, **options: Any) -> Any:
        if target is None:
            return checked(**options)
        return target if target.__module__.partition(".")[0] == "feast" else checked(target, **options)

    typeguard.typechecked = typechecked
    torch_wrapper: Any = ModuleType("feast.torch_wrapper")
    torch_wrapper.get_torch = lambda: importlib.import_module("torch")
    sys.modules.setdefault(torch_wrapper.__name__, torch_wrapper)
