-- What people said of trips: merged, split, marked.

-- trips
CREATE TABLE trip_corrections (
    id TEXT PRIMARY KEY,
    -- The vehicle's telemetry id.
    vehicle_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL,
    made_us BIGINT NOT NULL,
    version BIGINT NOT NULL,
    -- The version that the lake has; less than the other while it is to be handed over.
    recorded_version BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX trip_corrections_by_vehicle ON trip_corrections (vehicle_id, made_us, id);
CREATE INDEX trip_corrections_to_record ON trip_corrections (made_us, id) WHERE recorded_version < version;
