-- The baseline: what writing an entry takes, one statement for each step, without a server in between. Frozen: the
-- ratios of `cargo bench` mean something over time only while this file stays as it is.
--   pgbench -n -c 10 -j 1 -M prepared -f create.sql -D text='\x…'      (text: 2,048 random bytes)
\set p random(1, 1000)
\set k random(1, 9000000000000000000)
BEGIN;
SELECT s.account_id, s.expires_at, s.revoked_at, a.kind, a.patient_id, a.disabled_at
    FROM b_sessions s JOIN b_accounts a ON a.id = s.account_id
    WHERE s.id = lpad(to_hex(:p::bigint), 32, '0')::uuid;
INSERT INTO b_idempotency_records (account_id, key_hash, fingerprint, status, created_at)
    VALUES (lpad(to_hex(:p::bigint), 32, '0')::uuid, sha256(int8send(:k::bigint)), sha256(int8send(:k::bigint)), 0, now())
    ON CONFLICT DO NOTHING;
UPDATE b_heads SET change_seq = change_seq + 1 WHERE patient_id = lpad(to_hex(:p::bigint), 32, '0')::uuid
    RETURNING change_seq \gset
INSERT INTO b_entries (patient_id, id, version, text, occurred_at, received_at, updated_at)
    VALUES (lpad(to_hex(:p::bigint), 32, '0')::uuid, lpad(to_hex(:k::bigint), 32, '0')::uuid, 1, :text::bytea, now(),
        now(), now())
    ON CONFLICT DO NOTHING;
INSERT INTO b_changes (patient_id, seq, entity, entity_id, version, op, actor_id, session_id, at)
    VALUES (lpad(to_hex(:p::bigint), 32, '0')::uuid, :change_seq::bigint, 1, lpad(to_hex(:k::bigint), 32, '0')::uuid, 1,
        1, lpad(to_hex(:p::bigint), 32, '0')::uuid, lpad(to_hex(:p::bigint), 32, '0')::uuid, now());
UPDATE b_idempotency_records SET status = 201, reference = lpad(to_hex(:k::bigint), 32, '0')::uuid
    WHERE account_id = lpad(to_hex(:p::bigint), 32, '0')::uuid AND key_hash = sha256(int8send(:k::bigint));
COMMIT;
