# A statement that would drop the extension along with other objects is refused
# for every role, before it has locked anything.  The owner drops the extension by
# its name.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('drops', conf => 'kms.maintenance = off');
$node->safe_psql('postgres', 'CREATE ROLE dba LOGIN; CREATE ROLE nobody LOGIN; CREATE ROLE admin SUPERUSER LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE app OWNER dba');
sql('CREATE EXTENSION kms', 'admin');
my $superuser = $node->safe_psql('postgres', 'SELECT session_user');
my $key = sql("SELECT key_id FROM kms_issue_key('phone')");
my $refused = qr/2BP01: cannot drop .* because extension kms would be dropped, too\n.*DETAIL:.*\n.*DROP EXTENSION kms first/;

# ---- Before anything is locked --------------------------------------------------

# A session holds the locks that a drop would need.
my $holder = $node->background_psql('app', on_error_stop => 1);
$holder->query_safe("BEGIN; COMMENT ON EXTENSION kms IS 'held'; SELECT count(*) FROM kms.key");
foreach my $role ('dba', 'nobody', 'admin', $superuser)
{
	foreach my $statement ('DROP SCHEMA public CASCADE', 'DROP SCHEMA IF EXISTS public CASCADE',
		'DROP SCHEMA public', 'DROP SCHEMA kms CASCADE', 'CREATE SCHEMA x; DROP SCHEMA x, public CASCADE',
		q{DO 'BEGIN EXECUTE $$DROP SCHEMA public CASCADE$$; END'},
		q{CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS 'DROP SCHEMA public CASCADE'; SELECT pg_temp.f()})
	{
		like(fails($statement, $role), $refused, "$role: $statement");
	}
}
foreach my $statement ('DROP OWNED BY admin', 'DROP OWNED BY admin CASCADE', 'DROP OWNED BY nobody, CURRENT_USER CASCADE')
{
	like(fails($statement, 'admin'), $refused, $statement);
}
like(fails('DROP OWNED BY admin', 'nobody'), qr/42501/, 'DROP OWNED of others is still refused to those who may not');
foreach my $statement ('DROP EXTENSION kms', 'DROP EXTENSION IF EXISTS kms CASCADE', 'DROP EXTENSION plpgsql, kms CASCADE')
{
	like(fails($statement, $_), qr/42501: must be owner of extension/, "$_: $statement") foreach qw(nobody dba);
}
is( $node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"),
	'0', 'nobody waits');
$holder->query_safe('ROLLBACK');
$holder->quit;

# ---- The owner of the schema, and other ways there --------------------------------------

sql('ALTER SCHEMA public OWNER TO dba');
like(fails($_, 'dba'), $refused, $_) foreach 'DROP SCHEMA public CASCADE', 'DROP OWNED BY dba', 'DROP OWNED BY CURRENT_USER CASCADE';
sql('CREATE SCHEMA other; CREATE EXTENSION pg_trgm SCHEMA other; ALTER FUNCTION kms_version() DEPENDS ON EXTENSION pg_trgm');
like(fails($_), $refused, $_) foreach 'DROP EXTENSION pg_trgm', 'DROP SCHEMA other CASCADE';
sql('ALTER FUNCTION kms_version() NO DEPENDS ON EXTENSION pg_trgm; DROP SCHEMA other CASCADE');
is(sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_trgm'"), '0', 'other objects are dropped as always');
# a dependency on an object that no statement names
sql(q{CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
	UPDATE pg_class SET relam = (SELECT oid FROM pg_am WHERE amname = 'other') WHERE oid = 'kms.pepper'::regclass;
	INSERT INTO pg_depend SELECT 'pg_class'::regclass, 'kms.pepper'::regclass, 0, 'pg_am'::regclass, oid, 0, 'n'
	FROM pg_am WHERE amname = 'other'});
like(fails('DROP ACCESS METHOD other CASCADE'), $refused, 'a drop on which nobody has thought is refused all the same');
sql(q{DELETE FROM pg_depend WHERE refclassid = 'pg_am'::regclass;
	UPDATE pg_class SET relam = (SELECT oid FROM pg_am WHERE amname = 'heap') WHERE oid = 'kms.pepper'::regclass;
	DROP ACCESS METHOD other});
is(sql("SELECT kms_key_state('$key')"), 'active', 'every key is still there');

# ---- What works as always ------------------------------------------------------------

sql('CREATE TABLE public.t (k text); GRANT EXECUTE ON FUNCTION kms_decrypt TO nobody');
sql('DROP OWNED BY nobody');
is(sql("SELECT has_function_privilege('nobody', 'kms_decrypt(text, text, text, text, text, bytea)', 'EXECUTE')"),
	'f', 'DROP OWNED of one who has only rights takes those');
sql('BEGIN; DROP EXTENSION kms; ROLLBACK');
sql('BEGIN; DROP EXTENSION kms CASCADE; ROLLBACK', 'admin');
sql(q{BEGIN; DO 'BEGIN DROP EXTENSION kms; END'; ROLLBACK});
like(fails('BEGIN; SAVEPOINT s; DROP EXTENSION kms; ROLLBACK TO s; DROP SCHEMA public CASCADE'), $refused,
	'a drop by name that is rolled back leaves no door open');
like(fails('BEGIN; SAVEPOINT s; DROP EXTENSION kms, not_there; ROLLBACK TO s; DROP SCHEMA public CASCADE'), $refused,
	'a drop by name that fails leaves no door open');
is(sql("SELECT kms_key_state('$key')"), 'active', 'every key is still there');

# Kms in a schema of its own does not keep other schemas from being dropped.
sql('DROP EXTENSION kms; DROP SCHEMA public CASCADE', 'admin');
sql('CREATE SCHEMA public; CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys');
$key = sql("SELECT key_id FROM keys.kms_issue_key('phone')");
sql("CREATE TABLE public.t (k text REFERENCES kms.key); INSERT INTO public.t VALUES ('$key')");
sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION dba');
is(sql("SELECT keys.kms_key_state('$key')"), 'active', 'a reset of schema public leaves the keys where they are');
like(fails('DROP SCHEMA keys CASCADE'), $refused, 'the schema of the keys is protected');
$node->safe_psql('postgres', 'DROP DATABASE app');
pass('DROP DATABASE works');

$node->stop;
done_testing();

sub sql
{
	my ($sql, $role) = @_;
	return $node->safe_psql('app', $sql, defined $role ? (extra_params => [ '-U', $role ]) : ());
}

sub fails
{
	my ($sql, $role) = @_;
	my ($rc, $stdout, $stderr) = $node->psql('app', "\\set VERBOSITY verbose\nSET lock_timeout = 200;\n$sql",
		on_error_stop => 0, defined $role ? (extra_params => [ '-U', $role ]) : ());
	return $stderr;
}
