-- Foreign keys of users' tables to kms.key: the purge skips keys that are
-- referred to, and never runs a user's code with the owner's rights.  A foreign
-- key that would do so is refused when it is made.
\set VERBOSITY terse
CREATE ROLE reference_app;
CREATE ROLE reference_operator;
CREATE SCHEMA reference_app AUTHORIZATION reference_app;
GRANT USAGE ON SCHEMA kms TO reference_app;
GRANT SELECT (key_id), REFERENCES (key_id) ON kms.key TO reference_app;
GRANT EXECUTE ON FUNCTION kms_maintain TO reference_operator;
CREATE VIEW purge_task AS
	SELECT done, skipped, more FROM kms_maintain() WHERE task = 'purge keys';
GRANT SELECT ON purge_task TO reference_operator;

SET kms.key_lifetime = '1s';
SET kms.key_retention = '0s';
-- purge what other tests have left
SELECT count(*) FROM kms_maintain();
SELECT key_id AS one FROM kms_issue_key('reference-1') \gset
SELECT key_id AS two FROM kms_issue_key('reference-2') \gset

-- a foreign key that acts on deletes would run triggers with our rights, and one
-- with a cast would run the cast
SET ROLE reference_app;
CREATE TABLE reference_app.refused (
	key_id text REFERENCES kms.key (key_id) ON DELETE CASCADE);
CREATE TABLE reference_app.refused (
	key_id text REFERENCES kms.key (key_id) ON DELETE SET NULL);
CREATE TABLE reference_app.refused (
	key_id text DEFAULT '' REFERENCES kms.key (key_id) ON DELETE SET DEFAULT);
CREATE TYPE reference_app.kind AS ENUM ('a');
CREATE FUNCTION reference_app.to_text(reference_app.kind) RETURNS text
LANGUAGE sql AS $$ SELECT current_user::text $$;
CREATE CAST (reference_app.kind AS text)
	WITH FUNCTION reference_app.to_text AS IMPLICIT;
CREATE TABLE reference_app.refused (
	key_id reference_app.kind REFERENCES kms.key (key_id));
CREATE DOMAIN reference_app.id AS text;
CREATE TABLE reference_app.refused (
	key_id reference_app.id REFERENCES kms.key (key_id));
CREATE TABLE reference_app.refused (key_id name REFERENCES kms.key (key_id));
CREATE TABLE reference_app.allowed (
	t text REFERENCES kms.key (key_id) ON UPDATE CASCADE,
	v varchar(80) REFERENCES kms.key (key_id) ON DELETE RESTRICT,
	c char(80) COLLATE "POSIX" REFERENCES kms.key (key_id) ON DELETE NO ACTION);
ALTER TABLE reference_app.allowed ALTER t TYPE reference_app.id;
ALTER TABLE reference_app.allowed ADD i name,
	ADD FOREIGN KEY (i) REFERENCES kms.key (key_id);
DROP TABLE reference_app.allowed;
RESET ROLE;
GRANT USAGE ON SCHEMA kms TO reference_operator;
SET ROLE reference_operator;
CREATE TEMP TABLE refused (key_id text REFERENCES kms.key (key_id));
RESET ROLE;
CREATE TABLE refused (ticket bigint, epoch bigint,
	FOREIGN KEY (ticket, epoch) REFERENCES kms.event);
CREATE TABLE refused (denial_id bigint REFERENCES kms.denial);

-- such a foreign key may exist from before
CREATE FUNCTION make_acting(name text) RETURNS void LANGUAGE sql AS $$
	UPDATE pg_trigger SET tgfoid = '"RI_FKey_cascade_del"'::regproc
	WHERE tgfoid = '"RI_FKey_noaction_del"'::regproc AND tgconstraint =
		(SELECT oid FROM pg_constraint WHERE conname = name);
	UPDATE pg_class SET relname = relname WHERE oid = 'kms.key'::regclass;
