"""A home for somebody's own log: its mapping, its users and items, and an empty folder for the days."""

from __future__ import annotations

from pathlib import Path

import yaml

from pipelines.days import Days
from pipelines.settings import Settings
from tests.chaos.bad_data.days import MAPPING
from tests.homes import make_home


def make_own_home(folder: Path, days: Days) -> Settings:
    """Make the home in `folder`; params.yaml asks for `days`."""
    section = {
        "days": {"start": str(days.start), "end": str(days.end)},
        "split": {"train": 1, "validation": 1, "test": 1},
        "mapping": "mapping.yaml",
    }
    home = make_home(folder, "custom", datasets={"custom": section})
    (home / "mapping.yaml").write_text(yaml.safe_dump(MAPPING), encoding="utf-8")
    users = [f"user {number},{'no' if number % 2 else 'se'},{20 + number}" for number in range(20)]
    (home / "users.csv").write_text("\n".join(["uid,country,age", *users]) + "\n", encoding="utf-8")
    items = [f"sku-{number},{number}.5" for number in range(12)]
    (home / "items.csv").write_text("\n".join(["sku,price", *items]) + "\n", encoding="utf-8")
    (home / "log").mkdir()
    return Settings(home=home)
