-- A column with a foreign key to kms.key, what the purge makes of it, and how
-- to find what keeps a key from being purged.
--
-- Run as superuser or owner of the extension.  The application's tables
-- belong to role shop, which needs no right on kms.key for this.
--
-- To make such a constraint takes REFERENCES on kms.key.  Do not grant that,
-- make the constraint yourself: a role that has it can keep keys from being
-- purged.  kms_check() names roles that have it.

CREATE TABLE message (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id text NOT NULL,
    body text NOT NULL
);
ALTER TABLE message OWNER TO shop;

-- NO ACTION, the default, or RESTRICT.  CASCADE and SET NULL are refused,
-- because triggers of this table would run as the owner of kms.key, and so is
-- a column of another type than text, varchar or bpchar, because its cast
-- would.  The index is for the purge: it looks here for each key.
ALTER TABLE message ADD CONSTRAINT message_key
    FOREIGN KEY (key_id) REFERENCES kms.key ON DELETE NO ACTION;
CREATE INDEX message_key_idx ON message (key_id);

-- The purge passes over a key that a row refers to, takes the others, tries
-- it again later, and kms_check() says so.  The key does not open anything by
-- then, but for kms_decrypt_recover().

-- All foreign keys to kms.key.
CREATE VIEW key_references AS
SELECT c.conrelid::regclass AS referring_table, c.conname AS name,
    pg_get_constraintdef(c.oid) AS definition
FROM pg_constraint AS c
WHERE c.contype = 'f' AND c.confrelid = 'kms.key'::regclass;

-- Which rows of this table keep which keys.
CREATE VIEW message_keeps_key AS
SELECT m.key_id, k.device_id, k.expires_at, k.tried_at, count(*) AS messages
FROM kms.key AS k
JOIN message AS m ON m.key_id = k.key_id
WHERE k.tried_at IS NOT NULL
GROUP BY m.key_id, k.device_id, k.expires_at, k.tried_at;

SELECT * FROM key_references;
SELECT * FROM message_keeps_key;

-- Deal with those messages, and the next round takes the keys:
--   DELETE FROM message WHERE key_id IN (SELECT key_id FROM message_keeps_key);
--   SELECT * FROM kms_maintain();
