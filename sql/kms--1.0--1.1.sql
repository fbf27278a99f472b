/* kms 1.1: the devices */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION kms UPDATE TO '1.1'" to load this file. \quit

/* Stop with a hint if the server still runs an older library. */
CREATE FUNCTION @extschema@.kms_begin_update(version text) RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_begin_update'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION @extschema@.kms_begin_update(text) FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.kms_begin_update(text) IS
'Raise an error if the library is older than this version of the SQL.';

SELECT @extschema@.kms_begin_update('1.1'::pg_catalog.text);

DROP FUNCTION @extschema@.kms_begin_update(text);

/*
 * The last statements call this function.  It changes only what was made
 * after it, so it must stand before the new objects.
 */
CREATE FUNCTION @extschema@.kms_end_update() RETURNS void
AS 'MODULE_PATHNAME', 'kms_api_end_update'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 1000;

REVOKE ALL ON FUNCTION @extschema@.kms_end_update() FROM PUBLIC;

COMMENT ON FUNCTION @extschema@.kms_end_update() IS
'Give the new objects to the owner of the extension, and revoke the privileges that default privileges granted.';

/*
 * GROUP BY device_id, and no window, so that a condition on device_id reaches
 * the index of kms.key.
 */
CREATE VIEW kms.devices AS
SELECT device_id, pg_catalog.count(*) AS keys,
	pg_catalog.count(*) FILTER
		(WHERE state OPERATOR(pg_catalog.=) 'active') AS active,
	pg_catalog.count(*) FILTER
		(WHERE state OPERATOR(pg_catalog.=) 'deprecated') AS deprecated,
	pg_catalog.count(*) FILTER
		(WHERE state OPERATOR(pg_catalog.=) 'expired') AS expired,
	pg_catalog.count(*) FILTER
		(WHERE state OPERATOR(pg_catalog.=) 'disabled') AS disabled,
	pg_catalog.count(*) FILTER
		(WHERE state OPERATOR(pg_catalog.=) 'revoked') AS revoked,
	pg_catalog.count(*) FILTER
		(WHERE state OPERATOR(pg_catalog.=) 'pending_deletion')
		AS pending_deletion,
	(pg_catalog.array_agg(key_id ORDER BY created_at DESC, key_id DESC))[1]
		AS newest_key_id,
	(pg_catalog.array_agg(key_id ORDER BY created_at DESC, key_id DESC)
		FILTER (WHERE state OPERATOR(pg_catalog.=) 'active'))[1]
		AS active_key_id,
	(pg_catalog.array_agg(created_at ORDER BY created_at DESC, key_id DESC)
		FILTER (WHERE state OPERATOR(pg_catalog.=) 'active'))[1]
		AS created_at,
	(pg_catalog.array_agg(expires_at ORDER BY created_at DESC, key_id DESC)
		FILTER (WHERE state OPERATOR(pg_catalog.=) 'active'))[1]
		AS expires_at,
	(pg_catalog.array_agg(renew_at ORDER BY created_at DESC, key_id DESC)
		FILTER (WHERE state OPERATOR(pg_catalog.=) 'active'))[1]
		AS renew_at
FROM kms.keys
GROUP BY device_id;

REVOKE ALL ON kms.devices FROM PUBLIC;

COMMENT ON VIEW kms.devices IS
'Devices with the number of their keys by state, their newest key, and their newest active key with its dates.';

SELECT @extschema@.kms_end_update();

DROP FUNCTION @extschema@.kms_end_update();
