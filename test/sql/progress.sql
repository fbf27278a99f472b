-- kms.progress, and the settings of notices and notifications.
\set VERBOSITY terse

-- a call that has ended leaves no row, and a short one sends no notice
SELECT count(*) FROM kms_audit_verify();
SELECT count(*) FROM kms_maintain();
SELECT kms_rewrap_keys() >= 0 AS rewrapped;
SELECT count(*) FROM kms.progress WHERE pid = pg_backend_pid();
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'kms.progress'::regclass AND attnum > 0 ORDER BY attnum;

SHOW kms.progress_interval;
SET kms.progress_interval = '1s';
SHOW kms.progress_interval;
-- the message has units from PostgreSQL 16 on
\set VERBOSITY sqlstate
SET kms.progress_interval = -1;
SET kms.progress_interval = '2d';
\set VERBOSITY default
RESET kms.progress_interval;
SHOW kms.notify;

-- a role needs the view and its function
CREATE ROLE regress_kms_progress;
GRANT USAGE ON SCHEMA kms TO regress_kms_progress;
SET ROLE regress_kms_progress;
SELECT * FROM kms.progress;
SELECT * FROM kms.read_progress();
SET kms.notify = on;
RESET ROLE;
GRANT SELECT ON kms.progress TO regress_kms_progress;
SET ROLE regress_kms_progress;
SELECT * FROM kms.progress;
RESET ROLE;
GRANT EXECUTE ON FUNCTION kms.read_progress TO regress_kms_progress;
SET ROLE regress_kms_progress;
SELECT count(*) FROM kms.progress WHERE pid = pg_backend_pid();
RESET ROLE;
DROP OWNED BY regress_kms_progress;
DROP ROLE regress_kms_progress;
