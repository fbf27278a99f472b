-- Rights on fields: EXECUTE on the functions in schema kms_field.
\i test/include/outcome.sql
\set SHOW_CONTEXT never
SET client_min_messages = warning;

CREATE ROLE regress_kms_encrypt;
CREATE ROLE regress_kms_decrypt;
CREATE ROLE regress_kms_refresh;
CREATE ROLE regress_kms_index;
CREATE ROLE regress_kms_none;
CREATE ROLE regress_kms_other;
CREATE ROLE regress_kms_custodian;
CREATE ROLE regress_kms_super SUPERUSER;

-- all of them may call the functions of kms, so that only rights count
GRANT EXECUTE ON FUNCTION kms_encrypt_field, kms_encrypt_field_bytea, kms_decrypt_field, kms_decrypt_field_bytea,
	kms_try_decrypt_field, kms_try_decrypt_field_bytea, kms_refresh_field, kms_field_is_current, kms_field_version,
	kms_field_key, kms_blind_index, kms_decrypt_to_field, kms_decrypt_to_index
TO regress_kms_encrypt, regress_kms_decrypt, regress_kms_refresh, regress_kms_index, regress_kms_none,
	regress_kms_other;

-- Return the value of the statement, or its SQLSTATE.
CREATE FUNCTION pg_temp.result(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN regexp_replace(pg_temp.outcome(query), '^(\w{5}) .*', '\1');
END $$;

-- ---- the custodian needs EXECUTE on functions of kms only -------------

GRANT EXECUTE ON FUNCTION kms_create_field_key, kms_rotate_field_key, kms_disable_field_key, kms_enable_field_key,
	kms_destroy_field_key TO regress_kms_custodian;
SET ROLE regress_kms_custodian;
SELECT kms_create_field_key('salary'), kms_rotate_field_key('salary');
SELECT kms_create_field_key('salary.ann'), kms_create_field_key('account');
SELECT kms_disable_field_key('salary', 1), kms_enable_field_key('salary', 1);
SELECT pg_temp.outcome($$SELECT kms_encrypt_field('salary', 'x', 'c')$$);
SELECT pg_temp.outcome($$GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt" TO regress_kms_custodian$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION kms_encrypt_field TO regress_kms_custodian;
SET ROLE regress_kms_custodian;
SELECT pg_temp.outcome($$SELECT kms_encrypt_field('salary', 'x', 'c')$$, 'hint');
RESET ROLE;

-- ---- nobody has a right on a new field ---------------------------------

SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, p.proacl = ARRAY[makeaclitem(p.proowner,
	p.proowner, 'EXECUTE', false)] AS closed
FROM pg_proc AS p WHERE p.pronamespace = 'kms_field'::regnamespace AND p.proname ~ '^(salary|account)' ORDER BY 1;
SELECT has_schema_privilege('regress_kms_none', 'kms_field', 'USAGE') AS usage,
	has_schema_privilege('regress_kms_none', 'kms_field', 'CREATE') AS create;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO regress_kms_none, PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA kms_field GRANT EXECUTE ON FUNCTIONS TO regress_kms_none WITH GRANT OPTION;
SET ROLE regress_kms_custodian;
SELECT kms_create_field_key('fresh');
RESET ROLE;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM regress_kms_none;
ALTER DEFAULT PRIVILEGES IN SCHEMA kms_field REVOKE ALL ON FUNCTIONS FROM regress_kms_none;
SELECT p.proname, p.proacl = ARRAY[makeaclitem(p.proowner, p.proowner, 'EXECUTE', false)] AS closed
FROM pg_proc AS p WHERE p.proname LIKE 'fresh/%' ORDER BY 1;
SELECT r.rolname, count(*) FILTER (WHERE has_function_privilege(r.oid, p.oid, 'EXECUTE'))
FROM pg_roles AS r, pg_proc AS p
WHERE p.pronamespace = 'kms_field'::regnamespace AND NOT r.rolsuper AND r.rolname LIKE 'regress_kms_%'
GROUP BY 1 ORDER BY 1;

-- ---- each right covers its functions -----------------------------------

GRANT EXECUTE ON FUNCTION kms_field."salary/encrypt" TO regress_kms_encrypt;
GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt" TO regress_kms_decrypt;
GRANT EXECUTE ON FUNCTION kms_field."salary/refresh" TO regress_kms_refresh;
GRANT EXECUTE ON FUNCTION kms_field."salary/index" TO regress_kms_index;
CREATE TABLE val AS SELECT kms_encrypt_field('salary', 'plain', 'c') AS salary, kms_encrypt_field('salary.ann', 'plain', 'c') AS ann,
	kms_encrypt_field('account', 'plain', 'c') AS account;
CREATE TABLE sent AS SELECT key_id, kms_encrypt(key_id, 'plain') AS sent FROM kms_issue_key('field rights');
SELECT kms_rotate_field_key('salary');
GRANT SELECT ON val, sent TO PUBLIC;
CREATE TABLE call (n serial PRIMARY KEY, call text);
GRANT SELECT ON call TO PUBLIC;
INSERT INTO call (call) VALUES
	($$SELECT length(kms_encrypt_field('salary', 'x', 'c'))$$),
	($$SELECT length(kms_encrypt_field('salary.ann', 'x', 'c'))$$),
	($$SELECT length(kms_encrypt_field_bytea('salary', 'x', 'c'))$$),
	($$SELECT length(kms_encrypt_field('account', 'x', 'c'))$$),
	($$SELECT length(kms_decrypt_to_field(key_id, sent, 'salary', 'c', 'field rights')) FROM sent$$),
	($$SELECT length(kms_decrypt_to_field(key_id, sent, 'account', 'c', 'field rights')) FROM sent$$),
	($$SELECT kms_decrypt_field(salary, 'c') FROM val$$),
	($$SELECT kms_decrypt_field(ann, 'c') FROM val$$),
	($$SELECT kms_decrypt_field(account, 'c') FROM val$$),
	($$SELECT kms_decrypt_field_bytea(salary, 'c') FROM val$$),
	($$SELECT kms_try_decrypt_field(salary, 'c') FROM val$$),
	($$SELECT kms_try_decrypt_field_bytea(salary, 'c') FROM val$$),
	($$SELECT length(kms_blind_index('salary', 'x', 's'))$$),
	($$SELECT length(kms_blind_index('salary.ann', 'x', 's'))$$),
	($$SELECT length(kms_blind_index('account', 'x', 's'))$$),
	($$SELECT length(kms_decrypt_to_index(key_id, sent, 'salary', 's', 'field rights')) FROM sent$$),
	($$SELECT length(kms_refresh_field(salary, 'c')) FROM val$$),
	($$SELECT kms_refresh_field(ann, 'c') = ann FROM val$$),
	($$SELECT length(kms_refresh_field(salary, 'c', 'c')) FROM val$$),
	($$SELECT length(kms_refresh_field(salary, 'c', NULL, 'salary')) FROM val$$),
	($$SELECT length(kms_refresh_field(salary, 'c', 'new')) FROM val$$),
	($$SELECT length(kms_refresh_field(ann, 'c', 'new')) FROM val$$),
	($$SELECT length(kms_refresh_field(salary, 'c', NULL, 'salary.ann')) FROM val$$),
	($$SELECT length(kms_refresh_field(account, 'c', NULL, 'salary')) FROM val$$),
	($$SELECT length(kms_refresh_field(salary, 'c', NULL, 'account')) FROM val$$),
	-- opens nothing, so no right is needed
	($$SELECT kms_field_key(salary) || kms_field_version(salary) || kms_field_is_current(salary) FROM val$$);
CREATE FUNCTION pg_temp.run_calls() RETURNS TABLE (n integer, outcome text) LANGUAGE sql
AS 'SELECT n, pg_temp.result(call) FROM call';
CREATE TEMP TABLE outcome (role text, n integer, outcome text);
GRANT INSERT ON outcome TO PUBLIC;
SET ROLE regress_kms_encrypt;
INSERT INTO outcome SELECT current_role, * FROM pg_temp.run_calls();
SET ROLE regress_kms_decrypt;
INSERT INTO outcome SELECT current_role, * FROM pg_temp.run_calls();
SET ROLE regress_kms_refresh;
INSERT INTO outcome SELECT current_role, * FROM pg_temp.run_calls();
SET ROLE regress_kms_index;
INSERT INTO outcome SELECT current_role, * FROM pg_temp.run_calls();
SET ROLE regress_kms_none;
INSERT INTO outcome SELECT current_role, * FROM pg_temp.run_calls();
SET ROLE regress_kms_super;
INSERT INTO outcome SELECT current_role, * FROM pg_temp.run_calls();
RESET ROLE;
-- encrypt and decrypt together move a value to another context or key
GRANT regress_kms_encrypt, regress_kms_decrypt TO regress_kms_other;
SET ROLE regress_kms_other;
INSERT INTO outcome SELECT 'both', * FROM pg_temp.run_calls();
RESET ROLE;
REVOKE regress_kms_encrypt, regress_kms_decrypt FROM regress_kms_other;
SELECT call, (SELECT string_agg(CASE WHEN o.outcome = '42501' THEN '-' ELSE o.outcome END, ' ' ORDER BY o.ordinality)
	FROM unnest(ARRAY['regress_kms_encrypt', 'regress_kms_decrypt', 'regress_kms_refresh', 'regress_kms_index',
		'regress_kms_none', 'both', 'regress_kms_super']) WITH ORDINALITY AS r (role, ordinality)
	JOIN LATERAL (SELECT outcome, ordinality FROM outcome WHERE outcome.role = r.role AND outcome.n = call.n) AS o ON true)
	AS "encrypt decrypt refresh index none both superuser"
FROM call ORDER BY n;

-- a right is no right to call the function of kms
REVOKE EXECUTE ON FUNCTION kms_decrypt_field FROM regress_kms_decrypt;
SET ROLE regress_kms_decrypt;
SELECT kms_decrypt_field(salary, 'c') FROM val;
RESET ROLE;
GRANT EXECUTE ON FUNCTION kms_decrypt_field TO regress_kms_decrypt;

-- the messages
SET ROLE regress_kms_none;
SELECT pg_temp.outcome($$SELECT kms_encrypt_field('salary.ann', 'x', 'c')$$, 'hint');
SELECT pg_temp.outcome($$SELECT kms_decrypt_field(account, 'c') FROM val$$, 'hint');
SELECT pg_temp.outcome($$SELECT kms_refresh_field(ann, 'c') FROM val$$, 'hint');
SELECT pg_temp.outcome($$SELECT kms_blind_index('salary', 'x', 's')$$, 'hint');
RESET ROLE;

-- without a right, neither a wrong context nor a state is told
SELECT kms_disable_field_key('salary');
SET ROLE regress_kms_none;
SELECT pg_temp.result($$SELECT kms_decrypt_field(salary, 'wrong') FROM val$$), pg_temp.result($$SELECT kms_encrypt_field('salary', 'x', 'c')$$);
RESET ROLE;
SELECT kms_enable_field_key('salary');

-- ---- who the current user is -------------------------------------------

SET ROLE regress_kms_decrypt;
SELECT kms_decrypt_field(salary, 'c') FROM val;
SET ROLE regress_kms_none;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
SET SESSION AUTHORIZATION regress_kms_decrypt;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
SET SESSION AUTHORIZATION regress_kms_none;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
RESET SESSION AUTHORIZATION;
BEGIN;
SET LOCAL ROLE regress_kms_decrypt;
SELECT kms_decrypt_field(salary, 'c') FROM val;
SAVEPOINT s;
SET LOCAL ROLE regress_kms_none;
SELECT kms_decrypt_field(salary, 'c') FROM val;
ROLLBACK TO s;
SELECT kms_decrypt_field(salary, 'c') FROM val;
ROLLBACK;

-- SECURITY DEFINER: the owner; otherwise the caller
GRANT CREATE ON SCHEMA public TO regress_kms_decrypt, regress_kms_none, regress_kms_encrypt;
SET ROLE regress_kms_decrypt;
CREATE FUNCTION opened_by_owner() RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT kms_decrypt_field(salary, ''c'') FROM val';
CREATE FUNCTION opened_by_caller() RETURNS text LANGUAGE sql AS 'SELECT kms_decrypt_field(salary, ''c'') FROM val';
SET ROLE regress_kms_none;
CREATE FUNCTION opened_by_none() RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT kms_decrypt_field(salary, ''c'') FROM val';
SELECT pg_temp.result('SELECT opened_by_owner()'), pg_temp.result('SELECT opened_by_caller()'),
	pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
SET ROLE regress_kms_decrypt;
SELECT pg_temp.result('SELECT opened_by_owner()'), pg_temp.result('SELECT opened_by_caller()'),
	pg_temp.result('SELECT opened_by_none()');
RESET ROLE;
-- not even a superuser brings a right of its own into such a function
SELECT pg_temp.result('SELECT opened_by_none()');
-- alternating users of one key, in one statement
SET ROLE regress_kms_none;
SELECT i, opened_by_owner(), pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val')
FROM generate_series(1, 3) AS i;
RESET ROLE;

-- triggers: the writing role, or the owner of a SECURITY DEFINER function
SET ROLE regress_kms_encrypt;
CREATE FUNCTION encrypt_as_writer() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN NEW.salary := kms_encrypt_field('salary', convert_from(NEW.salary, 'UTF8'), NEW.id); RETURN NEW; END $$;
CREATE FUNCTION encrypt_as_owner() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql
AS $$ BEGIN NEW.salary := kms_encrypt_field('salary', convert_from(NEW.salary, 'UTF8'), NEW.id); RETURN NEW; END $$;
RESET ROLE;
CREATE TABLE written (id text, salary bytea);
CREATE TABLE written_by_owner (LIKE written);
ALTER TABLE written OWNER TO regress_kms_encrypt;
GRANT INSERT, SELECT ON written, written_by_owner TO regress_kms_none, regress_kms_encrypt;
CREATE TRIGGER t BEFORE INSERT ON written FOR EACH ROW EXECUTE FUNCTION encrypt_as_writer();
CREATE TRIGGER t BEFORE INSERT ON written_by_owner FOR EACH ROW EXECUTE FUNCTION encrypt_as_owner();
SET ROLE regress_kms_none;
SELECT pg_temp.result('INSERT INTO written VALUES (''1'', ''a'') RETURNING length(salary)'),
	pg_temp.result('INSERT INTO written_by_owner VALUES (''1'', ''a'') RETURNING length(salary)');
SET ROLE regress_kms_encrypt;
SELECT pg_temp.result('INSERT INTO written VALUES (''2'', ''b'') RETURNING length(salary)');
RESET ROLE;
-- a deferred constraint trigger runs as its function says, too
CREATE FUNCTION check_as_writer() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM kms_decrypt_field(NEW.salary, NEW.id); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER c AFTER INSERT ON written_by_owner DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION check_as_writer();
SET ROLE regress_kms_none;
BEGIN;
INSERT INTO written_by_owner VALUES ('3', 'c');
COMMIT;
RESET ROLE;
SELECT id, kms_decrypt_field(salary, id) FROM written UNION ALL SELECT id, kms_decrypt_field(salary, id) FROM written_by_owner ORDER BY 1;

-- views: the reader, with and without security_invoker
SET ROLE regress_kms_decrypt;
CREATE VIEW shown AS SELECT kms_decrypt_field(salary, 'c') AS salary FROM val;
CREATE VIEW shown_to_invoker WITH (security_invoker = true) AS SELECT kms_decrypt_field(salary, 'c') AS salary FROM val;
CREATE VIEW shown_barrier WITH (security_barrier = true) AS SELECT kms_decrypt_field(salary, 'c') AS salary FROM val;
GRANT SELECT ON shown, shown_to_invoker, shown_barrier TO PUBLIC;
SET ROLE regress_kms_none;
CREATE VIEW shown_by_none AS SELECT kms_decrypt_field(salary, 'c') AS salary FROM val;
GRANT SELECT ON shown_by_none TO PUBLIC;
SELECT pg_temp.result('SELECT salary FROM shown'), pg_temp.result('SELECT salary FROM shown_to_invoker'),
	pg_temp.result('SELECT salary FROM shown_barrier'), pg_temp.result('SELECT count(*) FROM shown');
SET ROLE regress_kms_decrypt;
SELECT pg_temp.result('SELECT salary FROM shown'), pg_temp.result('SELECT salary FROM shown_to_invoker'),
	pg_temp.result('SELECT salary FROM shown_barrier'), pg_temp.result('SELECT salary FROM shown_by_none');
-- the table that the reader cannot read, and a value that it brings itself
RESET ROLE;
REVOKE SELECT ON val FROM PUBLIC;
GRANT SELECT ON val TO regress_kms_none, regress_kms_encrypt;
SET ROLE regress_kms_decrypt;
SELECT pg_temp.result('SELECT salary FROM val'), pg_temp.result('SELECT salary FROM shown_by_none'), pg_temp.result('SELECT salary FROM shown');
RESET ROLE;
GRANT SELECT ON val TO PUBLIC;

-- row-level security: the policy is checked as the querying role
CREATE TABLE guarded (id text, salary bytea);
INSERT INTO guarded SELECT '1', kms_encrypt_field('salary', 'me', '1');
INSERT INTO guarded SELECT '2', kms_encrypt_field('salary', 'you', '2');
CREATE POLICY mine ON guarded USING (kms_decrypt_field(salary, id) = 'me');
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON guarded TO PUBLIC;
SET ROLE regress_kms_none;
SELECT pg_temp.result('SELECT string_agg(id, '','') FROM guarded');
SET ROLE regress_kms_decrypt;
SELECT pg_temp.result('SELECT string_agg(id, '','') FROM guarded');
RESET ROLE;
GRANT regress_kms_decrypt TO regress_kms_other;
SET ROLE regress_kms_other;
SELECT pg_temp.result('SELECT string_agg(id, '','') FROM guarded');
RESET ROLE;
REVOKE regress_kms_decrypt FROM regress_kms_other;

-- a generated column or an index on the result is not possible
SELECT pg_temp.result('CREATE INDEX ON val (kms_decrypt_field(salary, ''c''))'),
	pg_temp.result('CREATE TABLE g (v bytea, t text GENERATED ALWAYS AS (kms_decrypt_field(v, ''c'')) STORED)');

-- ---- groups and grant options ------------------------------------------

CREATE ROLE regress_kms_group NOLOGIN;
CREATE ROLE regress_kms_inherits INHERIT IN ROLE regress_kms_group;
CREATE ROLE regress_kms_does_not NOINHERIT IN ROLE regress_kms_group;
CREATE ROLE regress_kms_indirect INHERIT IN ROLE regress_kms_inherits;
GRANT EXECUTE ON FUNCTION kms_decrypt_field TO regress_kms_group, regress_kms_inherits, regress_kms_does_not,
	regress_kms_indirect, regress_kms_custodian;
GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt" TO regress_kms_group;
SET ROLE regress_kms_inherits;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
SET ROLE regress_kms_indirect;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
SET ROLE regress_kms_does_not;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
SET SESSION AUTHORIZATION regress_kms_does_not;
SET ROLE regress_kms_group;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
RESET SESSION AUTHORIZATION;
-- PostgreSQL decides who may grant
GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt" TO regress_kms_custodian WITH GRANT OPTION;
GRANT USAGE ON SCHEMA kms_field TO regress_kms_custodian, regress_kms_decrypt;
SET ROLE regress_kms_decrypt;
GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt" TO regress_kms_none;
SET ROLE regress_kms_custodian;
GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt" TO regress_kms_none;
SET ROLE regress_kms_none;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kms_field."salary/decrypt" FROM regress_kms_custodian CASCADE;
SET ROLE regress_kms_none;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
RESET ROLE;
-- EXECUTE of PUBLIC does not count, nor do default privileges, which a function
-- has that was restored without privileges
GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt" TO PUBLIC;
SET ROLE regress_kms_none;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION kms_field."salary/decrypt" FROM PUBLIC;
BEGIN;
UPDATE pg_proc SET proacl = NULL WHERE proname = 'salary/decrypt';
SELECT has_function_privilege('regress_kms_none', 'kms_field."salary/decrypt"()', 'EXECUTE');
SET LOCAL ROLE regress_kms_none;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
SET LOCAL ROLE regress_kms_super;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
RESET ROLE;
GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt" TO regress_kms_other;
SET LOCAL ROLE regress_kms_none;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
SET LOCAL ROLE regress_kms_other;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
ROLLBACK;
-- who holds the right counts, not who can call the function: it needs no USAGE
SELECT has_schema_privilege('regress_kms_group', 'kms_field', 'USAGE');

-- ---- functions of others give nothing ----------------------------------

GRANT USAGE, CREATE ON SCHEMA kms_field TO regress_kms_none;
SET ROLE regress_kms_none;
CREATE FUNCTION kms_field."salary/decrypt"(integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION kms_field."salary/decrypt"(VARIADIC text[]) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION kms_field."salary.ann/decrypt"() RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION kms_field."account /decrypt"() RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OR REPLACE FUNCTION kms_field."salary/decrypt"() RETURNS boolean LANGUAGE sql AS 'SELECT true';
ALTER FUNCTION kms_field."salary/decrypt"() RENAME TO "gone/decrypt";
DROP FUNCTION kms_field."salary/decrypt"();
CREATE SCHEMA kms_field;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val'), pg_temp.result('SELECT kms_decrypt_field(ann, ''c'') FROM val'),
	pg_temp.result('SELECT kms_decrypt_field(account, ''c'') FROM val');
-- a name that is taken: the field cannot be created, and nobody has its rights
CREATE FUNCTION kms_field."taken/decrypt"() RETURNS boolean LANGUAGE sql AS 'SELECT true';
RESET ROLE;
SELECT pg_temp.outcome($$SELECT kms_create_field_key('taken')$$);
SELECT count(*) FROM kms.field_keys WHERE field_key = 'taken';
-- one whose owner is not the extension's counts as missing, and maintenance goes on
DROP FUNCTION kms_field."account/decrypt"(), kms_field."account/index"();
SET ROLE regress_kms_none;
CREATE FUNCTION kms_field."account/decrypt"() RETURNS boolean LANGUAGE sql AS 'SELECT true';
SELECT pg_temp.result('SELECT kms_decrypt_field(account, ''c'') FROM val'), pg_temp.result('SELECT kms_blind_index(''account'', ''x'', ''s'')');
RESET ROLE;
SELECT kms_decrypt_field(account, 'c'), length(kms_blind_index('account', 'x', 's')) FROM val;
SELECT task, done, skipped FROM kms_maintain() WHERE task = 'rotate field keys';
SET ROLE regress_kms_none;
SELECT pg_temp.result('SELECT kms_decrypt_field(account, ''c'') FROM val');
RESET ROLE;
REVOKE ALL ON SCHEMA kms_field FROM regress_kms_none;
DROP FUNCTION kms_field."account/decrypt"();
SELECT task, done, skipped FROM kms_maintain() WHERE task = 'rotate field keys';
SELECT task, done, skipped FROM kms_maintain() WHERE task = 'rotate field keys';
SELECT p.proname, p.proacl = ARRAY[makeaclitem(p.proowner, p.proowner, 'EXECUTE', false)] AS closed, d.deptype
FROM pg_proc AS p
LEFT JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass
WHERE p.proname LIKE 'account/%' ORDER BY 1;
-- those of each field, whatever sorts between it and the keys under it
SELECT kms_create_field_key('account-x'), kms_create_field_key('account.a'), kms_create_field_key('account.b'), kms_create_field_key('account_y');
DROP FUNCTION kms_field."account/index", kms_field."account-x/index", kms_field."account_y/index", kms_field."fresh/index";
SELECT task, done, skipped FROM kms_maintain() WHERE task = 'rotate field keys';
-- a function that was handed to another role, or renamed, counts as missing
GRANT CREATE ON SCHEMA kms_field TO regress_kms_decrypt;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
ALTER FUNCTION kms_field."salary/decrypt"() OWNER TO regress_kms_decrypt;
SET ROLE regress_kms_decrypt;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
RESET ROLE;
ALTER FUNCTION kms_field."salary/decrypt"() OWNER TO CURRENT_USER;
GRANT EXECUTE ON FUNCTION kms_field."salary/decrypt"() TO regress_kms_decrypt;
SET ROLE regress_kms_decrypt;
SELECT pg_temp.result('SELECT kms_decrypt_field(salary, ''c'') FROM val');
RESET ROLE;

-- ---- the record --------------------------------------------------------

SELECT kms_flush_events();
SELECT operation, reason, effective_role, key_id, sum(calls) > 0 AS calls FROM kms.event
WHERE status = 'failure' AND effective_role IN ('regress_kms_none', 'regress_kms_custodian') AND key_id ~ '^(salary|account)'
GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 4;
-- of a view, a SECURITY DEFINER function and SET SESSION AUTHORIZATION
SELECT DISTINCT session_role, caller_role, effective_role FROM kms.event
WHERE operation = 'decrypt_field' AND session_role LIKE 'regress_kms_%'
ORDER BY 1, 2, 3;
SELECT DISTINCT caller_role, effective_role FROM kms.event
WHERE operation = 'decrypt_field' AND caller_role <> effective_role
	AND caller_role LIKE 'regress_kms_%' ORDER BY 1, 2;

DROP TABLE val, sent, call, written, written_by_owner, guarded CASCADE;
DROP FUNCTION encrypt_as_owner, encrypt_as_writer, check_as_writer, opened_by_owner, opened_by_caller, opened_by_none;
DROP FUNCTION kms_field."salary/decrypt"(integer), kms_field."salary/decrypt"(text[]), kms_field."salary.ann/decrypt",
	kms_field."account /decrypt", kms_field."taken/decrypt";
SET kms.field_destroy_after = 0;
SELECT kms_disable_field_key(key), kms_destroy_field_key(key, NULL, key || '/all') FROM unnest('{salary,account,account-x,account_y,fresh}'::text[]) AS key;
-- a missing function of a destroyed field is not made again
SELECT format('DROP FUNCTION %s', oid::regprocedure) FROM pg_proc
WHERE pronamespace = 'kms_field'::regnamespace AND proname ~ '^(salary|account|fresh)' ORDER BY proname COLLATE "C" \gexec
SELECT task, done, skipped FROM kms_maintain() WHERE task = 'rotate field keys';
DELETE FROM kms.key_secret USING kms.key AS k WHERE key_secret.key_id = k.key_id AND k.device_id = 'field rights';
DELETE FROM kms.key WHERE device_id = 'field rights';
DROP OWNED BY regress_kms_encrypt, regress_kms_decrypt, regress_kms_refresh, regress_kms_index, regress_kms_none,
	regress_kms_other, regress_kms_custodian, regress_kms_group, regress_kms_inherits,
	regress_kms_does_not, regress_kms_indirect;
DROP ROLE regress_kms_encrypt, regress_kms_decrypt, regress_kms_refresh, regress_kms_index, regress_kms_none,
	regress_kms_other, regress_kms_custodian, regress_kms_super, regress_kms_group,
	regress_kms_inherits, regress_kms_does_not, regress_kms_indirect;
