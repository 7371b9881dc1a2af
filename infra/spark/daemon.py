"""One process of a Spark standalone cluster, in the foreground, as a container or a service manager runs it.

    python infra/spark/daemon.py master --host spark-master --port 7077 --webui-port 8081
    python infra/spark/daemon.py worker --host spark-worker --cores 2 --memory 4g spark://spark-master:7077

The arguments behind the role are Spark's own. https://spark.apache.org/docs/latest/spark-standalone.html
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pyspark

from pipelines.spark.java import provide_java

SPARK_HOME = Path(pyspark.__file__).parent
LOGGING = Path(__file__).parents[2] / "pipelines" / "spark" / "log4j2.properties"
CLASSES = {
    "master": "org.apache.spark.deploy.master.Master",
    "worker": "org.apache.spark.deploy.worker.Worker",
}


def daemon_command(role: str, *arguments: str) -> list[str]:
    """The command of a daemon of Spark's; `role` is one of CLASSES."""
    return [str(SPARK_HOME / "bin" / "spark-class"), CLASSES[role], *arguments]


def daemon_environment(host: str) -> dict[str, str]:
    """This process's environment, and what makes a daemon listen on `host` only and use this Python."""
    return os.environ | {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": host,  # pages listen there, and not on every interface
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": f"-Dlog4j2.configurationFile={LOGGING.as_uri()}",
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
        "PYSPARK_PYTHON": sys.executable,
    }


def main(arguments: Sequence[str]) -> None:
    """Become the daemon that the arguments name.

    Raises:
        SystemExit: the role is not one, or `--host` is missing.
    """
    if len(arguments) < 3 or arguments[0] not in CLASSES or arguments[1] != "--host":
        sys.exit(f"usage: {Path(__file__).name} {{{'|'.join(CLASSES)}}} --host HOST [Spark's own arguments]")
    provide_java()
    command = daemon_command(*arguments)
    os.execve(command[0], command, daemon_environment(arguments[2]))  # noqa: S606 -- no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
