\set ECHO none
-- Return the plan of a statement, with key ids masked.
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, 'key_[0-9]{13}_[0-9a-f]{24}', 'key');
	END LOOP;
END $$;
\set ECHO all
