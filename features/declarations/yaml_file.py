"""YAML files that people write: read as plain data, and whatever is wrong with one is said in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from features.declarations.errors import GatehouseError


def read_yaml(path: Path, error: type[GatehouseError]) -> Any:
    """What `path` holds: mappings, lists, text, numbers and dates, never an object of another class.

    Raises:
        FileNotFoundError: there is no such file; the caller knows where one is to be had.
        GatehouseError: of the class `error`; the file cannot be read, or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as reason:
        raise error(f"{path} cannot be read: {reason.strerror}") from reason
    except RecursionError:
        raise error(f"{path} is not valid YAML: it is nested too deeply") from None
    # Of a date like 2022-02-30 and a number like 0x_ PyYAML says ValueError, of text that is no UTF-8 too.
    except (yaml.YAMLError, ValueError, OverflowError) as reason:
        raise error(f"{path} is not valid YAML: {' '.join(str(reason).split())}") from reason
