-- Sessions that were ended, and sign-in links that were used, until they would have expired
-- depends: 0121_rare_state_indexes.pre

-- migrate: apply

-- `kind` is `session` or `link`. A row is deleted a day after `expires_at`.
create table revoked_tokens (
    id         uuid primary key,
    kind       text not null,
    expires_at timestamptz not null
);

-- migrate: rollback

drop table revoked_tokens;
