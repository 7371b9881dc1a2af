"""Report: one self-contained page on a run, for whoever wants to know what came in, what came out and why."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from pipelines.files import write_whole
from pipelines.observing.console import stage
from pipelines.reporting.consistency import consistency
from pipelines.reporting.curves import curves
from pipelines.reporting.declared import declared
from pipelines.reporting.drift import drift
from pipelines.reporting.head import facts, verdict
from pipelines.reporting.health import health
from pipelines.reporting.inside import inside
from pipelines.reporting.lineage import lineage
from pipelines.reporting.metrics import metrics
from pipelines.reporting.page import Head, render
from pipelines.reporting.promotion import promotion
from pipelines.reporting.validation import validation
from pipelines.reporting.words import day
from pipelines.settings import Settings

SECTIONS = (health, validation, drift, declared, curves, metrics, promotion, inside, consistency, lineage)


def report(settings: Settings, ds: date) -> Path:
    """Write reports/index.html on the run that ends on `ds`; returns its path.

    A section whose stage has not run says so. Equal files of a run give an equal page.

    Raises:
        ReportError: a note that a stage left cannot be read.
    """
    with stage(settings, "report", ds) as noted:
        sentence, outcome, reasons = verdict(settings, ds)
        head = Head(settings.dataset, day(ds), sentence, outcome, reasons, facts(settings, ds))
        page = render(head, [section(settings, ds) for section in SECTIONS])
        path = settings.reports / "index.html"
        write_whole(path, page)
        noted["bytes"] = len(page.encode())
    return path
