"""Starts `gatehouse` commands quickly: each is forked from one process that has imported what they need.

Run as a program, it reads one command a line from standard input (JSON: arguments, environment, log) and
writes what became of them: "started PID", and "ended PID STATUS" when it is over. Every command is the leader
of a process group of its own, so that it can be killed with all that it has started.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import sys
from typing import Any

_NEEDED = (
    "pandas",
    "duckdb",
    "pyspark.sql",
    "feast",
    "pipelines.cli",
    "pipelines.ingest",
    "pipelines.aggregate",
    "pipelines.materialize",
    "pipelines.assemble",
    "pipelines.train",
    "pipelines.evaluate",
    "pipelines.promote",
    "pipelines.publish",
    "features.serving.lookup",
)
_LOOK_SECONDS = 0.01


def main() -> None:
    from features.quick_feast import quicken_feast

    quicken_feast()
    for name in _NEEDED:
        importlib.import_module(name)
    alive: set[int] = set()
    _say("ready")
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], _LOOK_SECONDS)
        if readable:
            line = sys.stdin.readline()
            if not line:
                return
            alive.add(_start(json.loads(line)))
        for pid in tuple(alive):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                alive.remove(pid)
                _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _start(wanted: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        _say(f"started {pid}")
        return pid
    os.setsid()
    log = os.open(wanted["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(wanted["environment"])
    sys.argv = ["gatehouse", *wanted["arguments"]]
    if "CHAOS_COUNT" in wanted["environment"]:
        ctypes.CDLL(None).chaos_arm()
    status = 70
    try:
        if "PYSPARK_GATEWAY_PORT" in os.environ:
            _take_session()
        from pipelines.cli import main as gatehouse

        gatehouse()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _take_session() -> None:
    """Make the Spark session of the JVM that the environment names this process's own."""
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    gateway = launch_gateway()
    running = gateway.jvm.org.apache.spark.SparkContext.getOrCreate()
    context = SparkContext(gateway=gateway, jsc=gateway.jvm.JavaSparkContext.fromSparkContext(running))
    SparkSession(context)


if __name__ == "__main__":
    main()
