-- What the trips of a month take of a tariff's tiers, together and each.

CREATE TABLE month_usage (
    organization_id TEXT NOT NULL,
    period_start_us BIGINT NOT NULL,
    tariff_id TEXT NOT NULL,
    tariff_version BIGINT NOT NULL,
    component TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (organization_id, period_start_us, tariff_id, tariff_version, component)
);

CREATE TABLE trip_month_usage (
    trip_id TEXT NOT NULL,
    component TEXT NOT NULL,
    period_start_us BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    amount_minor BIGINT NOT NULL,
    PRIMARY KEY (trip_id, component)
);

-- When the trip ended; unknown of those rated before this column.
ALTER TABLE trip_usage ADD COLUMN end_us BIGINT;
CREATE INDEX trip_usage_by_organization ON trip_usage (organization_id, trip_id);
