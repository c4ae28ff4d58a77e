"""For each alert: series under which it fires, and series near to these under which it doesn't.

A series is written as promtool's tests write it, one value a minute: `0+10x30` rises by 10 thirty times, `5x30` stays.
"""

from dataclasses import dataclass

Series = dict[str, str]

INGEST, ADMIN, WORKER, RUNNER, NOTIFIER = (
    f'{{job="{name}",instance="{name}:1"}}'
    for name in ("ingest", "ingest-admin", "ingest-worker", "flow-runner", "notifier")
)
ALL_UP: Series = {f"up{labels}": "1x200" for labels in (INGEST, ADMIN, WORKER, RUNNER, NOTIFIER)}
WEBHOOK, FLOW = '{queue="webhook-processing"}', '{queue="flow-processing"}'
OLDEST = "filas_queue_oldest_waiting_seconds"
BUCKETS = "filas_webhook_seconds_bucket"
LAG = "filas_event_loop_lag_seconds_bucket"


@dataclass(frozen=True)
class Case:
    """`firing`: the alert fires under each of these, looked at after `minutes`; `quiet`: under none of these."""

    firing: list[Series]
    quiet: list[Series]
    minutes: int = 30


def _jobs(outcome: str, values: str) -> Series:
    return {f'filas_jobs_total{{queue="notifications",function="f",outcome="{outcome}"}}': values}


def _webhooks(outcome: str, values: str) -> Series:
    return {f'filas_webhooks_total{{job="ingest",outcome="{outcome}"}}': values}


def _executions(status: str, values: str) -> Series:
    return {f'filas_executions_total{{status="{status}"}}': values}


def _notifications(outcome: str, values: str) -> Series:
    return {f'filas_notifications_total{{type="http",outcome="{outcome}"}}': values}


def _calls(outcome: str, values: str) -> Series:
    return {f'filas_outbound_requests_total{{job="notifier",outcome="{outcome}"}}': values}


def _waiting(values: str) -> Series:
    return {'filas_queue_jobs{queue="flow-processing",state="waiting"}': values}


def _latency(name: str, labels: str, fast: str, everything: str) -> Series:
    """A histogram of which `fast` lie below 5 ms and the rest between half a second and one."""
    return {
        f'{name}{{{labels},le="0.005"}}': fast,
        f'{name}{{{labels},le="0.5"}}': fast,
        f'{name}{{{labels},le="1.0"}}': everything,
        f'{name}{{{labels},le="+Inf"}}': everything,
    }


PAUSED: Series = {f"filas_queue_paused{FLOW}": "1x200"}

