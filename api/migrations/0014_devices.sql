-- The units in the vehicles, and the certificates they connect with.

CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    -- None of the operator's.
    organization_id TEXT,
    name TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    hardware_model TEXT,
    -- None of one that lies on the shelf. The name is the vehicle's telemetry id, which never changes.
    vehicle_id TEXT,
    vehicle_name TEXT,
    status TEXT NOT NULL,
    -- 64 hexadecimal digits.
    signing_public_key TEXT,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE UNIQUE INDEX devices_by_serial_number ON devices (COALESCE(organization_id, ''), serial_number);
-- A vehicle has one at most: two would be one to the broker.
CREATE UNIQUE INDEX devices_by_vehicle ON devices (vehicle_id) WHERE vehicle_id IS NOT NULL;
CREATE INDEX devices_by_vehicle_name ON devices (vehicle_name) WHERE signing_public_key IS NOT NULL;

-- Not made of events: the log has no secrets, nor their hashes.
CREATE TABLE enrolment_tokens (
    token_hash TEXT PRIMARY KEY,
    device_id TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    used_us BIGINT,
    certificate_id TEXT
);
CREATE INDEX enrolment_tokens_by_device ON enrolment_tokens (device_id);

CREATE TABLE certificates (
    id TEXT PRIMARY KEY,
    organization_id TEXT,
    device_id TEXT NOT NULL,
    vehicle_id TEXT NOT NULL,
    common_name TEXT NOT NULL,
    -- SHA-256 of the public key of who signed it, and of its own.
    authority TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    serial TEXT NOT NULL UNIQUE,
    fingerprint_sha256 TEXT NOT NULL,
    not_before_us BIGINT NOT NULL,
    not_after_us BIGINT NOT NULL,
    issued_by TEXT NOT NULL,
    replaced_by_id TEXT,
    revoked_us BIGINT,
    revocation_reason TEXT,
    pem TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX certificates_by_device ON certificates (device_id, id);
CREATE INDEX certificates_by_common_name ON certificates (common_name);
CREATE INDEX certificates_by_end ON certificates (not_after_us);
CREATE INDEX certificates_revoked ON certificates (authority, revoked_us) WHERE revoked_us IS NOT NULL;

-- The list of revoked certificates as it was signed last, of each authority. Not made of events.
CREATE TABLE revocation_lists (
    authority TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    -- How many had been revoked when it was made.
    revoked_count BIGINT NOT NULL,
    made_us BIGINT NOT NULL,
    next_update_us BIGINT NOT NULL,
    -- Base64 of its DER.
    der TEXT NOT NULL
);
