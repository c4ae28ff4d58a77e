"""The peers from npm: exact versions, installed into a directory of the run."""

import shutil
import subprocess
from pathlib import Path

PACKAGES = {"bullmq": "6.7.0", "fastify": "5.12.8", "ioredis": "5.11.1", "pg": "8.23.1"}
"""The newest versions on 2026-11-27, and the Redis client with which this BullMQ is developed."""

NAMES = {"bullmq": "BullMQ", "fastify": "Fastify", "ioredis": "ioredis", "pg": "node-postgres"}


class Unavailable(Exception):
    """A subject cannot be measured on this machine."""


def installed(directory: Path) -> Path:
    """Installs the packages below `directory` unless they are there. Returns the directory in which programs that use
    them run. Raises Unavailable without node and npm."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not installed")
    target = directory / "node"
    if not (target / "node_modules").exists():
        target.mkdir(exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(target)]
        names = [f"{name}@{version}" for name, version in PACKAGES.items()]
        done = subprocess.run([*command, *names], capture_output=True, text=True, cwd=target, check=False)
        if done.returncode != 0:
            shutil.rmtree(target)
            raise Unavailable(" ".join(done.stderr.split())[-300:])
    return target


def versions() -> dict[str, str]:
    """The versions by the name of each peer."""
    return {NAMES[name]: version for name, version in PACKAGES.items()}
