# A role that may make triggers on tables of kms, or foreign keys to them, has
# none of its code run with the rights of the extension's owner; nor can it, or
# the owner of the database, or a role with no right at all, make others wait
# for a lock by asking.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('foreign_code', conf => "kms.maintenance = off\nlog_min_messages = notice");
$node->safe_psql('postgres', 'CREATE EXTENSION kms; CREATE ROLE app LOGIN; CREATE ROLE nobody LOGIN;
	GRANT USAGE ON SCHEMA kms TO app, nobody; CREATE SCHEMA app AUTHORIZATION app; CREATE SCHEMA nobody AUTHORIZATION nobody;
	GRANT TRIGGER, REFERENCES ON ALL TABLES IN SCHEMA kms TO app');
my $key = sql("SELECT key_id FROM kms_issue_key('phone')");

# ---- Triggers --------------------------------------------------------------

sql(q{CREATE FUNCTION app.ran() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN RAISE LOG 'ran as %', current_user; RETURN NEW; END $$}, 'app');

# Tables that functions write in their own transaction, and a call that does.
my %writes = (
	key => "SELECT kms_issue_key('tablet')",
	key_secret => "SELECT kms_issue_key('tablet')",
	event_outbox => "SELECT kms_deprecate_key('$key')",
	denial => "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT kms_disable_key('$key')",
	maintenance => 'SELECT kms_maintain(confirm_purge => true)');
foreach my $table (sort keys %writes)
{
	foreach my $when ('BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW',
		'AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT')
	{
		my $trigger = sprintf $when, "kms.$table";
		like(fails("CREATE TRIGGER evil $trigger EXECUTE FUNCTION app.ran()", 'app'), qr/42501/,
			"the right to make triggers makes none: $trigger");
		sql("CREATE TRIGGER evil $trigger EXECUTE FUNCTION app.ran()");
		like(fails($writes{$table}), qr/55000: kms.$table is not written because of trigger evil on table kms.$table/,
			"kms.$table is not written: $trigger");
		sql("ALTER TABLE kms.$table DISABLE TRIGGER evil");
		is(fails("BEGIN; $writes{$table}; ROLLBACK"), '', "kms.$table is written if the trigger is disabled");
		sql("DROP TRIGGER evil ON kms.$table");
	}
}
is(sql("SELECT count(*) FROM kms.key"), '1', 'no refused call has left anything');

# ---- What only the owner can make, by mistake ---------------------------------

sql('CREATE RULE r AS ON INSERT TO kms.event_outbox DO INSTEAD NOTHING');
like(fails("SELECT kms_deprecate_key('$key')"), qr/55000: kms.event_outbox is not written because of rule r /, 'a rule');
sql('DROP RULE r ON kms.event_outbox');
sql('CREATE POLICY p ON kms.key USING (true); ALTER TABLE kms.key ENABLE ROW LEVEL SECURITY');
like(fails("SELECT kms_issue_key('tablet')"), qr/55000: kms.key is not written because of policy p /, 'a policy');
sql('DROP POLICY p ON kms.key; ALTER TABLE kms.key DISABLE ROW LEVEL SECURITY');
sql('CREATE TABLE app.child () INHERITS (kms.key)');
like(fails("SELECT kms_issue_key('tablet')"), qr/55000: kms.key is not written because of table app.child/, 'a child table');
sql('DROP TABLE app.child');
is(sql("SELECT count(*) FROM kms_issue_key('tablet')"), '1', 'without the child table keys are made');

# A trigger that is made while the table is being written waits for that.
my $session = $node->background_psql('postgres', on_error_stop => 1);
$session->query_safe("BEGIN; SELECT kms_rotate_key('tablet')");
like(fails('SET lock_timeout = 100; CREATE TRIGGER evil BEFORE INSERT ON kms.key
	FOR EACH ROW EXECUTE FUNCTION app.ran()'), qr/55P03/, 'a new trigger has to wait for a transaction that writes');
$session->query_safe('COMMIT');
$session->quit;

# ---- Foreign keys ------------------------------------------------------------

sql(q{CREATE TYPE app.kind AS ENUM ('a');
	CREATE FUNCTION app.to_text(app.kind) RETURNS text LANGUAGE plpgsql AS $$
		BEGIN RAISE LOG 'ran as %', current_user; RETURN 'x'; END $$;
	CREATE CAST (app.kind AS text) WITH FUNCTION app.to_text AS IMPLICIT}, 'app');
like(fails('CREATE TABLE app.k (k app.kind REFERENCES kms.key)', 'app'), qr/42830: .*needs a column of type text/,
	'a foreign key with a cast of its own is refused');
sql('CREATE TABLE app.t (k text REFERENCES kms.key)', 'app');
like(fails('ALTER TABLE app.t ALTER k TYPE app.kind USING NULL', 'app'), qr/42830: /, 'a column that gets such a type later is refused');
is(sql("SELECT count(*) FROM pg_constraint WHERE confrelid = 'kms.key'::regclass"), '1', 'a foreign key of type text is allowed');

unlike(slurp_file($node->logfile), qr/LOG:  ran as/, 'no code has run');

# ---- Locks ------------------------------------------------------------------------

# If the statements that follow ask for the lock, they have to wait for the writer.
my $writer = $node->background_psql('postgres', on_error_stop => 1);
$writer->query_safe('BEGIN; SET enable_seqscan = off;
	SELECT count(*) FROM kms.event WHERE ticket = 1; LOCK TABLE kms.event IN ROW EXCLUSIVE MODE');
is($writer->query_safe("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()
	AND relation = 'kms.event_pkey'::regclass"), '1', 'an index is locked');
sql("CREATE TABLE nobody.list (k text) PARTITION BY LIST (k); CREATE TABLE nobody.mine (a bigint, b bigint);
	CREATE INDEX parted ON ONLY nobody.list (k)", 'nobody');
foreach my $statement (
	'CREATE RULE r AS ON INSERT TO kms.event DO NOTHING',
	'CREATE TRIGGER t BEFORE INSERT ON kms.event EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	'CREATE TABLE nobody.refers (a bigint, b bigint, FOREIGN KEY (a, b) REFERENCES kms.event)',
	'ALTER TABLE nobody.mine ADD FOREIGN KEY (a, b) REFERENCES kms.event',
	"ALTER TABLE nobody.list ATTACH PARTITION kms.event FOR VALUES IN ('a')",
	'ALTER TABLE nobody.list DETACH PARTITION kms.event',
	"CREATE TABLE nobody.part PARTITION OF kms.event FOR VALUES IN ('a')",
	'CREATE FOREIGN TABLE nobody.far PARTITION OF kms.event DEFAULT SERVER nowhere',
	'CREATE TABLE nobody.child () INHERITS (kms.event)',
	'ALTER INDEX kms.event_pkey DEPENDS ON EXTENSION plpgsql',
	'ALTER INDEX nobody.parted ATTACH PARTITION kms.event_pkey',
	'ALTER TABLE kms.event ADD x integer', 'CREATE INDEX ON kms.event (ticket)',
	'TRUNCATE kms.event', 'DROP TABLE kms.event', 'BEGIN; LOCK TABLE kms.event')
{
	like(fails("SET lock_timeout = 100; $statement", 'nobody'), qr/42501/, "asks for no lock: $statement");
}
foreach my $refers ('kms.event', 'kms.pool_key')
{
	like(fails("SET lock_timeout = 100; ALTER TABLE app.t ADD FOREIGN KEY (k) REFERENCES $refers", 'app'), qr/42501/,
		"refused with the right to make foreign keys, too: $refers");
}

# The owner of the database may vacuum tables of others.
my $toast = sql("SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'kms.event'::regclass");
sql('CREATE ROLE landlord LOGIN; ALTER DATABASE postgres OWNER TO landlord; CREATE TABLE app.full AS SELECT 1 AS a;
	GRANT USAGE ON SCHEMA kms, app, pg_toast TO landlord');
my $file = sql("SELECT pg_relation_filenode('app.full')");
foreach my $tables ('kms.event', 'app.full, kms.event', $toast, '')
{
	my ($rc, $stdout, $stderr) = $node->psql('postgres', "SET lock_timeout = 1000; VACUUM (FULL) $tables",
		extra_params => [ '-U', 'landlord' ]);
	like($stderr, qr/WARNING:  skipping "\w+": only its owner can vacuum a table of kms with FULL/, "VACUUM (FULL) $tables");
	unlike($stderr, qr/ERROR/, 'waits for nothing');
}
isnt(sql("SELECT pg_relation_filenode('app.full')"), $file, 'other tables are vacuumed');
is(fails('VACUUM kms.event', 'landlord'), '', 'tables of kms are vacuumed without FULL');
like(fails('BEGIN; VACUUM FULL kms.event', 'landlord'), qr/25001/, 'a transaction block is refused as ever');
like(fails('SET lock_timeout = 1000; REINDEX DATABASE postgres', 'landlord'),
	qr/42501: only the owner of extension kms can lock its tables/, 'the owner of the database may not reindex the whole database');
my $reader = $node->background_psql('postgres', on_error_stop => 1);
$reader->query_safe('BEGIN; LOCK TABLE pg_authid IN ACCESS SHARE MODE');
is(fails('SET lock_timeout = 1000; VACUUM FULL', $_), '', "VACUUM FULL of $_ asks for no lock of a shared catalog")
  foreach qw(nobody landlord);
$reader->query_safe('COMMIT');
$reader->quit;
$writer->query_safe('COMMIT');
$writer->quit;

$node->stop;
done_testing();

sub sql
{
	my ($sql, $role) = @_;
	return $node->safe_psql('postgres', $sql, defined $role ? (extra_params => [ '-U', $role ]) : ());
}

# The errors of statements, with their SQLSTATEs.
sub fails
{
	my ($sql, $role) = @_;
	my ($rc, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql",
		on_error_stop => 0, defined $role ? (extra_params => [ '-U', $role ]) : ());
	return join '', grep { /ERROR/ } split /^/, $stderr;
}
