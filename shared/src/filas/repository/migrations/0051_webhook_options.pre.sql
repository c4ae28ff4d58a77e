-- Further fields of webhooks
-- depends: 0050_event_reason.pre

-- migrate: apply

-- The fields of `filas.models.configuration.WebhookOptions` that have not their default.
alter table webhooks add column options json not null default '{}';

-- migrate: rollback

alter table webhooks drop column options;
