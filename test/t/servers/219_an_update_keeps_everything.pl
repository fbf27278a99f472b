# ALTER EXTENSION kms UPDATE on databases of version 1.0 that have some of
# everything: nothing is lost and all of it works, also if the update is rolled
# back, if sessions call kms in the meantime, if another superuser runs it, and if
# default privileges grant everything to everybody.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsFilled;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('updated', conf => $KmsFilled::conf);
my $kinds = join ';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO PUBLIC" } qw(TABLES SEQUENCES FUNCTIONS TYPES SCHEMAS);
my $acls = q{SELECT string_agg(pg_describe_object(classid, objid, 0) || ' ' || coalesce(acl::text, ''), E'\n' ORDER BY classid, objid)
	FROM (SELECT d.classid, d.objid, coalesce(c.relacl, p.proacl, n.nspacl) AS acl FROM pg_depend AS d
		LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
		LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
		LEFT JOIN pg_namespace AS n ON d.classid = 'pg_namespace'::regclass AND n.oid = d.objid
		WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		AND d.objid <> coalesce(to_regclass('kms.devices'), 0) AND d.objid NOT IN (coalesce(to_regtype('kms.devices'), 0), coalesce(to_regtype('kms.devices[]'), 0))
		AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kms')) AS m};
my $version = "SELECT extversion FROM pg_extension WHERE extname = 'kms'";
my $owners = "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class WHERE relnamespace = 'kms'::regnamespace";

KmsFilled::make_roles($node);
$node->sql('CREATE ROLE second SUPERUSER LOGIN');

sub filled
{
	my $db = shift;
	$node->sql("CREATE DATABASE $db");
	return KmsFilled->fill($node, $db);
}

sub updated
{
	my ($db, $filled, $name) = @_;
	is($node->safe_psql($db, $version), '1.1', "$name: the SQL is of the new version");
	$filled->works($node, $db, $name);
	is($node->safe_psql($db, "SELECT active, expires_at > now() FROM kms.devices WHERE device_id = 'phone'"), '3|t',
		"$name: the new view has the devices");
	KmsClient::is_healthy($node, $db, "$name: kms_check() has no complaint");
	return;
}

# ---- The owner's, with grants of users -------------------------------------

my $plain = filled('plain');
my $granted = $node->safe_psql('plain', $acls);
like(KmsClient::findings($node, 'plain'),
	qr/^warning: the SQL of this database is of version 1\.0, older than the library, 1\.1 \(Run ALTER EXTENSION kms UPDATE in this database/m,
	'before: kms_check() asks for the update');
$node->safe_psql('plain', 'BEGIN; ALTER EXTENSION kms UPDATE; SELECT count(*) FROM kms.devices; ROLLBACK');
is($node->safe_psql('plain', $version), '1.0', 'an update that is rolled back: the SQL is what it was');
is($node->safe_psql('plain', "SELECT to_regclass('kms.devices') IS NULL"), 't', 'an update that is rolled back: there is no new view');
$plain->is_unchanged($node, 'plain', 'an update that is rolled back');
is($node->safe_psql('plain', $acls), $granted, 'an update that is rolled back: grants are what they were');
$node->safe_psql('plain', 'ALTER EXTENSION kms UPDATE');
$plain->is_unchanged($node, 'plain', 'plain');
is($node->safe_psql('plain', $acls), $granted, 'plain: grants are what they were');
updated('plain', $plain, 'plain');

# ---- Another superuser's, where default privileges give everything away ------

my $second = filled('second');
$node->safe_psql('second', $kinds, extra_params => [ '-U', 'second' ]);
$node->safe_psql('second', $kinds);
$granted = $node->safe_psql('second', $acls);
$node->safe_psql('second', 'ALTER EXTENSION kms UPDATE', extra_params => [ '-U', 'second' ]);
$second->is_unchanged($node, 'second', 'another superuser');
is($node->safe_psql('second', $acls), $granted, 'another superuser: grants are what they were');
my $owner = $second->owner($node, 'second');
is($node->safe_psql('second', $owners), $owner, 'another superuser: the new view belongs to the owner of the extension');
is($node->safe_psql('second', "SELECT count(*) FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
		WHERE oid = 'kms.devices'::regclass AND (grantee <> relowner OR grantor <> relowner)"),
	'0', 'another superuser: nobody else has a right on the new view');
is($node->safe_psql('second', "SELECT bool_and(pg_get_userbyid(a.grantee) = '$owner') FROM pg_init_privs,
		aclexplode(initprivs) AS a WHERE objoid = 'kms.devices'::regclass"),
	't', 'another superuser: pg_init_privs names nobody else');
updated('second', $second, 'another superuser');
$node->safe_psql('second', 'DROP OWNED BY second');
$node->sql('DROP ROLE second');
is($node->safe_psql('second', 'SELECT count(*) > 0 FROM kms.devices'), 't', 'another superuser: the view does not depend on that role');

# ---- While sessions call kms ---------------------------------------------------

my $busy = filled('busy');
my $decrypt = "SELECT kms_decrypt_jwe('$busy->{ciphertext}{rsa}', NULL)";
my @sessions = map { KmsClient->session($node, 'busy') } 1 .. 3;
$sessions[0]->query('BEGIN');
is($sessions[0]->query($decrypt), 'secret of rsa', 'busy: a transaction is open');
$sessions[1]->query('PREPARE d AS ' . $decrypt);
is($sessions[1]->query('EXECUTE d'), 'secret of rsa', 'busy: a statement is prepared');
$sessions[2]->query('BEGIN');
$sessions[2]->query('ALTER EXTENSION kms UPDATE');
is($sessions[0]->query($decrypt), 'secret of rsa', 'busy: calls go on while the update is not committed');
is($sessions[1]->query('EXECUTE d'), 'secret of rsa', 'busy: prepared statements go on');
is($node->safe_psql('busy', "SELECT reused FROM kms_issue_key('during')"), 'f', 'busy: keys are made while the update is not committed');
is(KmsTest::events($node, 'busy', "operation = 'generate' AND device_id = 'during'"), '1',
	'busy: events are written while the update is not committed');
$sessions[2]->query('COMMIT');
is($sessions[2]->{state}, '00000', 'busy: the update waits for nobody');
is($sessions[0]->query($decrypt), 'secret of rsa', 'busy: calls of the open transaction go on');
is($sessions[1]->query('EXECUTE d'), 'secret of rsa', 'busy: prepared statements go on after the update');
$sessions[0]->query('COMMIT');
$_->quit foreach @sessions;
updated('busy', $busy, 'busy');

# ---- In the transaction that made the extension ----------------------------------

$node->sql('CREATE DATABASE at_once');
$node->safe_psql('at_once', "BEGIN; CREATE EXTENSION kms VERSION '1.0'; GRANT USAGE ON SCHEMA kms TO auditor;
	GRANT SELECT ON kms.status TO auditor; ALTER EXTENSION kms UPDATE; COMMIT");
is($node->safe_psql('at_once', "SELECT has_table_privilege('auditor', 'kms.status', 'SELECT'),
	has_function_privilege('auditor', 'kms_version()', 'EXECUTE')"), 't|t', 'grants of the same transaction stay');

# ---- What stops it ----------------------------------------------------------------

$node->sql('CREATE DATABASE stopped');
$node->safe_psql('stopped', "CREATE EXTENSION kms VERSION '1.0'; CREATE VIEW kms.devices AS SELECT 1 AS mine");
like(KmsClient::error($node, 'stopped', 'ALTER EXTENSION kms UPDATE'), qr/42P07: relation "devices" already exists/,
	'a view of that name is not taken over');
foreach my $step ('begin_update(text)', 'end_update()')
{
	my ($name, $types) = $step =~ /(\w+)\((.*)\)/;
	like(KmsClient::error($node, 'stopped', "CREATE FUNCTION again_$step RETURNS void LANGUAGE c
			AS '\$libdir/kms', 'kms_api_$name'; SELECT again_$name(" . ($types ? "'1.1'" : '') . ')'),
		qr/only a script of extension kms can call this function/, "$name does nothing outside the script");
}
is($node->safe_psql('busy', "SELECT count(*) FROM pg_proc WHERE prosrc ~ '^kms_api_(begin|end)_'"), '0',
	'the functions that the scripts call are gone');

$node->stop;
done_testing();
