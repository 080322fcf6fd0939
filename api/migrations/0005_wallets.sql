-- Wallets: a ledger of double entries, and holds on what is in them.

CREATE TABLE wallets (
    id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL UNIQUE,
    currency TEXT NOT NULL,
    balance_minor BIGINT NOT NULL,
    held_minor BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    CHECK (held_minor >= 0 AND balance_minor >= held_minor)
);

-- Entries are only ever added; those of one transaction sum to zero in each currency.
CREATE TABLE ledger_entries (
    id TEXT PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    place BIGINT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    counter_account TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    reference TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    UNIQUE (transaction_id, place)
);
CREATE INDEX ledger_entries_by_account ON ledger_entries (account, created_us, id);

CREATE TABLE wallet_holds (
    id TEXT PRIMARY KEY,
    wallet_id TEXT NOT NULL REFERENCES wallets (id),
    status TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    captured_minor BIGINT NOT NULL,
    reason TEXT NOT NULL,
    expires_us BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    closed_us BIGINT
);
CREATE INDEX wallet_holds_by_wallet ON wallet_holds (wallet_id, created_us, id);
CREATE INDEX wallet_holds_due ON wallet_holds (status, expires_us);
