-- A role with EXECUTE on one function can call that and do nothing else.
\set SHOW_CONTEXT never

CREATE ROLE regress_kms_app LOGIN;
CREATE ROLE regress_kms_owner;
CREATE ROLE regress_kms_other;
-- GRANT needs no argument list
GRANT EXECUTE ON FUNCTION kms_decrypt TO regress_kms_app;
CREATE SCHEMA evil AUTHORIZATION regress_kms_app;
SELECT key_id FROM kms_issue_key('priv-1') \gset
SELECT kms_encrypt(:'key_id', 'secret-of-1') AS c \gset

\i test/include/outcome.sql
\i test/include/plan.sql

SELECT p.oid::regproc AS can_call FROM pg_proc AS p
JOIN pg_depend ON objid = p.oid AND deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kms')
WHERE has_function_privilege('regress_kms_app', p.oid, 'EXECUTE') ORDER BY 1;
SET ROLE regress_kms_app;
SELECT kms_decrypt(:'key_id', :'c');
SELECT pg_temp.outcome(format('SELECT kms_decrypt_bytea(%L, decode(%L, ''base64''))', :'key_id', :'c'));
SELECT pg_temp.outcome(format('SELECT kms_encrypt(%L, ''x'')', :'key_id'));
SELECT pg_temp.outcome(format('SELECT kms_public_key(%L)', :'key_id'));
SELECT pg_temp.outcome('SELECT kms_issue_key(''priv-2'')');

