-- Forgetting a device: its keys and its personal data in the trail are gone, and the chain still verifies.
SELECT key_id AS gone FROM kms_issue_key('forget-"me"\') \gset
SELECT key_id AS old FROM kms_rotate_key('forget-"me"\') \gset
SELECT key_id AS stays FROM kms_issue_key('forget-not') \gset
SET kms.audit_context = 'forget this user';
SELECT kms_encrypt(:'old', 'x') AS c \gset
SELECT kms_decrypt(:'old', :'c');
SELECT kms_try_decrypt(:'gone', :'c');
-- refused before the device of the key was known
SELECT kms_try_decrypt(:'gone', 'AAAA');
SELECT kms_decrypt_recover(:'old', :'c', 'forget why');
SELECT kms_revoke_key(:'gone', 'forget reason');
RESET kms.audit_context;
SELECT kms_encrypt(:'stays', 'y') AS d \gset
SELECT kms_decrypt(:'stays', :'d');
-- an event in the quarantine
SELECT kms_flush_events();
ALTER TABLE kms.event ADD CONSTRAINT no_deprecate CHECK (operation <> 'deprecate') NOT VALID;
SELECT key_id <> '' AS new FROM kms_rotate_key('forget-"me"\') \gset
SELECT kms_disable_key(:'old');
SELECT kms_deprecate_key(:'stays');
SELECT kms_flush_events();
ALTER TABLE kms.event DROP CONSTRAINT no_deprecate;
SELECT intact, finding FROM kms_audit_verify();

-- a row that refers to a key must be deleted first
CREATE TABLE card (key_id text REFERENCES kms.key);
INSERT INTO card VALUES (:'gone');
\set VERBOSITY sqlstate
SELECT * FROM kms_forget_device('forget-"me"\');
\set VERBOSITY default
SELECT kms_key_state(:'gone');
DROP TABLE card;

-- refused in a snapshot that cannot see everything
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM kms_forget_device('forget-"me"\');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM kms_forget_device('forget-"me"\');
ROLLBACK;
SELECT * FROM kms_forget_device(NULL);
SELECT * FROM kms_forget_device('');

-- a rollback forgets nothing
BEGIN;
SELECT * FROM kms_forget_device('forget-"me"\');
ROLLBACK;
SELECT count(*) FROM kms.event WHERE device_id = 'forget-"me"\';

SELECT * FROM kms_forget_device('forget-"me"\');
SELECT kms_flush_events();
SELECT intact, bad_ticket, finding FROM kms_audit_verify();
\set VERBOSITY sqlstate
SELECT kms_key_state(:'gone');
SELECT kms_key_state(:'old');
\set VERBOSITY default
SELECT kms_key_state(:'stays');
-- no table has a trace
SELECT count(*) AS traces FROM (
	SELECT e::text FROM kms.event AS e UNION ALL SELECT o::text FROM kms.event_outbox AS o
	UNION ALL SELECT convert_from(event, 'SQL_ASCII') FROM kms.event_quarantine WHERE event IS NOT NULL
	UNION ALL SELECT k::text FROM kms.key AS k) AS t (line)
WHERE line ~ 'forget-[\\"]*me' OR line LIKE '%forget this user%' OR line LIKE '%forget why%'
	OR line LIKE '%forget reason%';
-- the ring has no trace either
SELECT position(convert_to('forget-"me"', 'UTF8') IN ring) > 0 AS device,
	position(convert_to('forget this user', 'UTF8') IN ring) > 0 AS context
FROM pg_database AS d, pg_read_binary_file('pg_stat_tmp/kms.' || d.oid) AS ring WHERE datname = current_database();
SELECT operation, status, reason, device_id, context, salt IS NULL AS unsalted, forgotten IS NOT NULL AS proven
FROM kms.event WHERE key_id IN (:'gone', :'old') ORDER BY 1, 2, 3;
SELECT operation, status, reason, context FROM kms.event WHERE operation = 'forget' ORDER BY ticket;
SELECT count(*) AS proven FROM kms.event_quarantine WHERE forgotten IS NOT NULL AND event IS NULL;
-- other devices are unchanged
SELECT kms_decrypt(:'stays', :'d');
SELECT count(*) > 0 AS still FROM kms.event WHERE device_id = 'forget-not' AND salt IS NOT NULL;
SELECT * FROM kms_forget_device('forget-"me"\');

-- a row that was blanked by hand is found, and so is a moved proof
BEGIN;
UPDATE kms.event SET device_id = NULL, client_addr = NULL, context = NULL, audit_context = NULL, salt = NULL
WHERE device_id = 'forget-not' AND operation = 'decrypt';
SELECT intact, finding FROM kms_audit_verify();
ROLLBACK;
BEGIN;
UPDATE kms.event AS e SET device_id = NULL, client_addr = NULL, context = NULL, audit_context = NULL,
	salt = NULL, forgotten = (SELECT forgotten FROM kms.event WHERE forgotten IS NOT NULL LIMIT 1)
WHERE device_id = 'forget-not' AND operation = 'decrypt';
SELECT intact, finding FROM kms_audit_verify();
ROLLBACK;
BEGIN;
UPDATE kms.event SET device_id = 'forget-not' WHERE forgotten IS NOT NULL AND operation = 'revoke';
SELECT intact, finding FROM kms_audit_verify();
ROLLBACK;
SELECT intact FROM kms_audit_verify();
-- the quarantine keeps the tickets of its events
SELECT count(*) FROM kms.event_quarantine;

-- an import that was refused names the key of another device, of which nothing is forgotten
\set pem `openssl genrsa 2048 2>/dev/null`
CREATE TEMP TABLE pem AS SELECT :'pem'::text AS pem;
\set VERBOSITY sqlstate
SELECT kms_import_key('forget-too', pem, :'stays') FROM pem;
\set VERBOSITY default
SELECT kms_try_decrypt(:'stays', 'AAAA');
SELECT kms_flush_events();
SELECT count(*) FROM kms.event WHERE device_id = 'forget-too' AND key_id = :'stays';
SELECT * FROM kms_forget_device('forget-too');
SELECT operation, status, device_id FROM kms.event WHERE key_id = :'stays' AND forgotten IS NOT NULL;
-- nor of a device whose key was destroyed, and then imported there
SELECT kms_import_key('forget-too', pem, 'forget-moved') FROM pem;
SELECT kms_destroy_key('forget-moved', 'forget-moved');
SELECT kms_import_key('forget-not', pem, 'forget-moved') FROM pem;
SELECT keys, events FROM kms_forget_device('forget-too');
SELECT kms_key_state('forget-moved');
SELECT intact, finding FROM kms_audit_verify();
