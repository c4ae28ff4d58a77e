"""Dead letters: they wait in Redis until Postgres stores them, and none is lost."""

import msgspec

from filas.errors import PermanentError
from filas.models.dead_letters import NewDeadLetter
from filas.queue.operations.job_control import JobControl
from filas.queue.operations.queue_stats import QueueStats
from filas.queue.producer import EnqueueOutcome, QueueProducer
from filas.queue.redis_client.connection import Redis
from tests.shared.queue.conftest import StartWorker
from tests.shared.queue.jobs import QUICK, Letters, Recorder, function, job, raising
from tests.waiting import eventually

NEVER = raising(PermanentError("never"))


async def test_dead_letters_wait_in_redis_while_postgres_is_unavailable(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """The worker runs other jobs meanwhile. When the sink is available again, it gets each dead letter once."""
    letters.unavailable = True
    seen = Recorder(lambda context, message: NEVER(context, message) if message.channel_id == "bad" else None)
    start_worker([function(seen)])
    await producer.enqueue_many([job(f"bad{number}", text="bad") for number in range(450)])
    await producer.enqueue(job("good"))
    await eventually(lambda: "good" in seen.keys)

    async def waiting(number: int) -> bool:
        counts = await stats.snapshot(QUICK)
        return (counts.dead_letters_waiting, counts.waiting, counts.active) == (number, 0, 0)

    await eventually(lambda: waiting(450))
    assert letters.stored == []
    # Dead letters never expire, however long the sink is unavailable.
    assert await redis.client.ttl(redis.keys(QUICK.name).named("dead")) == -1
    letters.unavailable = False
    await eventually(lambda: waiting(0))
    assert len(letters.stored) == len(set(letters.ids)) == 450


async def test_a_job_whose_dead_letter_is_in_redis_is_a_duplicate(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """Otherwise the relay would enqueue it again. When the letter is in Postgres, the row is `failed`."""
    letters.unavailable = True
    start_worker([function(Recorder(NEVER))])
    new = job("a")
    await producer.enqueue(new)
    await eventually(lambda: dead(stats, 1))
    assert (await producer.enqueue(new)).outcome is EnqueueOutcome.DUPLICATE
    letters.unavailable = False
    await eventually(lambda: dead(stats, 0))
    assert (await producer.enqueue(new)).outcome is EnqueueOutcome.ENQUEUED


async def dead(stats: QueueStats, number: int) -> bool:
    return (await stats.snapshot(QUICK)).dead_letters_waiting == number


async def test_a_dead_letter_that_cannot_be_stored_delays_no_other(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """It stays in Redis unchanged."""
    poisoned = job("poisoned")
    letters.reject = lambda letter: letter.job_id == poisoned.job_id
    await producer.enqueue_many([job(), job(), poisoned, job(), job()])
    start_worker([function(Recorder(NEVER))])
    await eventually(lambda: len(letters.stored) == 4)
    await eventually(lambda: dead(stats, 1))
    raw = await redis.client.hget(redis.keys(QUICK.name).named("dead"), poisoned.job_id)
    assert msgspec.json.decode(raw, type=NewDeadLetter).error.message == "never"


async def test_an_operator_can_retry_a_dead_letter_in_redis(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """The job runs again under its id, as a first attempt, with its message and group."""
    letters.unavailable = True
    seen = Recorder(raising(PermanentError("never"), None))
    start_worker([function(seen)])
    new = job("a", text="hello", group="g")
    await producer.enqueue(new)
    await eventually(lambda: dead(stats, 1))
    assert await JobControl(redis, producer).retry(QUICK, new.job_id) == "done"
    await eventually(lambda: len(seen.keys) == 2)
    assert seen.texts == ["hello", "hello"]
    assert (seen.contexts[1].attempt, seen.contexts[1].group) == (1, "g")
    await eventually(lambda: dead(stats, 0))
    assert letters.stored == []
