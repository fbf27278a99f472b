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
-- change the name below.  Grant the function to the role of the exporter.

CREATE SCHEMA IF NOT EXISTS monitoring;
REVOKE ALL ON SCHEMA monitoring FROM PUBLIC;

CREATE OR REPLACE FUNCTION monitoring.kms_findings(OUT severity text, OUT findings bigint)
RETURNS SETOF record
LANGUAGE sql VOLATILE SECURITY DEFINER COST 100000 ROWS 3
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.severity, count(f.severity)
    FROM (VALUES ('error'), ('warning'), ('notice')) AS s (severity)
    LEFT JOIN keys.kms_check() AS f USING (severity)
    GROUP BY s.severity
$$;

REVOKE ALL ON FUNCTION monitoring.kms_findings FROM PUBLIC;

COMMENT ON FUNCTION monitoring.kms_findings IS
'Return the number of findings of kms_check() by severity.';

GRANT USAGE ON SCHEMA monitoring TO kms_monitor;
GRANT EXECUTE ON FUNCTION monitoring.kms_findings TO kms_monitor;