-- tables, views, sequences: nothing, not even with the right to look into the schema
SELECT pg_temp.outcome('SELECT * FROM kms.keys');
RESET ROLE;
GRANT USAGE ON SCHEMA kms TO regress_kms_app;
SET ROLE regress_kms_app;
SELECT statement, pg_temp.outcome(statement) FROM (VALUES
	('SELECT * FROM kms.key'), ('SELECT * FROM kms.key_secret'), ('SELECT * FROM kms.keys'),
	('SELECT * FROM kms.event'), ('SELECT * FROM kms.event_outbox'), ('SELECT * FROM kms.status'),
	('TABLE kms.metric'), ('SELECT kms.read_status()'), ('SELECT kms.start()'),
	('SELECT nextval(''kms.event_outbox_event_id_seq'')'),
	('INSERT INTO kms.event_epoch VALUES (1, now(), 0, 0)'), ('DELETE FROM kms.event'),
	('UPDATE kms.key SET state = ''active'''), ('TRUNCATE kms.event'), ('LOCK TABLE kms.key'),
	('CREATE TABLE evil.child () INHERITS (kms.key_secret)'),
	('CREATE TABLE evil.copy (LIKE kms.key_secret)'),
	('CREATE TABLE evil.ref (k text REFERENCES kms.key)'),
	('CREATE TABLE kms.mine (k text)'), ('CREATE FUNCTION kms.f() RETURNS int LANGUAGE sql AS ''SELECT 1'''),
	('CREATE TRIGGER t AFTER INSERT ON kms.key EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
	('CREATE RULE r AS ON INSERT TO kms.key DO NOTHING'),
	('CREATE POLICY p ON kms.key'), ('ALTER TABLE kms.key ENABLE ROW LEVEL SECURITY'),
	('CREATE STATISTICS evil.s ON key_id, public_key FROM kms.key_secret'),
	('CREATE INDEX ON kms.key (device_id)'), ('ALTER TABLE kms.key ADD x int'),
	('COMMENT ON TABLE kms.key IS ''mine'''), ('DROP TABLE kms.event'),
	('ALTER FUNCTION kms_decrypt SET search_path = evil'),
	('ALTER FUNCTION kms_decrypt LEAKPROOF'), ('ALTER FUNCTION kms_decrypt IMMUTABLE'),
	('DROP FUNCTION kms_decrypt'), ('ALTER EXTENSION kms UPDATE'), ('DROP EXTENSION kms'),
	('ALTER EXTENSION kms ADD FUNCTION pg_temp.outcome(text)'), ('ALTER EXTENSION kms DROP FUNCTION kms_decrypt'),
	('CREATE FUNCTION evil.f() RETURNS text LANGUAGE c AS ''$libdir/kms'', ''kms_api_decrypt''')
	) AS s (statement);
COPY kms.key_secret TO STDOUT;
COPY (SELECT * FROM kms.key_secret) TO STDOUT;
\set VERBOSITY sqlstate
VACUUM kms.key;
\set VERBOSITY default
CREATE VIEW evil.all_keys AS SELECT * FROM kms.key;
SELECT * FROM evil.all_keys;
-- statistics show no content
SELECT count(*) FROM pg_stats WHERE schemaname = 'kms';

-- no index, generated column or plan can keep or show plaintext
CREATE TABLE evil.card (key_id text, c text);
CREATE INDEX ON evil.card (kms_decrypt(key_id, c));
CREATE INDEX ON evil.card (key_id) WHERE kms_decrypt(key_id, c) = '1';
CREATE TABLE evil.plain (key_id text, c text,
	p text GENERATED ALWAYS AS (kms_decrypt(key_id, c)) STORED);
SELECT count(*) > 0 AS planned, count(*) FILTER (WHERE p LIKE '%secret-of-1%') AS shown,
	count(*) FILTER (WHERE p LIKE '%kms_decrypt(%') > 0 AS called
FROM (VALUES (format('SELECT kms_decrypt(%L, %L)', :'key_id', :'c')),
	(format('SELECT * FROM evil.card WHERE kms_decrypt(%L, %L) = ''x''', :'key_id', :'c')),
	(format('SELECT length(kms_decrypt(%L, %L))', :'key_id', :'c'))) AS q (query),
	pg_temp.plan(query) AS p;
RESET ROLE;

-- a view does not lend its owner's right to call
CREATE VIEW evil.opened AS SELECT kms_decrypt(key_id, c) AS p FROM evil.card;
CREATE VIEW evil.event AS SELECT * FROM kms.read_status();
GRANT USAGE ON SCHEMA evil TO regress_kms_other;
GRANT SELECT ON evil.opened, evil.card, evil.event TO regress_kms_other;
INSERT INTO evil.card VALUES (:'key_id', :'c');
SET ROLE regress_kms_other;
SELECT * FROM evil.opened;
SELECT * FROM evil.event;
RESET ROLE;

-- SET ROLE and SECURITY DEFINER: the session, caller and effective roles in the event
CREATE FUNCTION evil.open_it(key text, c text) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT public.kms_decrypt(key, c)';
ALTER FUNCTION evil.open_it OWNER TO regress_kms_owner;
GRANT EXECUTE ON FUNCTION kms_decrypt TO regress_kms_owner;
GRANT USAGE ON SCHEMA evil TO regress_kms_owner;
SET application_name = 'privileges';
SET SESSION AUTHORIZATION regress_kms_other;
SELECT evil.open_it(:'key_id', :'c');
SELECT kms_decrypt(:'key_id', :'c');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_kms_app;
SELECT kms_decrypt(:'key_id', :'c');
RESET SESSION AUTHORIZATION;
SET ROLE regress_kms_app;
SELECT kms_decrypt(:'key_id', :'c');
RESET ROLE;
SET ROLE regress_kms_other;
SELECT evil.open_it(:'key_id', :'c');
RESET ROLE;
SELECT kms_flush_events();
SELECT session_role = session_user AS by_us, CASE WHEN session_role <> session_user THEN session_role END AS session_role,
	caller_role, effective_role, count(*)
FROM kms.event WHERE application_name = 'privileges' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
RESET application_name;

-- temp objects, functions, operators and casts named like what we use
GRANT EXECUTE ON FUNCTION kms_issue_key, kms_rotate_key, kms_encrypt, kms_encrypt_bytea, kms_decrypt_bytea,
	kms_try_decrypt, kms_decrypt_recover, kms_public_key, kms_key_state, kms_key_valid, kms_rate_limit_status,
	kms_metrics_summary, kms_problematic_keys, kms_maintain, kms_flush_events, kms_check, kms_master_key_status,
	kms_rewrap_keys, kms_self_test TO regress_kms_app;
SET ROLE regress_kms_app;
CREATE FUNCTION evil.trap(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'trapped by % as %', what, current_user;
	RETURN true;
END $$;
CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE sql AS $$SELECT evil.trap('text =')$$;
CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS $$SELECT evil.trap('bigint =')$$;
CREATE FUNCTION evil.lt(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS $$SELECT evil.trap('timestamptz <')$$;
CREATE FUNCTION evil.minus(timestamptz, interval) RETURNS timestamptz LANGUAGE sql AS $$SELECT CASE WHEN evil.trap('-') THEN $1 END$$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.eq);
CREATE OPERATOR evil.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.lt);
CREATE OPERATOR evil.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.lt);
CREATE OPERATOR evil.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.lt);
CREATE OPERATOR evil.- (LEFTARG = timestamptz, RIGHTARG = interval, FUNCTION = evil.minus);
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$SELECT CASE WHEN evil.trap('clock_timestamp') THEN now() END$$;
CREATE FUNCTION evil.count(text) RETURNS bigint LANGUAGE sql AS $$SELECT CASE WHEN evil.trap('count') THEN 1 END$$;
CREATE FUNCTION evil.kms_decrypt(text, text) RETURNS text LANGUAGE sql AS $$SELECT CASE WHEN evil.trap('kms_decrypt') THEN 'x' END$$;
CREATE TYPE evil.text AS (x int);
CREATE DOMAIN evil.timestamptz AS pg_catalog.text;
CREATE TYPE evil.secret AS ENUM ('KEY');
CREATE FUNCTION evil.of_secret(evil.secret) RETURNS pg_catalog.text LANGUAGE sql AS $$SELECT CASE WHEN evil.trap('cast') THEN 'x' END$$;
CREATE CAST (evil.secret AS pg_catalog.text) WITH FUNCTION evil.of_secret AS IMPLICIT;
CREATE TEMP TABLE key (key_id pg_catalog.text, device_id pg_catalog.text, state pg_catalog.text);
CREATE TEMP TABLE event (key_id pg_catalog.text);
CREATE TEMP TABLE metric (count int);
CREATE TEMP VIEW maintenance AS SELECT evil.trap('view');
CREATE TEMP TABLE pg_class (oid oid, relname name, relnamespace oid, reltuples float4);
CREATE TEMP TABLE pg_extension (oid oid, extname name);
SET search_path = pg_temp, evil, pg_catalog;
SELECT key_id AS id FROM public.kms_issue_key('priv-hostile') \gset
SELECT reused FROM public.kms_issue_key('priv-hostile');
SELECT reused FROM public.kms_rotate_key('priv-hostile');
SELECT public.kms_key_state(:'id'), public.kms_key_valid(:'id');
SELECT pg_catalog.length(public.kms_public_key(:'id'));
SELECT public.kms_decrypt(:'key_id', :'c'), public.kms_try_decrypt(:'key_id', :'c');
SELECT public.kms_decrypt_bytea(:'key_id', public.kms_encrypt_bytea(:'key_id', 'x'));
SELECT public.kms_decrypt_recover(:'key_id', :'c', 'hostile');
SELECT used, allowed FROM public.kms_rate_limit_status('priv-hostile');
SELECT public.kms_flush_events();
SELECT pg_catalog.jsonb_typeof(public.kms_metrics_summary());
SELECT pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(p)) FROM public.kms_problematic_keys(100) AS p;
SELECT task, more FROM public.kms_maintain();
SELECT status FROM public.kms_master_key_status();
SELECT public.kms_rewrap_keys();
SELECT public.kms_self_test();
SELECT pg_catalog.count(severity) >= 0 AS checked FROM public.kms_check();
-- the trap works
SELECT key_id = 'x' FROM public.kms_issue_key('priv-hostile') LIMIT 1;
RESET search_path;
RESET ROLE;
SELECT device_id, count(*) FROM kms.keys WHERE device_id = 'priv-hostile' GROUP BY 1;

DISCARD TEMP;
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA evil CASCADE;
DROP OWNED BY regress_kms_app, regress_kms_owner, regress_kms_other;
DROP ROLE regress_kms_app, regress_kms_owner, regress_kms_other;
