"""The next version of Filas, simulated: `python -m tests.hostile.next_version AHEAD MODULE ARGUMENTS` runs a service of
it. AHEAD is 1, or more for a version after the next one.

It has what a next version may have: a newer schema version of the jobs, which it writes and reads; a node type
`quantum` (an `api` node), a channel type `pigeon` (an `http` channel), a newer version of the state of executions, and
a function `next_function` on every queue, which writes a line to the file NEXT_VERSION_EFFECTS.
"""

import importlib
import os
import runpy
import sys
from typing import Any

import msgspec

from filas.contract import jobs
from filas.flows.definition import node_types
from filas.queue import job_format, producer
from filas.queue.job_functions import JobContext, JobFunction
from filas.queue.worker import worker

NODE, CHANNEL, FUNCTION, EFFECTS = "quantum", "pigeon", "next_function", "NEXT_VERSION_EFFECTS"
MODULE = "tests.hostile.next_version"
WRAPPER = (MODULE, "1")
"""Starts a process of the next version in a Pipeline."""


async def next_function(context: JobContext, _call: object) -> None:
    """The effect of `next_function`: one line with the job's id and its attempt."""
    file = os.open(os.environ[EFFECTS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{context.job_id} {context.attempt}\n".encode())
    os.close(file)


def change_jobs(ahead: int) -> None:
    """Every job that this process enqueues has the schema version of this build."""
    version = jobs.SCHEMA_VERSION + ahead
    parts: list[Any] = [jobs, job_format]
    for part in parts:
        part.SCHEMA_VERSION = version
    encode_job = job_format.encode_job

    def encode_next(function: str, message: Any, enqueued_at_ms: int) -> bytes:
        if isinstance(message, jobs.JobMessage):
            message = msgspec.structs.replace(message, schema_version=version)
        return encode_job(function, message, enqueued_at_ms)

    changed: Any = producer
    changed.encode_job = encode_next


def change_worker() -> None:
    """Every worker knows `next_function`."""
    changed: Any = worker.Worker
    start = changed.__init__

    def start_next(self: worker.Worker, redis: Any, policy: Any, functions: Any, **options: Any) -> None:
        start(self, redis, policy, [*functions, JobFunction(FUNCTION, next_function)], **options)

    changed.__init__ = start_next


def change_flow_runner(ahead: int) -> None:
    """The node type, and the version of the states that this process writes."""
    checkpoint_builder: Any = importlib.import_module("flow_runner.engine.checkpoint_builder")
    node_runners: Any = importlib.import_module("flow_runner.nodes.node_runners")
    execution_state: Any = importlib.import_module("flow_runner.engine.execution_state")
    node_types.NODE_TYPES[NODE] = node_types.NODE_TYPES["api"]
    node_runners.RUNNERS[NODE] = node_runners.RUNNERS["api"]
    version = execution_state.VERSION + ahead
    execution_state.VERSION = version
    encode = execution_state.encode

    def encode_next(state: object) -> str:
        document = msgspec.json.decode(encode(state))
        return msgspec.json.encode(document | {"version": version}).decode()

    checkpoint_builder.encode = encode_next


def change_notifier() -> None:
    """The channel type."""
    types: Any = importlib.import_module("notifier.channels.channel_types").CHANNEL_TYPES
    types[CHANNEL] = types["http"]


def main() -> None:
    """Changes this process, and runs the service in it."""
    _, ahead, module, *arguments = sys.argv
    change_jobs(int(ahead))
    change_worker()
    if module == "flow_runner":
        change_flow_runner(int(ahead))
    elif module == "notifier":
        change_notifier()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
