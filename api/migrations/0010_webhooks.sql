-- Who is told of events by HTTP, and what they were told.

CREATE TABLE webhook_endpoints (
    id TEXT PRIMARY KEY,
    organization_id TEXT REFERENCES organizations (id),
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    -- A JSON array of names; an empty one for all.
    event_types TEXT NOT NULL,
    secret TEXT NOT NULL,
    -- The one before, which signs beside it until then.
    previous_secret TEXT,
    previous_until_us BIGINT,
    is_enabled BIGINT NOT NULL,
    -- Since when no delivery got through.
    failing_since_us BIGINT,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    deleted_us BIGINT
);

CREATE TABLE webhook_deliveries (
    id TEXT PRIMARY KEY,
    endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints (id),
    event_position BIGINT NOT NULL REFERENCES events (position),
    status TEXT NOT NULL,
    attempt_count BIGINT NOT NULL,
    next_attempt_us BIGINT,
    last_attempt_us BIGINT,
    -- The HTTP status answered, or what came instead of one.
    last_status BIGINT,
    last_error TEXT,
    delivered_us BIGINT,
    created_us BIGINT NOT NULL,
    UNIQUE (endpoint_id, event_position)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_us) WHERE next_attempt_us IS NOT NULL;
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, id);
CREATE INDEX outbox_waiting ON outbox (position) WHERE delivered_us IS NULL;
