-- Alert rules, how far each has come in the lake, and the alerts they raised.

-- alerts
CREATE TABLE alert_rules (
    id TEXT PRIMARY KEY,
    -- None of the operator's, which are for everybody's vehicles.
    organization_id TEXT,
    is_enabled BIGINT NOT NULL,
    version BIGINT NOT NULL,
    -- JSON: the rule.
    data TEXT NOT NULL
);
CREATE INDEX alert_rules_by_organization ON alert_rules (organization_id, id);

CREATE TABLE alert_progress (
    rule_id TEXT PRIMARY KEY,
    -- JSON: up to which version of each table it was asked.
    versions TEXT NOT NULL,
    -- Rises with each step.
    turn BIGINT NOT NULL,
    evaluated_us BIGINT,
    -- Why it could not be asked last.
    fault TEXT
);

-- Moments that are told of when later data of the vehicle is there.
CREATE TABLE alert_pending (
    rule_id TEXT NOT NULL,
    -- The vehicle's telemetry id.
    vehicle_id TEXT NOT NULL,
    from_us BIGINT NOT NULL,
    touched_us BIGINT NOT NULL,
    PRIMARY KEY (rule_id, vehicle_id)
);

CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    rule_id TEXT NOT NULL,
    asked_version BIGINT NOT NULL,
    organization_id TEXT,
    -- The vehicle's telemetry id.
    vehicle_id TEXT NOT NULL,
    status TEXT NOT NULL,
    start_us BIGINT NOT NULL,
    -- The last moment that is known: it moves with every look while it is open, without an event.
    last_us BIGINT NOT NULL,
    -- When that was found.
    seen_us BIGINT NOT NULL,
    acknowledged_us BIGINT,
    version BIGINT NOT NULL,
    -- JSON: the alert.
    data TEXT NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (start_us, id);
CREATE INDEX alerts_by_vehicle ON alerts (vehicle_id, start_us);
CREATE INDEX alerts_by_rule ON alerts (rule_id, vehicle_id, start_us);
CREATE INDEX alerts_open ON alerts (rule_id) WHERE status = 'open';
