"""The queue engine: jobs in arq's keys and job format, claimed and finished in batches by Lua scripts.

| question                                        | module                                                           |
|-------------------------------------------------|------------------------------------------------------------------|
| Where is the message of a job defined?          | `filas.contract.jobs`, `filas.contract.job_factories`            |
| How is a job encoded in Redis?                  | `job_format`                                                     |
| How does a job get into a queue?                | `producer` (`enqueue.lua`); for other code: `filas.job_producer` |
| Where does a missing job come from again?       | `relay`                                                          |
| What happens when Redis has lost its data?      | `worker.restoration` (`restore.lua`)                             |
| How does a worker get jobs, and in which order? | `worker.claimer` (`claim.lua`)                                   |
| How does a job run?                             | `worker.slots`, with the functions of `job_functions`            |
| Where is a retry decided?                       | `worker.retry_decision`; the waits are in `filas.backoff`        |
| What happens when an attempt ends?              | `worker.finisher` (`finish.lua`)                                 |
| How do leases, time limits and aborts work?     | `worker.lease_keeper` (`renew.lua`)                              |
| How does a dead letter reach Postgres?          | `worker.dead_letter_drain` (`settle_dead.lua`)                   |
| What does an operator see and do?               | `operations` (`stats.lua`, `inspect.lua`, `control.lua`)         |
| Which worker is alive, and how busy is it?      | `worker_presence` (`beat.lua`, `load.lua`)                       |
| When is a channel paused?                       | `channel_circuits` (`admit.lua`, `report.lua`)                   |
| What is stored under which Redis key?           | `redis_client.queue_keys`                                        |

Imports go one way: `worker` and `operations` import the modules of this folder, and these import `redis_client`.

A job has one of these states:

| state       | meaning                                                      | moved to another state by               |
|-------------|--------------------------------------------------------------|-----------------------------------------|
| `delayed`   | not due yet: it was deferred, or waits for a retry           | its due time, or an operator's promote: |
|             |                                                              | `waiting`                               |
| `waiting`   | due and not claimed, or after the group head                 | a worker's claim: `active`              |
| `active`    | claimed under a live lease                                   | success: `completed`; a failure:        |
|             |                                                              | `delayed` until the retry, or `failed`; |
|             |                                                              | a drain, an unavailable store or an     |
|             |                                                              | expired lease: `waiting`                |
| `completed` | finished without an error                                    | nothing                                 |
| `failed`    | finished as a dead letter                                    | nothing: a replay makes a new job       |

A worker removes a job's keys when the job is finished. The counts of `completed` and `failed` jobs are removed after 24
hours and 7 days (`stats.lua`), or by `operations.finished_job_cleanup`. An operator's cancel makes a job of the first
three states a dead letter.
"""
