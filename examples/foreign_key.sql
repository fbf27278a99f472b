-- A column with a foreign key to kms.key, its effect on the purge, and views
-- that show which rows keep keys from being purged.
--
-- Run this as superuser or owner of the extension.  The application's tables
-- belong to role shop, which needs no right on kms.key for this.
--
-- Such a constraint requires the right REFERENCES on kms.key.  Do not grant it,
-- because a role with that right can keep keys from being purged.  Make the
-- constraint yourself.  kms_check() names the roles with that right.

CREATE TABLE message (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id text NOT NULL,
    body text NOT NULL
);
ALTER TABLE message OWNER TO shop;

-- Use NO ACTION, the default, or RESTRICT.  CASCADE and SET NULL are refused,
-- because triggers of this table would run as the owner of kms.key.  A column
-- of another type than text, varchar or bpchar is refused, because its cast
-- would run as that owner.  The purge needs the index, because it looks for
-- each key here.
ALTER TABLE message ADD CONSTRAINT message_key
    FOREIGN KEY (key_id) REFERENCES kms.key ON DELETE NO ACTION;
CREATE INDEX message_key_idx ON message (key_id);

-- The purge skips a key that a row refers to, deletes the others, and retries
-- later; kms_check() reports the skipped keys.  By then only
-- kms_decrypt_recover() decrypts with such a key.

-- All foreign keys to kms.key.
CREATE VIEW key_references AS
SELECT c.conrelid::regclass AS referring_table, c.conname AS name,
    pg_get_constraintdef(c.oid) AS definition
FROM pg_constraint AS c
WHERE c.contype = 'f' AND c.confrelid = 'kms.key'::regclass;

-- The keys that rows of this table keep from being purged.
CREATE VIEW message_keeps_key AS
SELECT m.key_id, k.device_id, k.expires_at, k.tried_at, count(*) AS messages
FROM kms.key AS k
JOIN message AS m ON m.key_id = k.key_id
WHERE k.tried_at IS NOT NULL
GROUP BY m.key_id, k.device_id, k.expires_at, k.tried_at;

SELECT * FROM key_references;
SELECT * FROM message_keeps_key;

-- Delete those messages, and the next round of maintenance purges the keys:
--   DELETE FROM message WHERE key_id IN (SELECT key_id FROM message_keeps_key);
--   SELECT * FROM kms_maintain();