CASES: dict[str, Case] = {
    "FilasServiceAbsent": Case(
        firing=[
            ALL_UP | {f"up{NOTIFIER}": "1x10 0x190"},
            {name: values for name, values in ALL_UP.items() if name != f"up{INGEST}"},
            {name: values for name, values in ALL_UP.items() if name != f"up{ADMIN}"},
        ],
        quiet=[ALL_UP, ALL_UP | {'up{job="notifier",instance="notifier:2"}': "0x200"}],
    ),
    "FilasInstanceDown": Case(
        firing=[ALL_UP | {f"up{RUNNER}": "0x200"}],
        quiet=[ALL_UP, ALL_UP | {f"up{RUNNER}": "1x29 0x100"}, ALL_UP | {'up{job="other",instance="o:1"}': "0x200"}],
    ),
    "FilasStoreDown": Case(
        firing=[{'filas_store_up{job="ingest",instance="a",store="redis"}': "0x200"}],
        quiet=[
            {
                'filas_store_up{job="ingest",instance="a",store="redis"}': "0x200",
                'filas_store_up{job="ingest",instance="b",store="redis"}': "1x200",
            }
        ],
    ),
    "FilasStoreDownForOne": Case(
        firing=[
            {
                'filas_store_up{job="ingest",instance="a",store="redis"}': "0x200",
                'filas_store_up{job="ingest",instance="b",store="redis"}': "1x200",
            }
        ],
        quiet=[{'filas_store_up{job="ingest",instance="a",store="redis"}': "0x200"}],
    ),
    "FilasFiguresAbsent": Case(
        firing=[ALL_UP],
        quiet=[ALL_UP | {OLDEST + FLOW: "0x200"}, {f"up{INGEST}": "1x200", f"up{ADMIN}": "0x200"}],
    ),
    "FilasEventLoopSlow": Case(
        firing=[_latency(LAG, 'job="ingest",instance="a"', "0+95x200", "0+100x200")],
        quiet=[_latency(LAG, 'job="ingest",instance="a"', "0+100x200", "0+100x200")],
    ),
    "FilasMemoryHigh": Case(
        firing=[{f"process_resident_memory_bytes{RUNNER}": "4.1e8x200"}],
        quiet=[
            {f"process_resident_memory_bytes{RUNNER}": "4e8x200"},
            {'process_resident_memory_bytes{job="prometheus"}': "2e9x200"},
        ],
    ),
    "FilasFileDescriptorsShort": Case(
        firing=[{f"process_open_fds{INGEST}": "900x200", f"process_max_fds{INGEST}": "1024x200"}],
        quiet=[{f"process_open_fds{INGEST}": "700x200", f"process_max_fds{INGEST}": "1024x200"}],
    ),
    "FilasJobsTooOld": Case(
        firing=[
            {OLDEST + WEBHOOK: "40x200"},
            {OLDEST + FLOW: "70x200"},
            {OLDEST + '{queue="notifications"}': "130x200"},
        ],
        quiet=[{OLDEST + FLOW: "50x200"}, {OLDEST + FLOW: "70x200"} | PAUSED, {OLDEST + FLOW: "0x28 70x100"}],
    ),
    "FilasQueueStuck": Case(
        firing=[{OLDEST + FLOW: "700x200"}],
        quiet=[{OLDEST + FLOW: "500x200"}, {OLDEST + FLOW: "700x200"} | PAUSED],
    ),
    "FilasBacklogGrows": Case(
        firing=[
            _waiting("1000+100x200"),
            _waiting("1000+100x200")
            | {'filas_jobs_total{queue="flow-processing",function="f",outcome="completed"}': "0+60x200"},
        ],
        quiet=[
            _waiting("1000+1x200")
            | {'filas_jobs_total{queue="flow-processing",function="f",outcome="completed"}': "0+6000x200"},
            _waiting("10000-100x200"),
            _waiting("0+5x200"),
            _waiting("1000+100x200") | PAUSED,
        ],
    ),
    "FilasNoWorker": Case(
        firing=[_waiting("3x200") | {f"filas_workers{FLOW}": "0x200"}],
        quiet=[
            _waiting("0x200") | {f"filas_workers{FLOW}": "0x200"},
            _waiting("3x200") | {f"filas_workers{FLOW}": "1x200"},
        ],
    ),
    "FilasWorkersSaturated": Case(
        firing=[
            {
                'filas_worker_slots{queue="flow-processing",state="running"}': "100x200",
                'filas_worker_slots{queue="flow-processing",state="free"}': "0x200",
            }
        ],
        quiet=[
            {
                'filas_worker_slots{queue="flow-processing",state="running"}': "80x200",
                'filas_worker_slots{queue="flow-processing",state="free"}': "20x200",
            },
            {
                'filas_worker_slots{queue="flow-processing",state="running"}': "0x200",
                'filas_worker_slots{queue="flow-processing",state="free"}': "0x200",
            },
        ],
    ),
    "FilasQueuePaused": Case(
        firing=[PAUSED],
        quiet=[{f"filas_queue_paused{FLOW}": "0x200"}, {f"filas_queue_paused{FLOW}": "0x60 1x100"}],
        minutes=90,
    ),
    "FilasDeadLetters": Case(
        firing=[{f"filas_dead_letters_total{FLOW}": "0x20 1x100"}], quiet=[{f"filas_dead_letters_total{FLOW}": "7x200"}]
    ),
    "FilasDeadLettersMany": Case(
        firing=[{f"filas_dead_letters_total{FLOW}": "0+10x200"}], quiet=[{f"filas_dead_letters_total{FLOW}": "0+1x200"}]
    ),
    "FilasRetriesMany": Case(
        firing=[_jobs("retried", "0+40x200") | _jobs("completed", "0+60x200")],
        quiet=[
            _jobs("retried", "0+10x200") | _jobs("completed", "0+60x200"),
            _jobs("retried", "0+1x200") | _jobs("completed", "0+1x200"),
        ],
    ),
    "FilasLeasesLost": Case(
        firing=[{f"filas_leases_lost_total{FLOW}": "0+1x200"}], quiet=[{f"filas_leases_lost_total{FLOW}": "0x20 3x200"}]
    ),
    "FilasJobsRelayed": Case(
        firing=[{'filas_relayed_total{table="events"}': "0+50x200"}],
        quiet=[{'filas_relayed_total{table="events"}': "0+1x200"}],
    ),
    "FilasWebhooksNotAccepted": Case(
        firing=[
            _webhooks("stores-unavailable", "0+6x200"),
            _webhooks("error", "0+6x200"),
            _webhooks("not-loaded", "0+6x200"),
        ],
        quiet=[
            _webhooks("accepted", "0+600x200") | _webhooks("stores-unavailable", "5x200"),
            _webhooks("signature", "0+6x200"),
        ],
    ),
    "FilasWebhookUnusable": Case(
        firing=[_webhooks("unusable", "0+6x200")],
        quiet=[_webhooks("unusable", "3x200"), _webhooks("unknown", "0+6x200")],
    ),
    "FilasWebhooksRefused": Case(
        firing=[_webhooks("signature", "0+30x200") | _webhooks("accepted", "0+70x200")],
        quiet=[
            _webhooks("signature", "0+10x200") | _webhooks("accepted", "0+90x200"),
            _webhooks("duplicate", "0+90x200") | _webhooks("handshake", "0+10x200"),
            _webhooks("signature", "0+1x200"),
        ],
    ),
    "FilasAuthFailures": Case(
        firing=[{'filas_auth_failures_total{job="ingest",listener="webhook"}': "0+90x200"}],
        quiet=[{'filas_auth_failures_total{job="ingest",listener="webhook"}': "0+30x200"}],
    ),
    "FilasIngestSlow": Case(
        firing=[
            _latency(BUCKETS, 'job="ingest"', "0+95x200", "0+100x200")
            | {'filas_webhook_seconds_count{job="ingest"}': "0+100x200"}
        ],
        quiet=[
            _latency(BUCKETS, 'job="ingest"', "0+100x200", "0+100x200")
            | {'filas_webhook_seconds_count{job="ingest"}': "0+100x200"},
            _latency(BUCKETS, 'job="ingest"', "0+0x200", "0+1x200")
            | {'filas_webhook_seconds_count{job="ingest"}': "0+1x200"},
        ],
    ),
    "FilasConnectionLimit": Case(
        firing=[{'filas_connections_shed_total{outcome="connection-limit"}': "0+12x200"}],
        quiet=[{'filas_connections_shed_total{outcome="slow-client"}': "0+12x200"}],
    ),
    "FilasExecutionsFail": Case(
        firing=[
            _executions("failed", "0+20x200") | _executions("succeeded", "0+80x200"),
            _executions("timed-out", "0+20x200") | _executions("succeeded", "0+80x200"),
        ],
        quiet=[
            _executions("failed", "0+5x200") | _executions("succeeded", "0+95x200"),
            _executions("cancelled", "0+50x200") | _executions("succeeded", "0+50x200"),
        ],
    ),
    "FilasFencesLost": Case(
        firing=[{"filas_fences_lost_total": "0+1x200"}], quiet=[{"filas_fences_lost_total": "0x20 2x200"}]
    ),
    "FilasSchedulesFail": Case(
        firing=[{'filas_schedule_runs_total{outcome="failed"}': "0x20 1x200"}],
        quiet=[{'filas_schedule_runs_total{outcome="started"}': "0+1x200"}],
    ),
    "FilasSchedulesLate": Case(
        firing=[
            {
                'filas_schedule_lag_seconds_bucket{le="30.0"}': "0+1x200",
                'filas_schedule_lag_seconds_bucket{le="60.0"}': "0+9x200",
                'filas_schedule_lag_seconds_bucket{le="+Inf"}': "0+9x200",
            },
            {'filas_schedule_misfires_total{misfire="skip"}': "0x20 1x200"},
        ],
        quiet=[
            {
                'filas_schedule_lag_seconds_bucket{le="30.0"}': "0+99x200",
                'filas_schedule_lag_seconds_bucket{le="60.0"}': "0+100x200",
                'filas_schedule_lag_seconds_bucket{le="+Inf"}': "0+100x200",
            }
        ],
    ),
    "FilasChannelPaused": Case(
        firing=[
            {'filas_channel_circuits{instance="a",state="open"}': "1x200"},
            {
                'filas_channel_circuits{instance="a",state="open"}': "1 0 1 0 1 0x200",
                'filas_channel_circuits{instance="a",state="half-open"}': "0 1 0 1 0 1x200",
            },
        ],
        quiet=[
            {
                'filas_channel_circuits{instance="a",state="open"}': "0x200",
                'filas_channel_circuits{state="closed"}': "5x200",
            }
        ],
    ),
    "FilasChannelPausedLong": Case(
        firing=[{'filas_channel_circuits{instance="a",state="open"}': "1x200"}],
        quiet=[{'filas_channel_circuits{instance="a",state="open"}': "0x60 1x200"}],
        minutes=90,
    ),
    "FilasNotificationsFail": Case(
        firing=[
            _notifications("failed", "0+20x200") | _notifications("delivered", "0+80x200"),
            _notifications("uncertain", "0+20x200") | _notifications("sent", "0+80x200"),
        ],
        quiet=[
            _notifications("failed", "0+5x200") | _notifications("delivered", "0+95x200"),
            _notifications("retry", "0+50x200") | _notifications("delivered", "0+50x200"),
        ],
    ),
    "FilasNotificationsInterrupted": Case(
        firing=[{"filas_notifications_interrupted_total": "0+1x200"}],
        quiet=[{"filas_notifications_interrupted_total": "0x20 2x200"}],
    ),
    "FilasOutboundFails": Case(
        firing=[_calls("timeout", "0+40x200") | _calls("answered", "0+60x200")],
        quiet=[_calls("failed", "0+10x200") | _calls("answered", "0+90x200"), _calls("failed", "0+1x200")],
    ),
    "FilasOutboundRefused": Case(
        firing=[_calls("refused", "0+6x200")], quiet=[_calls("refused", "4x200"), _calls("answered", "0+60x200")]
    ),
}
