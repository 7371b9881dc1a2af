from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pipelines.settings import Settings
from tests.pipelines.published_models import write_model, write_verdict

# A stage in which everybody logs: itself, a library, a library's thread, a warning; then it ends.
NOISY = """
import logging, sys, threading, warnings
from datetime import date
import structlog
from pipelines.observing.console import stage
from pipelines.observing.logs import configure_logging
from pipelines.settings import Settings

settings = Settings()
configure_logging(settings.log_format)
with stage(settings, "train", date(2026, 1, 4), "pepnet") as facts:
    structlog.get_logger().info("own line", rows=3)
    logging.getLogger("some.library").warning("%s of it", "much")
    thread = threading.Thread(target=lambda: logging.getLogger("py4j").error("from a\\nthread"))
    thread.start()
    thread.join()
    warnings.warn("deprecated", FutureWarning)
    if sys.argv[1:]:
        raise ZeroDivisionError("by accident")
    facts |= {"train_loss": 0.5, "validation_loss": 0.6, "samples_per_second": None}
"""
OF_A_RUN = {"stage": "train", "dataset": "simulated", "ds": "2026-01-04", "model": "pepnet", "code": "0.1.0"}


def test_every_line_tells_whose_it_is_whoever_wrote_it(simulated_settings: Settings) -> None:
    started, own, library, thread, warning, finished = _lines(_noisy(simulated_settings))
    assert (started["event"], own["event"], finished["event"]) == ("started", "own line", "finished")
    assert (library["event"], library["logger"]) == ("much of it", "some.library")
    assert (thread["event"], thread["logger"]) == ("from a\nthread", "py4j")
    assert "FutureWarning: deprecated" in warning["event"]
    for line in (started, own, library, thread, warning, finished):
        assert line.items() >= OF_A_RUN.items()
        assert {"level", "timestamp"} <= line.keys()
        assert line["run"] == started["run"]


def test_a_crash_is_a_line_with_its_traceback(simulated_settings: Settings) -> None:
    *_, failed, crash = _lines(_noisy(simulated_settings, "crash", GATEHOUSE_RUN="manual__2026-01-05"))
    assert (failed["event"], failed["error"]) == ("failed", "ZeroDivisionError")
    assert (crash["event"], crash["error"], crash["level"]) == (
        "by accident", "ZeroDivisionError", "critical",
    )  # fmt: skip
    assert "Traceback" in crash["exception"]
    assert crash.items() >= OF_A_RUN.items() | {"run": "manual__2026-01-05"}.items()


def test_the_command_ends_with_its_error_as_a_line(simulated_settings: Settings) -> None:
    write_model(simulated_settings, "weights")
    write_verdict(simulated_settings, passed=False)
    gatehouse = Path(sys.executable).with_name("gatehouse")
    done = _run(simulated_settings, "json", str(gatehouse), "publish")
    started, failed, error = _lines(done)
    assert done.returncode == 3
    assert (started["event"], failed["event"]) == ("started", "failed")
    assert (error["error"], error["stage"], error["run"]) == ("GateError", "publish", started["run"])
    assert "AUC of click fell by 0.2" in error["event"]


def test_text_lines_leave_out_what_a_terminal_has_only_one_of(simulated_settings: Settings) -> None:
    done = _run(simulated_settings, "text", sys.executable, "-c", NOISY)
    assert "own line" in done.stderr
    assert "stage=train" in done.stderr
    assert "run=" not in done.stderr
    assert "code=" not in done.stderr


def _noisy(settings: Settings, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return _run(settings, "json", sys.executable, "-c", NOISY, *arguments, **environment)


def _run(
    settings: Settings, log_format: str, *command: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    own = {"GATEHOUSE_HOME": str(settings.home), "GATEHOUSE_LOG_FORMAT": log_format}
    return subprocess.run(
        command, env=os.environ | own | environment, capture_output=True, text=True, check=False
    )


def _lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in done.stderr.splitlines()]
