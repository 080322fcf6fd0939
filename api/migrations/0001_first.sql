-- TEXT and BIGINT alone, `$1` placeholders: the same file serves SQLite and PostgreSQL. Times are
-- microseconds since 1970 (`_us`). No table refers to another domain's.

-- Event log. Positions rise by one without holes, so a reader by position misses nothing.
CREATE TABLE events (
    position BIGINT PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    aggregate_id TEXT NOT NULL,
    aggregate_type TEXT NOT NULL,
    event_type TEXT NOT NULL,
    version BIGINT NOT NULL,
    timestamp_us BIGINT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (aggregate_id, version)
);

CREATE TABLE outbox (
    position BIGINT PRIMARY KEY REFERENCES events (position),
    delivered_us BIGINT
);

CREATE TABLE idempotency_keys (
    idempotency_key TEXT PRIMARY KEY,
    request_hash TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    created_us BIGINT NOT NULL
);

-- users
CREATE TABLE organizations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    currency TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL
);

-- vehicles
CREATE TABLE vehicles (
    id TEXT PRIMARY KEY,
    vehicle_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    organization_id TEXT,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL
);

CREATE TABLE vehicle_mileage (
    vehicle_id TEXT PRIMARY KEY,
    trip_count BIGINT NOT NULL,
    distance_m BIGINT NOT NULL,
    odometer_m BIGINT,
    odometer_us BIGINT
);

-- trips
CREATE TABLE trip_revisions (
    trip_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    lake_version BIGINT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (trip_id, revision)
);

CREATE TABLE trips (
    trip_id TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    vehicle_id TEXT NOT NULL,
    status TEXT NOT NULL,
    start_us BIGINT NOT NULL,
    end_us BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX trips_by_start ON trips (start_us, trip_id);
CREATE INDEX trips_by_vehicle ON trips (vehicle_id, start_us, trip_id);

CREATE TABLE lake_followers (
    name TEXT PRIMARY KEY,
    version BIGINT NOT NULL
);

-- billing
CREATE TABLE tariffs (
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    name TEXT NOT NULL,
    is_latest BIGINT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (id, version)
);

CREATE TABLE tariff_assignments (
    organization_id TEXT PRIMARY KEY,
    tariff_id TEXT NOT NULL
);

-- One row a trip: what billing knows of it. `waiting` until its vehicle has an organization and
-- that a tariff; both stay with the trip from then on, whatever changes later.
CREATE TABLE trip_usage (
    trip_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    organization_id TEXT,
    tariff_id TEXT,
    tariff_version BIGINT,
    data TEXT NOT NULL
);
CREATE INDEX trip_usage_by_state ON trip_usage (state, trip_id);

CREATE TABLE invoices (
    id TEXT PRIMARY KEY,
    number BIGINT UNIQUE,
    organization_id TEXT NOT NULL,
    organization_name TEXT NOT NULL,
    status TEXT NOT NULL,
    period_start_us BIGINT NOT NULL,
    period_end_us BIGINT NOT NULL,
    time_zone TEXT NOT NULL,
    currency TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    finalized_us BIGINT,
    UNIQUE (organization_id, period_start_us)
);

CREATE TABLE invoice_lines (
    id TEXT PRIMARY KEY,
    invoice_id TEXT NOT NULL REFERENCES invoices (id),
    trip_id TEXT NOT NULL,
    component TEXT NOT NULL,
    trip_start_us BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    tax_percent TEXT NOT NULL,
    is_superseded BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX invoice_lines_by_invoice ON invoice_lines (invoice_id, is_superseded);
CREATE INDEX invoice_lines_by_trip ON invoice_lines (trip_id, is_superseded);

-- Up to which event billing has looked for organizations and tariffs that let trips be rated.
CREATE TABLE billing_settled (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);
