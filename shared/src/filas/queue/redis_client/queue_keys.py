"""The names of a queue's keys in Redis.

The queue's sorted set is arq's own: its key is the plain name of the queue. Every other key of a queue contains that
name in braces, which places it in the same hash slot of a Redis Cluster.

| key                           | type   | content                                                                    |
|-------------------------------|--------|----------------------------------------------------------------------------|
| `<queue>`                     | zset   | job ids by due time in ms; a claimed id has the end of its lease as score  |
| `{q}:active`                  | zset   | claimed ids by the end of their lease in ms                                |
| `{q}:wake`                    | list   | at most one token; an idle worker blocks on it                             |
| `{q}:dead`                    | hash   | job id to dead letter, until it is in Postgres                             |
| `{q}:heads`                   | hash   | group to the id of the group head, the one job of the group that may run   |
| `{q}:grouped`                 | hash   | job id to `score|group`, for every job with a group                        |
| `{q}:group:<group>`           | list   | ids that wait after the group head, in the order in which they were        |
|                               |        | enqueued                                                                   |
| `{q}:lost`                    | hash   | job id to the number of leases that it has lost                            |
| `{q}:completed`, `{q}:failed` | hash   | minute to number of jobs finished in it; `total`; `pruned`                 |
| `{q}:counts`                  | hash   | `retries`, `dead`, `lost` since Redis last lost its data                   |
| `{q}:ring:<state>`            | list   | records of the newest finished jobs                                        |
| `{q}:last`                    | string | the last score assigned; it keeps jobs of one millisecond in order         |
| `{q}:fence`                   | string | number of claims; with the epoch it makes the fencing token                |
| `{q}:epoch`                   | string | a random text, made once; it is missing after Redis has lost its data      |
| `{q}:waiting`                 | string | number of jobs that wait in groups or are held back                        |
| `{q}:held`                    | zset   | jobs with a group that are held back while the queue is restored           |
|                               |        | (`restore.lua`)                                                            |
| `{q}:restoring`               | string | the token of the worker that restores the queue; present until it has      |
| `{q}:restorer`                | string | the same token, for as long as that worker lives                           |
| `{q}:newer`                   | hash   | jobs that wait for a newer worker: id to `ms when first seen|worker,…`, the|
|                               |        | workers that do not know the job (`finish.lua`, `offer.lua`)               |
| `{q}:sweep`                   | string | lock of the sweep over groups                                              |
| `{q}:workers`                 | hash   | worker id to `until|running|slots`, its heartbeat (`beat.lua`)             |
| `{q}:abort`                   | zset   | on a Cluster: ids to abort, instead of `arq:abort`                         |
| `{q}:cancelled`               | set    | ids of cancelled jobs that have ended, until their cancel is deleted       |
| `{q}:cancels`                 | string | lock of the comparison of the abort set with the stored cancels            |
| `{q}:destination:<id>`        | hash   | the circuit of a channel, unless it is closed without failures             |
|                               |        | (`report.lua`)                                                             |
| `{q}:destination:<id>:…`      |        | `pace`, `slots`, `receiver:<digest>`: rates of the channel (`admit.lua`)   |
| `arq:job:<id>`                | string | arq's: the payload                                                         |
| `arq:in-progress:<id>`        | string | arq's: exists under a lease; its value is the fencing token                |
| `arq:retry:<id>`              | string | arq's: number of attempts used                                             |
| `arq:result:<id>`             | string | arq's: the result                                                          |
| `arq:history:<id>`            | list   | the errors of the attempts so far                                          |

The names are read by older versions and by stock arq, so they never change.
"""

from dataclasses import dataclass

JOB = "arq:job:"
RESULT = "arq:result:"
ABORT = "arq:abort"


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The keys of the queue `queue`. On a Cluster, `arq:abort` is in another hash slot, so the queue has its own."""

    queue: str
    cluster: bool = False

    def named(self, name: str) -> str:
        """Returns the key `{queue}:name`."""
        return f"{{{self.queue}}}:{name}"

    @property
    def abort(self) -> str:
        """The key of the sorted set of ids to abort."""
        return self.named("abort") if self.cluster else ABORT

    @property
    def group_prefix(self) -> str:
        """The prefix of the keys of the groups' lists."""
        return self.named("group:")

    @property
    def required_prefix(self) -> str:
        """The prefix that every job id must have: the queue's hash slot on a Cluster, otherwise empty."""
        return f"{{{self.queue}}}" if self.cluster else ""

    def of(self, *names: str) -> list[str]:
        """Returns the key of the queue's sorted set and those of `names`. `abort` is resolved by the topology."""
        return [self.queue, *(self.abort if name == "abort" else self.named(name) for name in names)]
