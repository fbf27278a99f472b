-- Decrypt many ciphertexts, in batches that commit, and list those that failed
-- with the reason.
--
-- Run this as the owner of the application's tables, who is a member of
-- kms_decrypter and kms_auditor (see grants.sql).  You may stop it at any time
-- and run it again: it continues with the remaining rows.

CREATE TABLE IF NOT EXISTS inbox (
    id bigint PRIMARY KEY,
    key_id text NOT NULL CHECK (key_id ~ '^[A-Za-z0-9_./+=:{}#@-]{1,128}$'),
    body text NOT NULL,         -- a ciphertext
    postcode text,              -- the part of the plaintext that is kept
    tried_at timestamptz
);

-- One bad row must not stop the others, so use kms_try_decrypt, which returns
-- NULL for it.  (A malformed key id raises an error, so the table's check
-- refuses it.)  Each event records application_name, which here names the row.
-- (If you need no reasons, "SELECT id, kms_try_decrypt(key_id, body) FROM
-- inbox" is faster, because a query that only reads can decrypt in parallel
-- workers.)
CREATE OR REPLACE PROCEDURE inbox_open(batch integer DEFAULT 1000)
LANGUAGE plpgsql
AS $$
DECLARE
    next_row inbox;
    tried integer;
BEGIN
    LOOP
        tried := 0;
        FOR next_row IN
            SELECT * FROM inbox WHERE tried_at IS NULL ORDER BY id LIMIT batch
            FOR UPDATE SKIP LOCKED
        LOOP
            PERFORM set_config('application_name', 'inbox ' || next_row.id, true);
            UPDATE inbox
            SET postcode = left(kms_try_decrypt(key_id, body), 5),
                tried_at = clock_timestamp()
            WHERE id = next_row.id;
            tried := tried + 1;
        END LOOP;
        COMMIT;
        EXIT WHEN tried = 0;
    END LOOP;
END $$;

CALL inbox_open();

-- List the failures.  First wait until all events are in kms.event.
SELECT kms_flush_events();

CREATE OR REPLACE VIEW inbox_failed AS
SELECT i.id, e.occurred_at, e.reason, e.key_id
FROM inbox AS i
JOIN kms.event AS e ON e.application_name = 'inbox ' || i.id
    AND e.operation = 'decrypt' AND e.status = 'failure'
WHERE i.postcode IS NULL;

SELECT reason, count(*) FROM inbox_failed GROUP BY reason ORDER BY 2 DESC;

-- To retry them, for example after the master key was restored:
--   UPDATE inbox SET tried_at = NULL WHERE postcode IS NULL;
--   CALL inbox_open();
