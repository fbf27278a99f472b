# The first call of each kind with a field key is an event at once, and the
# further ones are one event with their number, however a statement or a
# transaction goes on and ends.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsFields;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('sums', conf => "max_prepared_transactions = 2\njit = off");
KmsFields::create($node, 1000);
my $decrypt = $KmsFields::decrypt;
my $try = $KmsFields::try;
my $all = "SELECT count($decrypt) FROM person";

sub case_is
{
	my ($name, $sql, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(KmsFields::events($node, KmsFields::run($node, $sql)), $expected, $name);
}

# ---- How statements and transactions end ------------------------------------

my $of = 'decrypt_field tax/1:';
case_is('one value', "SELECT $decrypt FROM person WHERE id = 1", "$of 1");
case_is('a statement', $all, "$of 1 999");
case_is('two transactions', "$all; $all", "$of 1 999 1 999");
case_is('two statements', "BEGIN; $all; $all; COMMIT", "$of 1 999 1000");
case_is('a rollback', "BEGIN; $all; ROLLBACK", "$of 1 999");
case_is('a savepoint',
	"BEGIN; $all; SAVEPOINT s; $all; ROLLBACK TO s; $all; RELEASE s; COMMIT",
	"$of 1 999 1000 1000");
case_is('a first value in a savepoint',
	"BEGIN; SAVEPOINT s; $all; ROLLBACK TO s; $all; COMMIT", "$of 1 999 1000");
case_is('an error half way', "SELECT 1 / (501 - id), $decrypt FROM person", "$of 1 499");
case_is('an error at the second value', "SELECT 1 / (2 - id), $decrypt FROM person", "$of 1");
case_is('an error in a transaction',
	"BEGIN; $all; SELECT 1 / (501 - id), $decrypt FROM person; $all; COMMIT", "$of 1 999 500");
case_is('a read-only transaction', "BEGIN READ ONLY; $all; COMMIT", "$of 1 999");
case_is('several statements in a message', "SELECT 1 \\; $all \\; $all", "$of 1 1999");
case_is('a prepared transaction',
	"BEGIN; $all; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'", "$of 1 999");
case_is('all operations',
	"SELECT count(kms_encrypt_field('tax', id::text, '')), count(kms_blind_index('tax', id::text, 's')),
		count(kms_refresh_field(tax, 'person.tax:' || id, 'new:' || id)), count($decrypt)
	FROM person",
	join '; ', 'blind_index tax/index: 1 999', "$of 1 999", 'encrypt_field tax/1: 1 999', 'refresh_field tax/1: 1 999');

# ---- Cursors -------------------------------------------------------------

my $cursor = "CURSOR FOR SELECT $decrypt FROM person";
case_is('a cursor', "BEGIN; DECLARE c $cursor; FETCH 10 FROM c; FETCH 10 FROM c; COMMIT", "$of 1 9 10");
case_is('a cursor that is left open', "BEGIN; DECLARE c $cursor; FETCH 10 FROM c; ROLLBACK", "$of 1 9");
case_is('a cursor that is held, which reads all rows at the commit',
	"BEGIN; DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT $decrypt FROM person;
	FETCH 10 FROM c; COMMIT; FETCH 10 FROM c; CLOSE c",
	"$of 1 9 990");

# ---- PL/pgSQL ------------------------------------------------------------

$node->safe_psql('postgres', <<"SQL");
CREATE PROCEDURE in_transactions(loops int) LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1 .. loops LOOP
		PERFORM $decrypt FROM person WHERE id <= 10;
		IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
	END LOOP;
END \$\$;
CREATE FUNCTION caught(value bytea, context text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
	RETURN kms_decrypt_field(value, context);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END \$\$;
SQL
case_is('a procedure that commits', 'CALL in_transactions(4)', "$of 1 9 1 9 1 9 1 9");
case_is('errors that are caught',
	"DO \$\$ BEGIN PERFORM caught(tax, 'wrong') FROM person; END \$\$",
	'decrypt_field tax/1 (Failed to decrypt data): 1 999');
case_is('values and errors by turns',
	"SELECT count(caught(tax, CASE WHEN id % 2 = 0 THEN 'wrong' ELSE 'person.tax:' || id END)) FROM person",
	"decrypt_field tax/1 (Failed to decrypt data): 1 499; $of 1 499");

# ---- Failures ------------------------------------------------------------

$node->safe_psql('postgres', <<"SQL");
SET kms.field_destroy_after = 0;
SELECT kms_create_field_key('old');
CREATE TABLE old AS SELECT id, kms_encrypt_field('old', 'x', 'person.tax:' || id) AS tax
FROM generate_series(1, 1000) AS id;
SELECT kms_disable_field_key('old');
SELECT kms_destroy_field_key('old', NULL, 'old/all');
SQL
case_is('a report over a destroyed key', "SELECT count($try) FROM old",
	'decrypt_field old/1 (Field key was destroyed): 1 999');
case_is('a failure after values, whose event has the key',
	"SELECT count(kms_try_decrypt_field(tax, 'person.tax:' || least(id, 500))) FROM person",
	"decrypt_field tax/1 (Failed to decrypt data): 1 499; $of 1 499");
case_is('an error after values, whose event has the key',
	"SELECT kms_decrypt_field(tax, 'person.tax:' || least(id, 500)) FROM person",
	"decrypt_field tax/1 (Failed to decrypt data): 1; $of 1 499");
case_is('nothing to refresh after a value',
	"SELECT kms_refresh_field(tax, 'person.tax:' || id, CASE WHEN id < 500 THEN 'new' END) FROM person",
	"refresh_field tax/1 (No change): 1 500; refresh_field tax/1: 1 498");
case_is('malformed values', "SELECT count(kms_try_decrypt_field('x', 'y')) FROM person",
	'decrypt_field no key (Invalid argument): 1 999');
case_is('no such key', "SELECT caught(kms_encrypt_field('nothing', 'x', 'y'), '')",
	'encrypt_field no key (Field key not found): 1');

# ---- The driver's protocol -----------------------------------------------

# Run a script of pgbench and return the audit context of its events.
sub pgbench
{
	my ($mode, $name, $script) = @_;
	my $path = PostgreSQL::Test::Utils::tempdir() . "/$name.sql";

	append_to_file($path, "SET kms.audit_context = '$name';\n$script\n");
	my ($out, $errors);
	IPC::Run::run([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-M', $mode, '-t', 2, '-f', $path, 'postgres' ],
		'>', \$out, '2>', \$errors)
	  or die "pgbench: $errors";
	return $name;
}

foreach my $mode ('extended', 'prepared')
{
	is(KmsFields::events($node, pgbench($mode, "$mode", "$all;")), "$of 1 999 1 999", "$mode: statements");
	is(KmsFields::events($node, pgbench($mode, "$mode transaction", "BEGIN;\n$all;\n$all;\nCOMMIT;")),
		"$of 1 999 1000 1 999 1000", "$mode: a transaction");
	is(KmsFields::events($node, pgbench($mode, "$mode pipeline", "\\startpipeline\n$all;\n$all;\n\\endpipeline")),
		"$of 1 999 1000 1 999 1000", "$mode: a pipeline");
}

# ---- What makes a kind ---------------------------------------------------

$node->safe_psql('postgres', <<"SQL");
CREATE ROLE ann;
CREATE ROLE bob;
GRANT EXECUTE ON FUNCTION kms_decrypt_field, kms_field."tax/decrypt" TO ann, bob;
GRANT SELECT ON person TO ann, bob;
CREATE FUNCTION as_ann(value bytea, context text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS \$\$
BEGIN
	RETURN kms_decrypt_field(value, context);
END \$\$;
ALTER FUNCTION as_ann OWNER TO ann;
SQL

sub roles
{
	my ($tag) = @_;
	return $node->safe_psql('postgres', "SELECT kms_flush_events() \\gset
		SELECT string_agg(line, '; ' ORDER BY line COLLATE \"C\") FROM
		(SELECT replace(caller_role, session_role, 'me') || ' ' || replace(effective_role, session_role, 'me') || ': ' ||
			string_agg(calls::text, ' ' ORDER BY ticket) AS line
		FROM kms.event WHERE audit_context = '$tag' GROUP BY session_role, caller_role, effective_role) AS e");
}

is( roles(KmsFields::run($node, "BEGIN; $all; SET ROLE ann; $all; SET ROLE bob; $all; SET ROLE ann; $all; RESET ROLE; $all; COMMIT")),
	'ann ann: 1 999 1000; bob bob: 1 999; me me: 1 999 1000',
	'each role has its own events');
is( roles(KmsFields::run($node,
			"SELECT CASE WHEN id % 2 = 0 THEN $decrypt ELSE as_ann(tax, 'person.tax:' || id) END FROM person")),
	'me ann: 1 499; me me: 1 499',
	'so have functions that are SECURITY DEFINER, among values of others');
is( KmsFields::events($node, 'even') . '; ' . (KmsFields::events($node, 'odd') || 'nothing'),
	'; nothing', 'no event has these contexts yet');
KmsFields::run($node,
	"SELECT set_config('kms.audit_context', CASE WHEN id % 2 = 0 THEN 'even' ELSE 'odd' END, false), $decrypt FROM person");
is(KmsFields::events($node, 'even'), "$of 1 499", 'each audit context has its own events');
is(KmsFields::events($node, 'odd'), "$of 1 499", 'each audit context has its own events, by turns');
my $versions = KmsFields::run($node,
	"BEGIN; $all; SELECT kms_rotate_field_key('tax');
	SELECT count(kms_decrypt_field(kms_refresh_field(tax, 'person.tax:' || id), 'person.tax:' || id)) FROM person; ROLLBACK");
is( KmsFields::events($node, $versions),
	'decrypt_field tax/1: 1 999; decrypt_field tax/2: 1 999; refresh_field tax/2: 1 999; rotate_field_key tax/2 (Rolled back): 1',
	'each version has its own events');

# ---- Parallel workers ----------------------------------------------------

my $forced = "SELECT set_config(name, 'on', false) FROM pg_settings
	WHERE name IN ('force_parallel_mode', 'debug_parallel_query')";
case_is('a worker', "$forced; $all", "$of 1 999");
case_is('an error in a worker', "$forced; SELECT 1 / (501 - id), $decrypt FROM person", "$of 1 499");
$node->safe_psql('postgres', 'ALTER TABLE person SET (parallel_workers = 2)');
my $costs = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0';
like($node->safe_psql('postgres', "$costs; EXPLAIN $all"), qr/Workers Planned: 2/, 'the plan has workers');
my $parallel = KmsFields::run($node, "$costs; $all");
like(KmsFields::total($node, $parallel), qr/^1000\|[1-6]$/, 'workers record their own sums');

is($node->safe_psql('postgres', 'SELECT intact FROM kms_audit_verify()'), 't', 'the trail is intact');
$node->stop;
done_testing();
