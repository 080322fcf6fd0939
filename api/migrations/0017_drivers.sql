-- Who drives, in which vehicle and when; and groups of vehicles.

-- drivers
CREATE TABLE drivers (
    id TEXT PRIMARY KEY,
    -- None of the operator's.
    organization_id TEXT,
    name TEXT NOT NULL,
    -- Name and number in lower case: what is searched and sorted by.
    search TEXT NOT NULL,
    employee_number TEXT,
    user_id TEXT,
    licence_number TEXT,
    -- A JSON array.
    licence_classes TEXT NOT NULL,
    -- Year, month and day as one number: 20270131.
    licence_until BIGINT,
    phone TEXT,
    status TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE INDEX drivers_by_name ON drivers (search, id);
CREATE UNIQUE INDEX drivers_by_number ON drivers (COALESCE(organization_id, ''), employee_number)
    WHERE employee_number IS NOT NULL;
CREATE UNIQUE INDEX drivers_by_user ON drivers (user_id) WHERE user_id IS NOT NULL;

-- Of a vehicle no two overlap, nor of a driver.
CREATE TABLE driver_assignments (
    id TEXT PRIMARY KEY,
    organization_id TEXT,
    driver_id TEXT NOT NULL,
    -- The name is the vehicle's telemetry id, which never changes.
    vehicle_id TEXT NOT NULL,
    vehicle_name TEXT NOT NULL,
    from_us BIGINT NOT NULL,
    -- None while it is open.
    to_us BIGINT,
    note TEXT,
    made_by TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE INDEX driver_assignments_by_vehicle ON driver_assignments (vehicle_name, from_us);
CREATE INDEX driver_assignments_by_driver ON driver_assignments (driver_id, from_us);
CREATE INDEX driver_assignments_by_start ON driver_assignments (from_us, id);
CREATE UNIQUE INDEX driver_assignments_open_of_vehicle ON driver_assignments (vehicle_id) WHERE to_us IS NULL;
CREATE UNIQUE INDEX driver_assignments_open_of_driver ON driver_assignments (driver_id) WHERE to_us IS NULL;

-- vehicles
CREATE TABLE vehicle_groups (
    id TEXT PRIMARY KEY,
    -- None of the operator's, which are of vehicles that are nobody's.
    organization_id TEXT,
    name TEXT NOT NULL,
    -- In lower case: no two names differ by case alone.
    name_key TEXT NOT NULL,
    description TEXT,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX vehicle_groups_by_name ON vehicle_groups (COALESCE(organization_id, ''), name_key);

CREATE TABLE group_vehicles (
    group_id TEXT NOT NULL REFERENCES vehicle_groups (id),
    vehicle_id TEXT NOT NULL,
    joined_us BIGINT NOT NULL,
    PRIMARY KEY (group_id, vehicle_id)
);
CREATE INDEX group_vehicles_by_vehicle ON group_vehicles (vehicle_id, group_id);
