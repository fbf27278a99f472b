# No two servers or databases issue the same key: a standby has the pool of its
# primary and makes no keys, and once it is promoted it fills a pool of its own,
# for the primary may go on; so does a copy of a database; a dump leaves the
# pool out.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsPool;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ],
	conf => 'kms.key_pool_size = 2');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';

$primary->safe_psql('postgres', 'CREATE EXTENSION kms');
ok(KmsPool::filled($primary, 'postgres', 2), 'the pool of the primary is full');
my $standby = KmsTest->standby($primary, 'standby', conf => 'kms.key_pool_size = 3');

# ---- On the standby ------------------------------------------------------

$primary->safe_psql('postgres', "SELECT kms_issue_key('phone')");
ok(KmsPool::filled($primary, 'postgres', 2), 'the pool is filled again');
my $ids = join ' ', KmsPool::ids($primary, 'postgres');
$primary->wait_for_catchup('standby', 'replay', $primary->lsn('insert'));
is(join(' ', KmsPool::ids($standby, 'postgres')), $ids, 'the standby has the same');
is( $standby->safe_psql('postgres',
		"SELECT value FROM kms.status WHERE item = 'keys in the pool'"),
	'2', 'kms.status of the standby has the size of the pool');
is(KmsClient::sqlstate($standby, 'postgres', "SELECT kms_issue_key('tablet')"),
	'25006', 'the standby issues no key of the pool');
$standby->reload;
is( $standby->safe_psql('postgres',
		"SELECT value FROM kms.status WHERE item = 'key generation last round'"),
	'never', 'no worker has looked at the pool of the standby');
is(join(' ', KmsPool::ids($standby, 'postgres')), $ids, 'the pool of the standby keeps its size, although the setting is larger');

# ---- After promotion -----------------------------------------------------

my $keys = KmsPool::keys($primary, 'postgres');
$primary->stop;
$standby->promote;
$standby->safe_psql('postgres', "SELECT kms_issue_key('tablet')");
is(KmsPool::origin($standby, 'postgres', 'tablet', $keys), 'none',
	'after promotion it issues nothing that was replicated');
ok(KmsPool::filled($standby, 'postgres', 3), 'the promoted standby fills the pool to its own size');

is(scalar(grep { $keys->{$_} } keys %{ KmsPool::keys($standby, 'postgres') }),
	0, 'the promoted standby fills the pool with keys of its own');

# ---- A copy --------------------------------------------------------------

# Workers serve the copy at once, and may have dropped its pool before the test
# sees it.
$keys = KmsPool::keys($standby, 'postgres');
is(scalar(keys %$keys), 3, 'there is a pool to be copied');
$standby->safe_psql('template1', 'CREATE DATABASE copied TEMPLATE postgres');
$standby->safe_psql('copied', "SELECT kms_issue_key('scanner')");
is(KmsPool::origin($standby, 'copied', 'scanner', $keys), 'none', 'a copy issues no key of the copied pool');
ok(KmsPool::filled($standby, 'copied', 3), 'a copy fills its own pool');
is(scalar(grep { $keys->{$_} } keys %{ KmsPool::keys($standby, 'copied') }),
	0, 'the copy fills its pool with keys of its own');

# ---- A dump --------------------------------------------------------------

$standby->command_ok([ 'pg_dump', '-f', $dump, $standby->connstr('postgres') ],
	'dumped');
unlike(slurp_file($dump), qr/COPY kms\.pool_key/, 'a dump does not contain the pool');
$standby->safe_psql('postgres', 'CREATE DATABASE restored');
$standby->command_ok(
	[
		'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d',
		$standby->connstr('restored')
	],
	'restored');
ok(KmsPool::filled($standby, 'restored', 3), 'the restored database fills its own');
$keys = KmsPool::keys($standby, 'postgres');
is(scalar(grep { $keys->{$_} } keys %{ KmsPool::keys($standby, 'restored') }),
	0, 'the restored database fills its pool with keys of its own');
$standby->safe_psql('restored', "SELECT kms_issue_key('console')");
is( $standby->safe_psql('restored',
		"SELECT kms_decrypt(key_id, kms_encrypt(key_id, 'x')) FROM kms.keys WHERE device_id = 'console'"),
	'x', 'the keys of the restored database work');
ok(slurp_file($standby->logfile) !~ /PANIC|terminated by signal/, 'no process crashed');
$standby->stop;
done_testing();
