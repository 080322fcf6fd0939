-- The agents in the vehicles: how each is, the campaigns it is to run, the commands it is sent.

-- agents: what each told last. Not made of events: the broker keeps it (retained), and it comes anew.
CREATE TABLE agents (
    vehicle_id TEXT PRIMARY KEY,
    is_online BIGINT NOT NULL,
    agent_version TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    catalog_hash TEXT NOT NULL,
    link TEXT NOT NULL,
    since_us BIGINT NOT NULL,
    -- The campaign set in force; none when only the default collection runs.
    set_name TEXT,
    set_revision BIGINT,
    set_hash TEXT,
    -- Why the latest set that came was refused; empty when it was not.
    refusal TEXT NOT NULL,
    heard_us BIGINT NOT NULL
);

-- What authors write. What vehicles run is a copy of it, in a deployment.
CREATE TABLE campaign_sets (
    id TEXT PRIMARY KEY,
    -- None of the operator's.
    organization_id TEXT,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    text TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    changed_us BIGINT NOT NULL
);
CREATE INDEX campaign_sets_by_organization ON campaign_sets (organization_id, id);

CREATE TABLE campaign_deployments (
    id TEXT PRIMARY KEY,
    organization_id TEXT,
    -- None of one that ends campaigns.
    campaign_set_id TEXT,
    name TEXT NOT NULL,
    -- Rises over all deployments: a vehicle takes none that is not above the one it runs.
    revision BIGINT NOT NULL UNIQUE,
    -- As it is delivered, but for the signature.
    text TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_us BIGINT NOT NULL
);
CREATE INDEX campaign_deployments_by_organization ON campaign_deployments (organization_id, id);

-- A row a vehicle of a deployment.
CREATE TABLE campaign_targets (
    deployment_id TEXT NOT NULL REFERENCES campaign_deployments (id),
    vehicle_id TEXT NOT NULL,
    -- No later deployment is for it.
    is_current BIGINT NOT NULL,
    -- When the broker was given it last; none while it is to be.
    published_us BIGINT,
    PRIMARY KEY (deployment_id, vehicle_id)
);
CREATE UNIQUE INDEX campaign_targets_current ON campaign_targets (vehicle_id) WHERE is_current = 1;
CREATE INDEX campaign_targets_due ON campaign_targets (vehicle_id) WHERE is_current = 1 AND published_us IS NULL;

CREATE TABLE commands (
    -- Also the name it has in the vehicle's reply.
    id TEXT PRIMARY KEY,
    vehicle_id TEXT NOT NULL,
    -- JSON: what is to be done.
    task TEXT NOT NULL,
    -- Rises with each of the vehicle.
    sequence BIGINT NOT NULL,
    issued_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    -- None while no reply has come.
    outcome TEXT,
    -- JSON: the reply.
    reply TEXT,
    replied_us BIGINT,
    published_us BIGINT
);
CREATE INDEX commands_by_vehicle ON commands (vehicle_id, id);
CREATE INDEX commands_due ON commands (expires_us) WHERE outcome IS NULL AND published_us IS NULL;
