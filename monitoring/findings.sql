-- Count the findings of kms_check() for postgres_exporter_findings.yml.
--
-- The texts of findings name roles, tables and keys, which an exporter should
-- not see.  So this function runs kms_check() with the rights of its owner and
-- returns numbers only.  Run this file as a superuser, in each database that
-- has the extension:
--
--     psql -f monitoring/findings.sql app
--
-- kms_check() is in schema keys, as in docs/install.md; if yours is elsewhere,
-- change the name below.  The function is bound to that kms_check(), so to drop
-- the extension, drop this function first.  If schema kms_monitoring exists
-- already, see who made it: its owner could replace the function.

\set ON_ERROR_STOP on
BEGIN;

CREATE SCHEMA kms_monitoring;
REVOKE ALL ON SCHEMA kms_monitoring FROM PUBLIC;

CREATE FUNCTION kms_monitoring.findings(OUT severity text, OUT findings bigint)
RETURNS SETOF record
LANGUAGE sql VOLATILE SECURITY DEFINER COST 100000 ROWS 3
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.severity, count(f.severity)
    FROM (VALUES ('error'), ('warning'), ('notice')) AS s (severity)
    LEFT JOIN keys.kms_check() AS f USING (severity)
    GROUP BY s.severity;
END;

REVOKE ALL ON FUNCTION kms_monitoring.findings FROM PUBLIC;

COMMENT ON FUNCTION kms_monitoring.findings IS
'Return the number of findings of kms_check() by severity.';

GRANT USAGE ON SCHEMA kms_monitoring TO kms_monitor;
GRANT EXECUTE ON FUNCTION kms_monitoring.findings TO kms_monitor;

COMMIT;
