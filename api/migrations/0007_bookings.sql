-- Bookings, the trips planned and driven within them, and what people are told.

-- bookings
-- A row a booking, made of its events; `due_us` is when it has to be looked at, if ever.
CREATE TABLE bookings (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    -- Telemetry id; none until a vehicle is chosen.
    vehicle_id TEXT,
    status TEXT NOT NULL,
    reserves_vehicle BIGINT NOT NULL,
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL,
    due_us BIGINT,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX bookings_by_start ON bookings (from_us, id);
CREATE INDEX bookings_by_organization ON bookings (organization_id, from_us, id);
CREATE INDEX bookings_by_vehicle ON bookings (vehicle_id, reserves_vehicle, to_us);
CREATE INDEX bookings_due ON bookings (due_us);

-- Trips driven within a booking: it pays them, so they are on no invoice.
CREATE TABLE booked_trips (
    trip_id TEXT PRIMARY KEY,
    booking_id TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX booked_trips_by_booking ON booked_trips (booking_id, trip_id);

-- trips
CREATE TABLE planned_trips (
    id TEXT PRIMARY KEY,
    vehicle_id TEXT NOT NULL,
    status TEXT NOT NULL,
    start_us BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX planned_trips_by_vehicle ON planned_trips (vehicle_id, start_us);

-- users
-- What is to be told, written with what it tells of; delivered afterwards.
CREATE TABLE notification_outbox (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    user_id TEXT,
    body TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    delivered_us BIGINT,
    -- One thing is told once.
    UNIQUE (kind, subject_id)
);
CREATE INDEX notification_outbox_by_delivery ON notification_outbox (delivered_us, id);

-- What was delivered within the application.
CREATE TABLE notifications (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    user_id TEXT,
    body TEXT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX notifications_by_organization ON notifications (organization_id, id);
