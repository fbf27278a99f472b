\set ECHO none
-- Functions that return the error of a statement instead of raising it.
-- Random ids and points in time are masked in what they return.

CREATE FUNCTION pg_temp.masked(message text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(message,
		'key_\d{13}_[0-9a-f]{24}', 'key_...', 'g'),
		'pep_[0-9a-f]{24}', 'pep_...', 'g'),
		'\d{4}-\d\d-\d\d \d\d:.*\.$', '<time>.'),
		'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', '<UTC>')
$$;

-- Return the parts of the error, or the code "ok".
CREATE FUNCTION pg_temp.failure(query text, OUT code text, OUT message text,
	OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE query;
	code := 'ok';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	message := pg_temp.masked(message);
	detail := pg_temp.masked(detail);
	hint := pg_temp.masked(hint);
END $$;

-- Return the value of the statement, or its error as "SQLSTATE message",
-- followed by the part that is asked for, "detail" or "hint", if it has one.
CREATE FUNCTION pg_temp.outcome(query text, part text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	EXECUTE query INTO result;
	RETURN coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN pg_temp.masked(concat_ws(' | ', SQLSTATE || ' ' || SQLERRM,
		nullif(CASE part WHEN 'detail' THEN detail WHEN 'hint' THEN hint END, '')));
END $$;
\set ECHO all
