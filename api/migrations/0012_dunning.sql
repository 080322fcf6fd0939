-- When invoices are due, and what is done about those that are not paid by then.

-- None of invoices that were made final before: these have no due date and are not dunned.
ALTER TABLE invoices ADD COLUMN due_us BIGINT;
-- Since when it is overdue, for as long as anything of it is due.
ALTER TABLE invoices ADD COLUMN overdue_us BIGINT;
ALTER TABLE invoices ADD COLUMN uncollectible_us BIGINT;
CREATE INDEX invoices_overdue ON invoices (overdue_us) WHERE overdue_us IS NOT NULL;

CREATE TABLE dunning_policies (
    -- An organization, or 'installation' for those that have none of their own.
    scope TEXT NOT NULL,
    version BIGINT NOT NULL,
    is_latest BIGINT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (scope, version)
);
CREATE INDEX dunning_policies_latest ON dunning_policies (scope) WHERE is_latest = 1;

-- A row an invoice, made of its dunning's events; `next_us` is when it has to be looked at, if ever.
CREATE TABLE dunning_cases (
    invoice_id TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    status TEXT NOT NULL,
    is_suspending BIGINT NOT NULL,
    next_us BIGINT,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX dunning_cases_next ON dunning_cases (next_us) WHERE next_us IS NOT NULL;
CREATE INDEX dunning_cases_suspending ON dunning_cases (organization_id) WHERE is_suspending = 1;
