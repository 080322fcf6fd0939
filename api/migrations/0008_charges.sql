-- What is owed that is no trip's line, such as what a wallet had not for a booking: with its own tax.

CREATE TABLE invoice_charges (
    id TEXT PRIMARY KEY,
    invoice_id TEXT NOT NULL REFERENCES invoices (id),
    -- The id of what it is for.
    reference TEXT NOT NULL,
    net_minor BIGINT NOT NULL,
    tax_minor BIGINT NOT NULL,
    tax_percent TEXT NOT NULL,
    is_superseded BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX invoice_charges_by_invoice ON invoice_charges (invoice_id, is_superseded);
CREATE INDEX invoice_charges_by_reference ON invoice_charges (reference, is_superseded);
