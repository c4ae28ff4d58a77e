-- The first schema: configuration, events, executions, notifications, dead letters
-- depends:

-- migrate: apply

-- Names are the field's, the same as in code and API.
--
-- Retention: rows are deleted by age in small chunks, each found through the time index of its table;
-- `filas.repository.retention` has the measurement and the argument against partitions by time.
--
-- What comes from outside stands in `bytea` or `json`, never in `jsonb`, and nothing here looks into a
-- `json` value: `json` takes the escape of a NUL or of a lone surrogate, `jsonb` and the operators refuse it.
--
-- No foreign keys between the rows of running work: each insert of a child happens in the statement that
-- has just written, and so locked, its parent; a constraint would check every row a second time.
--
-- Indexes of the busy tables name no column that an ordinary step of the work changes (`status` least of
-- all), and their pages keep room, so that a claim, a renewal and a checkpoint stay on their page and
-- touch no index (heap-only updates).

create table flows (
    id                text primary key,
    name              text not null,
    published_version integer,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
);

-- `digest` is the SHA-256 of the name and the definition, `timeout_ms` the definition's settings.timeoutMs.
create table flow_versions (
    flow_id    text not null references flows (id) on delete cascade,
    version    integer not null,
    name       text not null,
    definition json not null,
    digest     bytea not null,
    timeout_ms bigint,
    created_at timestamptz not null default now(),
    primary key (flow_id, version)
);

-- One number for every change of a webhook or channel: caches ask for what is newer than they know. A row
-- and not a sequence, so that a change with a smaller number can't be committed after a reader has seen a
-- larger one: its lock makes the writers queue up.
create table configuration_revision (
    only_row boolean primary key default true check (only_row),
    revision bigint not null
);
insert into configuration_revision (revision) values (0);

create table webhooks (
    id             text primary key,
    path           text not null,
    flow_id        text not null,
    node_id        text not null,
    methods        text[] not null,
    auth           json not null,
    rate_limit     json not null,
    dedupe         json,
    conversation   json,
    config         json not null,
    max_body_bytes integer not null,
    enabled        boolean not null,
    deleted        boolean not null default false,
    revision       bigint not null,
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now()
);
create unique index webhooks_path on webhooks (path) where not deleted;
create index webhooks_revision on webhooks (revision);

create table channels (
    id         text primary key,
    type       text not null,
    config     json not null,
    deleted    boolean not null default false,
    revision   bigint not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index channels_revision on channels (revision);

-- What flows name as `secrets.<name>`; `value` is encrypted.
create table secrets (
    name       text primary key,
    value      text not null,
    updated_at timestamptz not null default now()
);

create table events (
    id             uuid primary key,
    webhook_id     text not null,
    flow_id        text not null,
    node_id        text not null,
    status         text not null default 'received',
    method         text not null,
    headers        json not null,
    query_params   json not null,
    body           bytea not null,
    content_type   text not null,
    remote_address text not null,
    duplicate_key  text,
    group_key      text,
    config         json not null,
    error          json,
    received_at    timestamptz not null,
    processed_at   timestamptz
);
create index events_time on events (received_at, id);
create index events_webhook on events (webhook_id, received_at, id);
create index events_unfinished on events (received_at, id) where status = 'received';

create table conversations (
    id         uuid primary key,
    channel    text not null,
    contact    text not null,
    vars       json not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (channel, contact)
) with (fillfactor = 80);

-- `ready_at`: since when the present turn is due and not done (queued or running); null while the execution
-- waits and when it has ended. `wake_at`: when a wait ends by itself. `queued_at`: when it was created.
create table executions (
    id               uuid primary key,
    status           text not null default 'queued',
    flow_id          text not null,
    version          integer not null,
    node_id          text not null,
    event_id         uuid,
    conversation_id  uuid,
    channel          text,
    contact          text,
    trigger          json not null,
    state            json,
    error            json,
    output           json,
    turn             integer not null default 1,
    fence            bigint not null default 0,
    lease_owner      text,
    lease_until      timestamptz,
    cancel_requested boolean not null default false,
    ready_at         timestamptz,
    wake_at          timestamptz,
    deadline_at      timestamptz,
    queued_at        timestamptz not null,
    started_at       timestamptz,
    ended_at         timestamptz
) with (fillfactor = 70);
create index executions_time on executions (queued_at, id);
create index executions_event on executions (event_id) where event_id is not null;
create index executions_flow on executions (flow_id, queued_at, id);
create index executions_conversation on executions (conversation_id, queued_at, id) where conversation_id is not null;
create index executions_ready on executions (ready_at, id) where ready_at is not null;
create index executions_wake on executions (wake_at) where wake_at is not null;
create index executions_unfinished on executions (flow_id) where ended_at is null;

create table steps (
    execution_id uuid not null,
    seq          integer not null,
    node_id      text not null,
    type         text not null,
    status       text not null,
    attempt      integer not null,
    handle       text,
    input        json,
    output       json,
    error        json,
    started_at   timestamptz not null,
    ended_at     timestamptz,
    primary key (execution_id, seq)
);

-- `ended_at`: when its outcome was settled (sent, delivered, read, failed, cancelled).
create table notifications (
    id              uuid primary key,
    execution_id    uuid,
    conversation_id uuid,
    seq             integer not null,
    channel_id      text not null,
    recipient       text not null,
    payload         json not null,
    idempotency_key text not null unique,
    status          text not null default 'queued',
    attempts        integer not null default 0,
    uncertain       boolean not null default false,
    provider_id     text,
    error           json,
    due_at          timestamptz not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    ended_at        timestamptz
) with (fillfactor = 80);
create index notifications_time on notifications (created_at, id);
create index notifications_execution on notifications (execution_id) where execution_id is not null;
create index notifications_unfinished on notifications (due_at, id) where ended_at is null;
create index notifications_provider on notifications (channel_id, provider_id) where provider_id is not null;

create table notification_attempts (
    notification_id uuid not null,
    attempt         integer not null,
    outcome         text not null,
    status_code     integer,
    error           json,
    started_at      timestamptz not null,
    ended_at        timestamptz,
    primary key (notification_id, attempt)
);

create table dead_letters (
    id              uuid primary key,
    queue           text not null,
    job_id          text not null,
    function        text not null,
    payload         bytea not null,
    group_key       text,
    error           json not null,
    attempts        integer not null,
    history         json not null,
    enqueued_at     timestamptz,
    failed_at       timestamptz not null,
    replayed_at     timestamptz,
    replayed_job_id text,
    unique (queue, job_id, failed_at)
);
create index dead_letters_time on dead_letters (failed_at, id);
create index dead_letters_queue on dead_letters (queue, failed_at, id);

create table queue_pauses (
    queue     text primary key,
    paused_at timestamptz not null default now()
);

-- A table that grows all day is to be cleaned little and often, not once when a fifth of it is dead.
alter table events set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
alter table executions set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
alter table steps set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
alter table notifications set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- migrate: rollback

drop table queue_pauses, dead_letters, notification_attempts, notifications, steps, executions, conversations,
    events, secrets, channels, webhooks, configuration_revision, flow_versions, flows;
