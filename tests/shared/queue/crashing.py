"""A worker process that a test kills: `python -m tests.shared.queue.crashing URL LEASE_S`.

It prints the key of each job that it starts, and never finishes a job.
"""

import asyncio
import sys

from filas.contract.jobs import NotificationJob
from filas.observability import logs
from filas.queue.job_functions import JobContext
from filas.queue.worker.worker import Worker
from tests.redis_address import connect_url
from tests.shared.queue.jobs import QUICK, function


async def begin(context: JobContext, message: NotificationJob) -> None:
    """Prints the key of the job and hangs."""
    sys.stdout.write(f"{context.job_id.partition('}:')[2]}\n")
    sys.stdout.flush()
    await asyncio.sleep(600)


async def main(url: str, lease_s: float) -> None:
    """Works until the process is killed."""
    logs.configure("error", "json", "test")
    redis = connect_url(url)
    await Worker(redis, QUICK, [function(begin, timeout_s=600)], concurrency=3, lease_s=lease_s).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
