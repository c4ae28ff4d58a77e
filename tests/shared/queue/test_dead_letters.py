"""Dead letters: in Redis before anything is deleted, in Postgres as soon as it answers, lost never."""

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


async def test_letters_wait_in_redis_while_postgres_is_away_and_none_is_lost(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """The worker goes on with other jobs; when the sink answers it gets each letter, once."""
    letters.away = True
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
    # However long it stays away: nothing of them expires.
    assert await redis.client.ttl(redis.keys(QUICK.name).named("dead")) == -1
    letters.away = False
    await eventually(lambda: waiting(0))
    assert len(letters.stored) == len(set(letters.ids)) == 450


async def test_an_id_that_waits_as_a_dead_letter_can_t_be_put_again(
    producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """The relay would otherwise bring it back to life; once the letter is in Postgres, the row says `failed`."""
    letters.away = True
    start_worker([function(Recorder(NEVER))])
    new = job("a")
    await producer.enqueue(new)
    await eventually(lambda: dead(stats, 1))
    assert (await producer.enqueue(new)).outcome is EnqueueOutcome.DUPLICATE
    letters.away = False
    await eventually(lambda: dead(stats, 0))
    assert (await producer.enqueue(new)).outcome is EnqueueOutcome.ENQUEUED


async def dead(stats: QueueStats, number: int) -> bool:
    return (await stats.snapshot(QUICK)).dead_letters_waiting == number


async def test_a_letter_that_can_t_be_stored_holds_up_no_other(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """It stays in Redis, whole."""
    poisoned = job("poisoned")
    letters.refuse = lambda letter: letter.job_id == poisoned.job_id
    await producer.enqueue_many([job(), job(), poisoned, job(), job()])
    start_worker([function(Recorder(NEVER))])
    await eventually(lambda: len(letters.stored) == 4)
    await eventually(lambda: dead(stats, 1))
    raw = await redis.client.hget(redis.keys(QUICK.name).named("dead"), poisoned.job_id)
    assert msgspec.json.decode(raw, type=NewDeadLetter).error.message == "never"


async def test_a_letter_in_redis_can_be_brought_back_by_hand(
    redis: Redis, producer: QueueProducer, start_worker: StartWorker, letters: Letters, stats: QueueStats
) -> None:
    """It runs again under its own id, as a first try, with its message."""
    letters.away = True
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
