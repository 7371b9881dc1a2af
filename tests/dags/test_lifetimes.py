from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

# A worker that starts a task, which starts a stage; each prints its own process id.
STAGE = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
TASK = f"""
import os, subprocess, sys
from dags.lifetimes import end_with_parent, ending_with_this_process
end_with_parent()
print(os.getpid(), flush=True)
stage = [sys.executable, "-c", {STAGE!r}]
subprocess.run(stage, start_new_session=True, preexec_fn=ending_with_this_process())
"""
WORKER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {TASK!r}], start_new_session=True)"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_task_and_stage_end_when_their_worker_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        left = [psutil.Process(int(worker.stdout.readline())) for _ in ("task", "stage")]
        worker.kill()
    assert psutil.wait_procs(left, timeout=10)[1] == []
