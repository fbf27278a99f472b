# 24 sessions that request a device's key at the same time get the same key.
# 24 sessions that rotate at the same time stay within the limit.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('sessions', conf => 'max_connections = 50');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
$node->safe_psql('postgres',
	'CREATE TABLE got (key_id text, public_key text, reused boolean)');

my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/issue.sql",
	"INSERT INTO got SELECT key_id, public_key, reused FROM kms_issue_key('phone');\n");
append_to_file("$dir/rotate.sql", "SELECT kms_rotate_key('tablet');\n");

$node->command_ok(
	[
		'pgbench', '-n', '-c', 24, '-j', 2, '-t', 2,
		'-f', "$dir/issue.sql", $node->connstr('postgres')
	],
	'24 sessions request a key, twice');
is( $node->safe_psql('postgres',
		'SELECT count(*), count(DISTINCT key_id), count(DISTINCT public_key), count(*) FILTER (WHERE NOT reused) FROM got'),
	'48|1|1|1',
	'all sessions get the key that one made');
is( $node->safe_psql('postgres',
		"SELECT count(*), min(state) FROM kms.keys WHERE device_id = 'phone'"),
	'1|active',
	'there is one key');
is( KmsTest::events($node, 'postgres',
		"device_id = 'phone' AND operation = 'generate' AND status = 'success'"),
	'1',
	'one generation was recorded');
is( KmsTest::events($node, 'postgres',
		"device_id = 'phone' AND operation = 'issue' AND status = 'success'"),
	'47',
	'each issued key was recorded');

$node->psql('postgres', 'SELECT 1');
system_log('pgbench', '-n', '-c', 24, '-j', 2, '-t', 1,
	'-f', "$dir/rotate.sql", $node->connstr('postgres'));
is( $node->safe_psql('postgres',
		"SELECT count(*), count(*) FILTER (WHERE state = 'active') FROM kms.keys WHERE device_id = 'tablet'"),
	'5|1',
	'24 sessions that rotate make five keys, one of them active');
is( KmsTest::events($node, 'postgres',
		"device_id = 'tablet' AND operation = 'rotate' AND reason = 'Rate limit for key generation exceeded'"),
	'19',
	'the other rotations were refused');
is( $node->safe_psql('postgres', "SELECT used, allowed FROM kms_rate_limit_status('tablet')"),
	'5|5', 'the limit is used up');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'object'"),
	'0', 'no lock is left');

$node->stop;
done_testing();
