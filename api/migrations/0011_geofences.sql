-- Places that are watched, and which vehicles are in them.

-- vehicles
CREATE TABLE geofences (
    id TEXT PRIMARY KEY,
    -- None of the operator's, which watch everybody's vehicles.
    organization_id TEXT,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    colour TEXT NOT NULL,
    -- A JSON array, in lower case.
    tags TEXT NOT NULL,
    -- JSON.
    geometry TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX geofences_by_organization ON geofences (organization_id, id);

-- A row a vehicle that ever was in one.
CREATE TABLE geofence_presences (
    geofence_id TEXT NOT NULL REFERENCES geofences (id),
    vehicle_id TEXT NOT NULL,
    is_inside BIGINT NOT NULL,
    -- When it came in last, by its own clock.
    entered_us BIGINT NOT NULL,
    -- When it came in or went out last: what was read before that crosses nothing.
    crossed_us BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (geofence_id, vehicle_id)
);
CREATE INDEX geofence_presences_inside ON geofence_presences (geofence_id, vehicle_id) WHERE is_inside = 1;
