-- Open many ciphertexts, in batches that commit, and list what did not open
-- and why.
--
-- Run as the owner of the application's tables, who has kms_decrypter and
-- kms_auditor (see grants.sql).  Stop it and run it again as you like: it
-- goes on where it was.

CREATE TABLE IF NOT EXISTS inbox (
    id bigint PRIMARY KEY,
    key_id text NOT NULL CHECK (key_id ~ '^[A-Za-z0-9_.-]{1,64}$'),
    body text NOT NULL,         -- a ciphertext
    postcode text,              -- what is kept of the plaintext
    tried_at timestamptz
);

-- One bad row must not stop the others: kms_try_decrypt gives NULL for it (but
-- not for what is no key id at all, which the table's check keeps out).
-- Each event carries application_name, which here says which row it was.  (If
-- you need no reasons, "SELECT id, kms_try_decrypt(key_id, body) FROM inbox"
-- is faster: a query that only reads decrypts in parallel workers.)
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

-- What did not open, and why.  First wait until what was recorded is there.
SELECT kms_flush_events();

CREATE OR REPLACE VIEW inbox_failed AS
SELECT i.id, e.occurred_at, e.reason, e.key_id
FROM inbox AS i
JOIN kms.event AS e ON e.application_name = 'inbox ' || i.id
    AND e.operation = 'decrypt' AND e.status = 'failure'
WHERE i.postcode IS NULL;

SELECT reason, count(*) FROM inbox_failed GROUP BY reason ORDER BY 2 DESC;

-- To try some again, say after the master key was brought back:
--   UPDATE inbox SET tried_at = NULL WHERE postcode IS NULL;
--   CALL inbox_open();
