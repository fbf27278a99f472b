# kms_check() reports what is wrong with the tables of kms, regardless of their
# owner and of what was done to them, and following its hints mends it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('owned', conf => 'kms.maintenance = off');
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE other; CREATE ROLE boss SUPERUSER LOGIN;
	CREATE DATABASE owned');
$node->safe_psql('owned', 'SET ROLE boss; CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'owned', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');

sub sql
{
	return $node->safe_psql('owned', $_[0]);
}

sub findings
{
	return KmsClient::findings($node, 'owned');
}

sub serves
{
	my $what = shift;
	is(sql("SELECT kms_decrypt('$key', '$ciphertext')"), 'secret', "$what: keys open");
	is(sql("SELECT count(*) FROM kms_issue_key('phone of $what')"), '1', "$what: keys are made");
	is( KmsTest::events($node, 'owned', "operation = 'generate' AND device_id = 'phone of $what'"),
		'1', "$what: events are written");
	is(sql("SELECT count(*) > 0 FROM kms.keys"), 't', "$what: the views work");
}

sub undone
{
	my ($what, $do, $finding, $undo) = @_;
	sql($do);
	like(findings(), $finding, "$what is reported");
	sql($undo);
	KmsClient::is_healthy($node, 'owned', "$what and back: kms_check() has no complaint");
}

KmsClient::is_healthy($node, 'owned', 'a fresh installation: kms_check() has no complaint');

# ---- Owners ---------------------------------------------------------------

sql('ALTER TABLE kms.key OWNER TO app; ALTER TABLE kms.event OWNER TO other');
like(findings(), qr/^warning: roles that are not superusers own parts of kms: app \(table kms\.key\), other \(table kms\.event\)/m,
	'owners of tables are named');
unlike(findings(), qr/permission denied/, 'no check fails');
serves('a table of another owner');
sql('ALTER TABLE kms.key OWNER TO boss; ALTER TABLE kms.event OWNER TO boss');
KmsClient::is_healthy($node, 'owned', 'owners as before: kms_check() has no complaint');

sql('REASSIGN OWNED BY boss TO app');
like(findings(), qr/^warning: roles that are not superusers own parts of kms: app \(extension kms, schema kms, table kms\.audit_key, and \d+ more\)/m,
	'an owner of all of it is named');
unlike(findings(), qr/not checked/, 'all checks run');
serves('a plain owner');
sql('ALTER TABLE kms.event OWNER TO other');
like(findings(), qr/^error: not checked: the rows of keys: permission denied for table event/m,
	'a table that the owner cannot read is a finding');
like(findings(), qr/other \(table kms\.event\)/, 'the owner of the table is named as the cause');
sql('REASSIGN OWNED BY app, other TO boss');
KmsClient::is_healthy($node, 'owned', 'reassigned to a superuser: kms_check() has no complaint');
serves('a superuser again');

# ---- Tables ---------------------------------------------------------------

