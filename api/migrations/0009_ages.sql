-- What is forgotten by its age, and payments that wait for somebody.
CREATE INDEX idempotency_keys_by_created ON idempotency_keys (created_us);
CREATE INDEX audit_log_by_created ON audit_log (created_us);
CREATE INDEX payments_waiting ON payments (status, updated_us);
