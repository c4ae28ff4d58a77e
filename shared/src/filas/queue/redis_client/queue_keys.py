"""The names of a queue's keys in Redis.

The queue's own sorted set is arq's: its key is the queue's plain name. Every other key of a queue carries
that name in braces, which puts it into the same hash slot of a Redis Cluster.

| key                   | type   | what it holds                                                              |
|-----------------------|--------|----------------------------------------------------------------------------|
| `<queue>`             | zset   | job ids by due time in ms; a claimed id stands at the end of its lease      |
| `{q}:active`          | zset   | claimed ids by the end of their lease                                       |
| `{q}:wake`            | list   | at most one token: an idle worker blocks on it                              |
| `{q}:dead`            | hash   | job id to dead letter, until the sink has it                                |
| `{q}:heads`           | hash   | group to the one job of it that may run                                     |
| `{q}:grouped`         | hash   | job id to `score|group`, for every job with a group                         |
| `{q}:group:<group>`   | list   | the ids that wait behind the group's head, in the order they were put       |
| `{q}:lost`            | hash   | job id to the number of leases that it lost                                 |
| `{q}:completed`, `{q}:failed` | hash | minute to number of jobs finished in it, and `total`                  |
| `{q}:counts`          | hash   | retries, dead, lost since Redis last lost its data                          |
| `{q}:ring:<state>`    | list   | records of the newest finished jobs                                         |
| `{q}:last`            | string | the last score given, so that equal milliseconds keep their order           |
| `{q}:fence`           | string | counts claims; with the epoch it makes the fencing token                    |
| `{q}:epoch`           | string | random, made once; it is missing when Redis has lost its data               |
| `{q}:waiting`         | string | how many jobs wait in groups                                                |
| `{q}:sweep`           | string | the lock of the sweep over groups                                           |
| `{q}:workers`         | hash   | worker to `until|running|slots`: its heartbeat (`beat.lua`)                  |
| `{q}:destination:<id>` | hash  | how a channel's destination is, while all is not well (`report.lua`)         |
| `{q}:destination:<id>:…` |     | `pace`, `slots`, `receiver:<digest>`: its rates (`admit.lua`)                |
| `arq:job:<id>` …      |        | arq's own: payload, in-progress (the token), retry (tries spent), result    |
| `arq:history:<id>`    | list   | the errors of the tries so far                                              |
"""

from dataclasses import dataclass

JOB = "arq:job:"
IN_PROGRESS = "arq:in-progress:"
RETRY = "arq:retry:"
RESULT = "arq:result:"
HISTORY = "arq:history:"
ABORT = "arq:abort"


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of the queue `queue`. On a Cluster `arq:abort` lies in a slot of its own, so we use ours."""

    queue: str
    cluster: bool = False

    def named(self, name: str) -> str:
        """The key `{queue}:name`."""
        return f"{{{self.queue}}}:{name}"

    @property
    def abort(self) -> str:
        """The sorted set of ids that are to be aborted."""
        return self.named("abort") if self.cluster else ABORT

    @property
    def group_prefix(self) -> str:
        """What precedes a group's name in the key of its list."""
        return self.named("group:")

    @property
    def required_prefix(self) -> str:
        """What every id must begin with: on a Cluster the queue's slot, elsewhere nothing."""
        return f"{{{self.queue}}}" if self.cluster else ""

    def of(self, *names: str) -> list[str]:
        """The queue's own key and those of `names`; `abort` is looked up."""
        return [self.queue, *(self.abort if name == "abort" else self.named(name) for name in names)]
