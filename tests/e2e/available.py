"""Says whether the end-to-end run can run here: `python -m tests.e2e.available`.

Exits with 0 where everything is there, else with 1 and a line for each thing that is lacking.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.e2e.alertmanager import program

PROMETHEUS: Final = os.environ.get("GUARD_TEST_PROMETHEUS", "prometheus")
ANSWERS_WITHIN: Final = 20.0
"""Seconds for an answer of Docker or of the cluster."""
_PROGRAMS: Final = {
    "kubectl": "install kubectl",
    "docker": "install Docker Engine, and start it",
    "openssl": "install openssl",
    PROMETHEUS: "put Prometheus 3 on PATH, or name it in GUARD_TEST_PROMETHEUS",
}
_QUESTIONS: Final = {
    ("docker", "version"): "Docker Engine does not answer: start it",
    ("kubectl", "get", "nodes"): "the cluster of KUBECONFIG does not answer",
    (PROMETHEUS, "--version"): "Prometheus does not start",
}


def kubeconfig() -> Path:
    """The file that reaches the cluster, as kubectl finds it."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(named) if named else Path.home() / ".kube" / "config"


def missing(*, alertmanager: bool = False) -> list[str]:
    """What a run needs and does not find here, each with what to do.

    Args:
        alertmanager: whether a chosen scenario asks one.
    """
    lacking = [f"{name}: {what}" for name, what in _PROGRAMS.items() if shutil.which(name) is None]
    if alertmanager and program() is None:
        lacking.append("alertmanager: put it on PATH, or name it in GUARD_TEST_ALERTMANAGER")
    if not kubeconfig().is_file():
        lacking.append("a cluster: name its kubeconfig in KUBECONFIG (kind or k3d will do)")
    return lacking or [text for words, text in _QUESTIONS.items() if not _answers(words)]


def _answers(words: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(words, capture_output=True, check=False, timeout=ANSWERS_WITHIN)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    found = missing()
    for line in ["the end-to-end run is left out, since it lacks:", *found] if found else []:
        print(f"  {line}" if line in found else line, file=sys.stderr)
    sys.exit(bool(found))
