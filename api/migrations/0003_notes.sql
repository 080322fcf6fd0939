-- Credit and debit notes, and what an invoice is after it became final.

ALTER TABLE invoices ADD COLUMN paid_minor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invoices ADD COLUMN paid_us BIGINT;
ALTER TABLE invoices ADD COLUMN voided_us BIGINT;
ALTER TABLE invoices ADD COLUMN void_reason TEXT;

CREATE TABLE credit_notes (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    invoice_id TEXT NOT NULL REFERENCES invoices (id),
    organization_id TEXT NOT NULL,
    trip_id TEXT NOT NULL,
    trip_revision BIGINT NOT NULL,
    total_minor BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    data TEXT NOT NULL,
    -- A revision of a trip corrects once, whoever follows it and however often.
    UNIQUE (trip_id, trip_revision)
);
CREATE INDEX credit_notes_by_invoice ON credit_notes (invoice_id, number);

CREATE TABLE credit_note_lines (
    id TEXT PRIMARY KEY,
    note_id TEXT NOT NULL REFERENCES credit_notes (id),
    trip_id TEXT NOT NULL,
    place BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX credit_note_lines_by_note ON credit_note_lines (note_id, place);
CREATE INDEX credit_note_lines_by_trip ON credit_note_lines (trip_id);
