"""Dynamic-weight rankers: models, layers, data, loop, metrics and the published form."""

import os

# OpenMP's threads spin while they wait for one another. Where other work wants the cores too (a test
# run, a second task of the worker), the spinning starves the very thread that is waited for, and a step
# takes several times as long. Read when torch is loaded, so it stands before anything that imports it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
