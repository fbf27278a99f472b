# CREATE EXTENSION refuses to install into schema kms, with a hint, and names
# publications that would carry its tables.  In a schema of its own everything
# works, also with an empty search_path.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('create', conf => "kms.maintenance = off\nwal_level = logical");
$node->safe_psql('postgres', 'CREATE ROLE somebody; CREATE DATABASE app');

# ---- Schema kms -----------------------------------------------------------------

foreach my $preloaded (1, 0)
{
	my $how = $preloaded ? '' : ', not preloaded';
	if (!$preloaded)
	{
		$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
		$node->restart;
	}
	like(output('CREATE EXTENSION kms SCHEMA kms'),
		qr/42P06: .*\n.*\n?HINT:.*CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys/, 'a schema kms that is not there')
	  if $preloaded;
	$node->safe_psql('app', 'CREATE SCHEMA kms');
	foreach my $statement ('CREATE EXTENSION kms SCHEMA kms', 'SET search_path = kms; CREATE EXTENSION kms',
		'CREATE EXTENSION IF NOT EXISTS kms WITH SCHEMA kms CASCADE')
	{
		like(output($statement),
			qr/42P06: .*\n.*\n?HINT:.*DROP SCHEMA kms; CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys/,
			"$statement$how");
	}
	$node->safe_psql('app', 'ALTER SCHEMA kms OWNER TO somebody');
	like(output('CREATE EXTENSION kms'), qr/42P06: .*schema "kms" already exists\nHINT:.*rename or drop/,
		"somebody else's schema kms$how");
	$node->safe_psql('app', 'DROP SCHEMA kms');
}
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'kms'");
$node->restart;
is($node->safe_psql('app', "SELECT count(*) FROM pg_proc WHERE proname LIKE 'kms%'"), '0', 'after the refused scripts nothing is left');

# ---- Publications -----------------------------------------------------------------

$node->safe_psql('app', 'CREATE PUBLICATION everything FOR ALL TABLES; CREATE TABLE mine (k int PRIMARY KEY);
	CREATE PUBLICATION own FOR TABLE mine; CREATE SCHEMA keys');
my $output = output('CREATE EXTENSION kms SCHEMA keys');
like($output, qr/WARNING: .*publication "everything" carries the tables of kms\nHINT:.*by name/,
	'CREATE EXTENSION warns of a publication that carries its tables');
unlike($output, qr/"own"/, 'CREATE EXTENSION warns of no other publication');
is(findings(), 'warning: publication "everything" carries all tables of kms', 'kms_check() reports it');
$node->safe_psql('app', 'DROP PUBLICATION everything; CREATE PUBLICATION schema FOR TABLES IN SCHEMA kms');
is(findings(), 'warning: publication "schema" carries all tables of kms', 'kms_check() reports a publication of the schema');
$node->safe_psql('app', 'DROP PUBLICATION schema; CREATE PUBLICATION few FOR TABLE kms.key, kms.key_secret');
is(findings(), 'warning: publication "few" carries tables of kms, but not kms.denial', 'a publication that lacks a table is a warning');
$node->safe_psql('app', 'ALTER PUBLICATION few ADD TABLE kms.denial, kms.pepper, mine');
is(findings(), 'notice: publication "few" carries tables of kms', 'a publication that has the tables of the manual is a notice');
$node->safe_psql('app', 'ALTER PUBLICATION few ADD TABLE kms.maintenance');
is(findings(), 'warning: publication "few" carries kms.maintenance, which each server has of its own',
	'a publication of a table that each server has of its own is a warning');
$node->safe_psql('app', "DROP PUBLICATION few; CREATE PUBLICATION trail FOR TABLE kms.event WITH (publish = 'insert')");
is(findings(), 'notice: publication "trail" carries tables of kms', 'a publication that archives the trail is a notice');
$node->safe_psql('app', 'DROP PUBLICATION trail');
is(findings(), '', 'the report ends');

# ---- A schema of its own ---------------------------------------------------------------

is( $node->safe_psql('app', q{SET search_path = '';
	SELECT key_id AS id FROM keys.kms_issue_key('phone') \gset
	SELECT keys.kms_encrypt(:'id', 'secret') AS c \gset
	SELECT keys.kms_decrypt(:'id', :'c');
	SELECT keys.kms_hash_secret(:'id', :'c') AS hash \gset
	SELECT keys.kms_verify_secret(:'id', :'c', :'hash'), keys.kms_key_state(:'id');
	SELECT reused FROM keys.kms_rotate_key('phone');
	SELECT keys.kms_revoke_key(:'id', 'test');
	SELECT plaintext, sqlstate FROM keys.kms_decrypt_batch(ARRAY[:'id'], ARRAY[:'c']);
	SELECT pg_catalog.count(*) > 0 FROM keys.kms_maintain();
	SELECT keys.kms_flush_events();
	SELECT pg_catalog.count(*) > 3 FROM kms.event;
	SELECT pg_catalog.count(*) FROM kms.keys;
	SELECT pg_catalog.count(*) FROM kms.problematic_keys;
	SELECT intact FROM keys.kms_audit_verify();
	SELECT keys.kms_self_test();
	SELECT pg_catalog.count(*) FROM keys.kms_check() WHERE finding !~ 'fsync' AND severity <> 'notice'}),
	join("\n", 'secret', 't|active', 'f', 'revoked', '|KM004', 't', '', 't', '2', '0', 't', 't', '0'),
	'the main calls, with an empty search_path');
is($node->safe_psql('app', "SELECT DISTINCT pronamespace::regnamespace FROM pg_proc WHERE proname LIKE 'kms\\_%'"),
	'keys', 'all functions are there');
$node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr('app'), '-f', $node->basedir . '/app.dump' ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '--single-transaction', '--exit-on-error', '-d', $node->connstr('copy'),
		$node->basedir . '/app.dump' ], 'a dump of the database is restored');
is($node->safe_psql('copy', "SET search_path = ''; SELECT keys.kms_self_test(), pg_catalog.count(*) FROM kms.key"),
	't|2', 'the restored extension works in its schema');

$node->stop;
done_testing();

sub output
{
	my ($rc, $stdout, $stderr) = $node->psql('app', "\\set VERBOSITY verbose\n$_[0]", on_error_stop => 0);
	$stderr =~ s/^LOCATION.*\n//mg;
	return $stderr;
}

sub findings
{
	return $node->safe_psql('app', q{SELECT string_agg(severity || ': ' || finding, ', ') FROM keys.kms_check() WHERE finding ~ 'publication'});
}
