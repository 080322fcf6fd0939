-- Signing in at a provider: who is on the way there, whom its people are here, and who is signed in.

-- A row a visit to the provider, until it is back or too late. What is secret of it is the browser's.
CREATE TABLE sign_ins (
    -- SHA-256 of the `state`, and of the browser's cookie.
    state_hash TEXT PRIMARY KEY,
    browser_hash TEXT NOT NULL,
    return_to TEXT NOT NULL,
    ends_us BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_end ON sign_ins (ends_us);

CREATE TABLE user_identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX user_identities_by_user ON user_identities (user_id);

-- What ended has no row.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    -- SHA-256 of the cookie.
    secret_hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    -- The user's, which stays.
    organization_id TEXT,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    seen_us BIGINT NOT NULL,
    ends_us BIGINT NOT NULL,
    -- The provider's tokens, sealed with the key of `session_key_file`; none where there is no such key.
    tokens TEXT,
    -- When the provider is to be asked again; never where it gave nothing to ask with.
    check_us BIGINT,
    -- Until when somebody asks: of several at once the provider would take all but one for thieves.
    checking_until_us BIGINT
);
CREATE INDEX sessions_by_organization ON sessions (organization_id, id);
CREATE INDEX sessions_by_user ON sessions (user_id, id);
