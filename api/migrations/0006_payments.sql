-- Payments of invoices, and refunds of payments.

CREATE TABLE payments (
    id TEXT PRIMARY KEY,
    invoice_id TEXT NOT NULL REFERENCES invoices (id),
    status TEXT NOT NULL,
    method TEXT NOT NULL,
    -- The gateway's token of a card, or the wallet's id.
    source TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    refunded_minor BIGINT NOT NULL,
    error_type TEXT,
    action_url TEXT,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    CHECK (refunded_minor >= 0 AND refunded_minor <= amount_minor)
);
CREATE INDEX payments_by_created ON payments (created_us, id);
-- An invoice is paid by one payment at a time, so that two at once cannot both take all that is due.
CREATE UNIQUE INDEX payments_open ON payments (invoice_id) WHERE status IN ('pending', 'requires_action');

CREATE TABLE refunds (
    id TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    status TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL
);
CREATE INDEX refunds_by_payment ON refunds (payment_id, created_us, id);