$$;
SET ROLE reference_app;
CREATE TABLE reference_app.acts (key_id text REFERENCES kms.key (key_id));
CREATE FUNCTION reference_app.escalate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'a user''s trigger ran as %', current_user;
	RETURN NULL;
END $$;
CREATE TRIGGER each_row AFTER DELETE ON reference_app.acts
	FOR EACH ROW EXECUTE FUNCTION reference_app.escalate();
CREATE TRIGGER each_statement AFTER DELETE ON reference_app.acts
	EXECUTE FUNCTION reference_app.escalate();
INSERT INTO reference_app.acts VALUES (:'one');
RESET ROLE;
SELECT make_acting('acts_key_id_fkey');
SELECT pg_sleep(1.1); -- until a key has expired
SELECT * FROM purge_task;
SELECT severity, finding FROM kms_check() WHERE finding ~ 'acts on deletes';
-- nothing is purged under an older snapshot, which does not see the foreign key
SET ROLE reference_app;
ALTER TABLE reference_app.acts DROP CONSTRAINT acts_key_id_fkey;
RESET ROLE;
\setenv PGDATABASE :DBNAME
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM reference_app.acts;
\! psql -XqAt -c "SET ROLE reference_app" -c "ALTER TABLE reference_app.acts ADD CONSTRAINT later FOREIGN KEY (key_id) REFERENCES kms.key" -c "RESET ROLE" -c "SELECT make_acting('later')"
SELECT * FROM purge_task;
COMMIT;
DROP TABLE reference_app.acts;

-- a foreign key that refuses the delete, also at the end of the transaction, keeps only its key
SET ROLE reference_app;
CREATE TABLE reference_app.keeps (key_id text REFERENCES kms.key (key_id)
	DEFERRABLE INITIALLY DEFERRED);
INSERT INTO reference_app.keeps VALUES (:'one');
RESET ROLE;
CREATE TABLE pending (i integer);
GRANT INSERT ON pending TO reference_operator;
CREATE FUNCTION who_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'a deferred trigger ran as %', current_user;
	RETURN NULL;
END $$;
-- of the same name, in another schema and in that of the table
CREATE CONSTRAINT TRIGGER keeps_key_id_fkey AFTER INSERT ON pending
	DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION who_runs();
BEGIN;
SET LOCAL ROLE reference_operator;
INSERT INTO pending VALUES (1);
SELECT done, skipped, more FROM kms_maintain() WHERE task = 'purge keys';
COMMIT;
SELECT count(*) FILTER (WHERE key_id = :'one') AS referred_to,
	count(*) FILTER (WHERE key_id = :'two') AS not_referred_to
FROM kms.key;
SELECT severity, finding FROM kms_check()
WHERE finding ~ 'reference_app' ORDER BY 1;

-- triggers of such a constraint that are pending are not run for us
SET ROLE reference_app;
CREATE TABLE reference_app.same_name (i integer);
CREATE CONSTRAINT TRIGGER keeps_key_id_fkey AFTER INSERT
	ON reference_app.same_name DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION reference_app.escalate();
RESET ROLE;
GRANT EXECUTE ON FUNCTION kms_maintain TO reference_app;
BEGIN;
SET LOCAL ROLE reference_app;
INSERT INTO reference_app.same_name VALUES (1);
SELECT done, skipped, more FROM kms_maintain() WHERE task = 'purge keys';
COMMIT;

-- the finding ends with the reference
DELETE FROM reference_app.keeps;
SELECT * FROM purge_task;
SELECT count(*) FROM kms.key WHERE key_id IN (:'one', :'two');

DROP VIEW purge_task;
DROP TABLE pending;
DROP FUNCTION who_runs(), make_acting(text);
DROP SCHEMA reference_app CASCADE;
DROP OWNED BY reference_app, reference_operator;
DROP ROLE reference_app, reference_operator;
