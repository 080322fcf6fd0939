-- Maintenance: schedules, where each vehicle is in them, and work orders.

CREATE TABLE maintenance_schedules (
    id TEXT PRIMARY KEY,
    -- None of the operator's, which are for vehicles that are nobody's.
    organization_id TEXT,
    is_enabled BIGINT NOT NULL,
    version BIGINT NOT NULL,
    -- JSON: the schedule.
    data TEXT NOT NULL
);
CREATE INDEX maintenance_schedules_by_organization ON maintenance_schedules (organization_id, id);

-- A row a vehicle that ever was in a schedule: the interval it is in.
CREATE TABLE maintenance_items (
    schedule_id TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    -- When the interval began, and at which odometer; none while none was known.
    since_us BIGINT NOT NULL,
    odometer_m BIGINT,
    -- It began with work that was done, not with the schedule.
    is_done BIGINT NOT NULL,
    -- What was said of the interval: 'ok' while nothing, 'due_soon', 'overdue'; and under which limits.
    told TEXT NOT NULL,
    told_limits TEXT,
    version BIGINT NOT NULL,
    PRIMARY KEY (schedule_id, vehicle_id)
);
CREATE INDEX maintenance_items_by_vehicle ON maintenance_items (vehicle_id);

CREATE TABLE work_orders (
    id TEXT PRIMARY KEY,
    organization_id TEXT,
    vehicle_id TEXT NOT NULL,
    -- None of a repair.
    schedule_id TEXT,
    status TEXT NOT NULL,
    -- None while it is open or in progress.
    closed_us BIGINT,
    version BIGINT NOT NULL,
    -- JSON: the work order.
    data TEXT NOT NULL
);
CREATE INDEX work_orders_by_organization ON work_orders (organization_id, id);
CREATE INDEX work_orders_by_vehicle ON work_orders (vehicle_id, id);
-- The same work is ordered once.
CREATE UNIQUE INDEX work_orders_open ON work_orders (schedule_id, vehicle_id)
    WHERE closed_us IS NULL AND schedule_id IS NOT NULL;
