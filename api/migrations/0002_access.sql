-- users: who may come in, as what, and what they changed. Without an organization: of the operator.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    organization_id TEXT,
    role TEXT NOT NULL,
    is_active BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    prefix TEXT NOT NULL UNIQUE,
    secret_hash TEXT NOT NULL,
    name TEXT NOT NULL,
    organization_id TEXT,
    user_id TEXT,
    role TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT,
    revoked_us BIGINT,
    last_used_us BIGINT
);

-- A row a write, of the same transaction as what it changed; a refused one by itself.
CREATE TABLE audit_log (
    id TEXT PRIMARY KEY,
    organization_id TEXT,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    path TEXT NOT NULL,
    result TEXT NOT NULL,
    request_id TEXT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX audit_log_by_organization ON audit_log (organization_id, id);
