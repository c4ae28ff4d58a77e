"""The machine and the versions of what was measured."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from filas_local.servers import postgres_binary, redis_binary
from tests.benchmarks.report.results import Machine


def this_machine() -> Machine:
    """Describes the machine: its processor by name, the cores that this process may use, memory and kernel."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(
        cpu=cpu_name(Path("/proc/cpuinfo").read_text()) or platform.processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory, 1),
        kernel=platform.release(),
    )


def cpu_name(cpuinfo: str) -> str | None:
    """The processor's name in the text of /proc/cpuinfo."""
    names = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(names, None)


def versions() -> dict[str, str]:
    """The versions of what every part uses."""
    found = {
        "Python": platform.python_version(),
        "Redis": version_in(_output(redis_binary(), "--version"), "v="),
        "Postgres": version_in(_output(postgres_binary("postgres"), "--version"), ") "),
    }
    if shutil.which("node"):
        found["Node.js"] = _output("node", "--version").strip().removeprefix("v")
    return found


def version_in(printed: str, before: str) -> str:
    """The word that follows `before` in the output of a program."""
    return printed.rpartition(f" {before}" if before == "v=" else before)[2].split()[0]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