undone('a renamed table', 'ALTER TABLE kms.denial RENAME TO hidden',
	qr/^error: tables or indexes of kms are missing: kms\.denial \(/m,
	'ALTER TABLE kms.hidden RENAME TO denial');
undone('a renamed index', 'ALTER INDEX kms.key_device_idx RENAME TO hidden',
	qr/^error: tables or indexes of kms are missing: kms\.key_device_idx \(/m,
	'ALTER INDEX kms.hidden RENAME TO key_device_idx');
undone('a table replaced by a view',
	'ALTER TABLE kms.metric RENAME TO hidden; CREATE VIEW kms.metric AS SELECT * FROM kms.hidden',
	qr/^error: tables or indexes of kms are missing: kms\.metric \(/m,
	'DROP VIEW kms.metric; ALTER TABLE kms.hidden RENAME TO metric');
undone('an UNLOGGED table', 'ALTER TABLE kms.metric SET UNLOGGED',
	qr/^error: tables of kms are UNLOGGED: kms\.metric \(/m,
	'ALTER TABLE kms.metric SET LOGGED');
undone('row security', 'ALTER TABLE kms.key ENABLE ROW LEVEL SECURITY; ALTER TABLE kms.key FORCE ROW LEVEL SECURITY',
	qr/^error: others have attached to tables of kms: row security of kms\.key \(/m,
	'ALTER TABLE kms.key DISABLE ROW LEVEL SECURITY; ALTER TABLE kms.key NO FORCE ROW LEVEL SECURITY');
undone('a table without autovacuum', 'ALTER TABLE kms.key SET (autovacuum_enabled = off)',
	qr/^warning: autovacuum is turned off for tables of kms: kms\.key \(/m,
	'ALTER TABLE kms.key RESET (autovacuum_enabled)');
undone('a TOAST table without autovacuum', 'ALTER TABLE kms.key_secret SET (toast.autovacuum_enabled = false)',
	qr/^warning: autovacuum is turned off for tables of kms: kms\.key_secret \(/m,
	'ALTER TABLE kms.key_secret RESET (toast.autovacuum_enabled)');
undone('SQL of another version', "UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'kms'",
	qr/^warning: the SQL of this database is of version 0\.9, older than the library, \S+ \(/m,
	"UPDATE pg_extension SET extversion = kms_version() WHERE extname = 'kms'");

my $column = $node->background_psql('owned', on_error_stop => 1);
$column->query_safe('BEGIN; ALTER TABLE kms.event DROP COLUMN audit_context');
like($column->query_safe("SELECT severity || ': ' || finding FROM kms_check()"),
	qr/^error: columns were dropped from tables of kms: kms\.event$/m, 'a dropped column is reported');
$column->query_safe('ROLLBACK');
$column->quit;

$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->reload;
ok(KmsTest::poll(sub { findings() =~ /^warning: autovacuum is off \(/m }), 'no autovacuum at all is reported');
$node->append_conf('postgresql.conf', 'autovacuum = on');
$node->reload;
ok(KmsTest::poll(sub { findings() !~ /autovacuum/ }), 'the finding ends when autovacuum is on again');

# ---- Code of others -------------------------------------------------------

sql('CREATE FUNCTION public.mine() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
	CREATE FUNCTION public.good(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$SELECT true$$');
undone('a trigger', 'CREATE TRIGGER mine BEFORE INSERT ON kms.maintenance FOR EACH ROW EXECUTE FUNCTION public.mine();
	ALTER TABLE kms.maintenance DISABLE TRIGGER mine',
	qr/^error: others have attached to tables of kms: trigger mine on kms\.maintenance \(/m,
	'DROP TRIGGER mine ON kms.maintenance');
undone('a rule', 'CREATE RULE nothing AS ON DELETE TO kms.pepper DO ALSO NOTHING',
	qr/^error: others have attached to tables of kms: rule nothing on kms\.pepper \(/m,
	'DROP RULE nothing ON kms.pepper');
undone('a policy', 'CREATE POLICY mine ON kms.key',
	qr/^error: others have attached to tables of kms: policy mine on kms\.key \(/m,
	'DROP POLICY mine ON kms.key');
undone('a child', 'CREATE TABLE public.child () INHERITS (kms.pepper)',
	qr/^error: others have attached to tables of kms: table public\.child, which inherits from kms\.pepper \(/m,
	'DROP TABLE public.child');
undone('a constraint', 'ALTER TABLE kms.pepper ADD CONSTRAINT good CHECK (public.good(pepper_id))',
	qr/^error: tables or views of kms use objects that are not part of kms: constraint good on table kms\.pepper uses function (?:public\.)?good\(text\) \(/m,
	'ALTER TABLE kms.pepper DROP CONSTRAINT good');
undone('an index', 'CREATE INDEX good ON kms.pepper (public.good(pepper_id))',
	qr/^error: tables or views of kms use objects that are not part of kms: index kms\.good uses function/m,
	'DROP INDEX kms.good');
my $view = sql("SELECT pg_get_viewdef('kms.status'::regclass)");
undone('a replaced view', 'CREATE OR REPLACE VIEW kms.status AS SELECT item, value FROM kms.read_status() WHERE public.good(item)',
	qr/^error: tables or views of kms use objects that are not part of kms: rule _RETURN on view kms\.status uses function/m,
	"CREATE OR REPLACE VIEW kms.status AS $view");

# ---- Locks ----------------------------------------------------------------

my $locker = $node->background_psql('owned', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE kms.key_secret; LOCK TABLE kms.denial');
my $findings = findings();
like($findings, qr/^error: another session has locked tables of kms: kms\.key_secret, kms\.denial \(/m,
	'locked tables are named');
like($findings, qr/^error: not checked, because another session has locked a table: .*the rows of keys/m,
	'the checks that were skipped for that reason are named');
like($findings, qr/^error: fsync is off/m, 'other checks still run');
$locker->query_safe('COMMIT');
$locker->quit;
KmsClient::is_healthy($node, 'owned', 'after all of it: kms_check() has no complaint');
serves('the end');
$node->stop;
done_testing();
