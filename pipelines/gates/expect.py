"""Great Expectations as the gates use it: run suites on frames, find rows at fault, write Data Docs."""

from __future__ import annotations

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path

import great_expectations as gx
import pandas as pd
from great_expectations import expectations as gxe
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

from features.compile.expectations import Expectation
from pipelines.errors import GateError

logging.getLogger("great_expectations").setLevel(logging.ERROR)


class Expectations:
    """One run of a gate: its results replace those of the gate's run before.

    Args:
        store: folder that keeps suites and results from run to run.
        site: folder that Data Docs are written to.
        gate: "events", "features" or "training"; suites are named GATE.TABLE.LEVEL.
    """

    def __init__(self, store: Path, site: Path, gate: str) -> None:
        for kept in ("expectations", "validations"):
            shutil.rmtree(store / kept / gate, ignore_errors=True)
        self._site = site
        self._context = gx.get_context(mode="ephemeral", project_config=_config(store, site))
        self._source = self._context.data_sources.add_pandas("lake")
        self._run_time = datetime.now(UTC)

    def unmet(self, suite: gx.ExpectationSuite, frame: pd.DataFrame, title: str) -> list[Expectation]:
        """Validate a frame; the expectations it does not meet, in the order of the suite.

        An expectation of a column's extremes says nothing of a column without a single value, so
        it is left out for such a column. `title`, without dots, names the run in Data Docs; a suite
        runs once under a title.
        """
        applicable = [expectation for expectation in suite.expectations if _applies(expectation, frame)]
        name = f"{suite.name}.{title}"
        # `add`, never `add_or_update`: the latter compares every expectation with every other.
        stored = self._context.suites.add(gx.ExpectationSuite(name=name, expectations=applicable))
        validation = self._context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=self._data(suite.name), suite=stored)
        )
        result = validation.run(
            batch_parameters={"dataframe": frame},
            result_format="SUMMARY",
            run_id=gx.RunIdentifier(run_name=title, run_time=self._run_time),
        )
        failed = {check.expectation_config.id for check in result.results if not check.success}
        return [expectation for expectation in stored.expectations if expectation.id in failed]

    def rows_at_fault(self, expectation: Expectation, frame: pd.DataFrame) -> list[int]:
        """Positions of the rows because of which a frame does not meet a row-level expectation.

        Raises:
            GateError: there are none, so the expectation could not be checked at all.
        """
        batch = self._data("rows_at_fault").get_batch(batch_parameters={"dataframe": frame})
        result = batch.validate(expectation, result_format="COMPLETE")
        positions = result.result.get("unexpected_index_list")
        if not positions:
            raise GateError(f"cannot tell which rows do not meet {expectation}: {result.exception_info}")
        return [int(position) for position in positions]

    def write_docs(self) -> Path:
        """Write Data Docs of every gate's last run; returns their index page."""
        shutil.rmtree(self._site, ignore_errors=True)
        self._context.build_data_docs()
        return self._site / "index.html"

    def _data(self, name: str) -> BatchDefinition:
        assets = {asset.name: asset for asset in self._source.assets}
        asset = assets.get(name) or self._source.add_dataframe_asset(name)
        definitions = asset.batch_definitions
        return definitions[0] if definitions else asset.add_batch_definition_whole_dataframe("rows")


def _applies(expectation: Expectation, frame: pd.DataFrame) -> bool:
    extremes = isinstance(expectation, gxe.ExpectColumnMinToBeBetween | gxe.ExpectColumnMaxToBeBetween)
    return not (extremes and frame[expectation.column].isna().all())


def _config(store: Path, site: Path) -> DataContextConfig:
    """Suites and results in files, so that Data Docs show every gate; the rest lasts for one run."""

    def files(folder: Path) -> dict[str, str]:
        return {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder),
            "filepath_suffix": ".json",
        }

    defaults = InMemoryStoreBackendDefaults()
    defaults.stores |= {
        defaults.expectations_store_name: {
            "class_name": "ExpectationsStore",
            "store_backend": files(store / "expectations"),
        },
        defaults.validation_results_store_name: {
            "class_name": "ValidationResultsStore",
            "store_backend": files(store / "validations"),
        },
    }
    return DataContextConfig(
        store_backend_defaults=defaults,
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        data_docs_sites={
            "gates": {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(site),
                },
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                # A result's page shows its expectations; pages of the bare suites would double the time.
                "site_section_builders": {"expectations": "none", "profiling": "none"},
            }
        },
    )
