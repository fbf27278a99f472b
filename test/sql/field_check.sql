-- Findings of kms_check() about field keys, and repairs of kms_maintain().
\set SHOW_CONTEXT never

CREATE VIEW pg_temp.findings AS SELECT severity, regexp_replace(finding, 'sample of \d+', 'sample of N') AS finding, hint
FROM kms_check() WHERE finding ~ 'checked';
SELECT kms_create_field_key('checked'), kms_create_field_key('checked.a');
SELECT * FROM pg_temp.findings;
-- a right
CREATE ROLE regress_kms_reader;
GRANT EXECUTE ON FUNCTION kms_field."checked/decrypt"() TO regress_kms_reader;
SELECT * FROM pg_temp.findings;
-- a missing function
DROP FUNCTION kms_field."checked/decrypt"();
SELECT * FROM pg_temp.findings;
SELECT task, done FROM kms_maintain() WHERE task = 'rotate field keys';
SELECT * FROM pg_temp.findings;
SELECT proname, proacl::text LIKE '{%=X/%}' AND NOT has_function_privilege('public', oid, 'EXECUTE') AS closed
FROM pg_proc WHERE proname = 'checked/decrypt';
-- a row that was changed, and an old one that was restored
CREATE TEMPORARY TABLE old AS SELECT * FROM kms.field_key WHERE field_key = 'checked.a';
UPDATE kms.field_key SET rotate_after = '1 day' WHERE field_key = 'checked.a' AND version = 0;
SELECT * FROM pg_temp.findings;
UPDATE kms.field_key SET rotate_after = NULL WHERE field_key = 'checked.a' AND version = 0;
SELECT kms_disable_field_key('checked.a'), kms_disable_field_key('checked.a');
SELECT kms_flush_events();
SELECT * FROM pg_temp.findings;
UPDATE kms.field_key AS k SET state = old.state, state_changed_at = old.state_changed_at, row_version = old.row_version, seal = old.seal
FROM old WHERE k.field_key = old.field_key AND k.version = old.version;
SELECT * FROM pg_temp.findings;
SELECT kms_disable_field_key('checked.a');
-- what was destroyed
SET kms.field_destroy_after = 0;
SELECT kms_destroy_field_key('checked.a', NULL, 'checked.a/all');
SELECT kms_flush_events();
SELECT severity, regexp_replace(finding, ': .*(checked\.a/1).*', ': \1') AS finding, hint FROM pg_temp.findings;
DROP ROLE regress_kms_reader;
DELETE FROM kms.field_key WHERE field_key LIKE 'checked%';
DROP FUNCTION kms_field."checked/decrypt"(), kms_field."checked/encrypt"(), kms_field."checked/index"(), kms_field."checked/refresh"();
