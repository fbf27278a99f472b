# More devices than the pool has keys for ask at once: each gets a key of its
# own, and workers of several databases refill their pools to exactly their
# size, without one key too many; issuing does not depend on workers.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsPool;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $size = 3;
my $node = KmsTest->node('burst', conf => "kms.key_pool_size = $size
	kms.keygen_workers = 3
	kms.maintenance = off
	kms.max_workers = 2
	max_worker_processes = 10");


# ---- A burst -------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
ok(KmsPool::filled($node, 'postgres', $size), 'the pool fills without maintenance');
is(KmsPool::made($node, 'postgres'), $size, 'the pool has as many keys as were made');

my @pool = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres',
	"SELECT pool_key_id, md5(public_key) FROM kms.pool_key");
my (@burst, %out);
foreach my $n (1 .. 3 * $size)
{
	push @burst, IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d',
			$node->connstr('postgres'), '-c', "SELECT kms_issue_key('burst $n')"
		],
		'<', \undef, '>', \$out{$n}, '2>&1');
}
my $highest = 0;
my $watch = sub {
	my $level = KmsPool::ids($node, 'postgres');
	$highest = $level if $level > $highest;
	return $level;
};
while (grep { $_->pumpable } @burst)
{
	$watch->();
	$_->pump_nb foreach grep { $_->pumpable } @burst;
}
is(scalar(grep { $_->finish } @burst), 3 * $size, 'each of a burst gets an answer')
  or diag join "\n", values %out;
ok( KmsTest::poll(sub { $watch->() == $size && KmsPool::idle($node) }),
	'the pool is filled again');
cmp_ok($highest, '<=', $size, 'the pool never had more keys');
is( $node->safe_psql('postgres',
		"SELECT count(*), count(DISTINCT key_id), count(DISTINCT public_key)
		FROM kms.key JOIN kms.key_secret USING (key_id)"),
	join('|', (3 * $size) x 3), 'each has a key of its own');
foreach my $key (@pool)
{
	my ($id, $hash) = @$key;
	my $used = $node->safe_psql('postgres',
		"SELECT count(*) FROM kms.key_secret WHERE md5(public_key) = '$hash'");
	my $there = grep { $_ eq $id } KmsPool::ids($node, 'postgres');
	is("$used/$there", '1/0', "$id was given to one device");
}
is( $node->safe_psql('postgres',
		'SELECT count(*) FROM kms.key_secret JOIN kms.pool_key USING (public_key)'),
	'0', 'no device has a key that is in the pool');
is( KmsPool::made($node, 'postgres'),
	$node->safe_psql('postgres',
		"SELECT $size + n_tup_del FROM pg_stat_all_tables WHERE relid = 'kms.pool_key'::regclass"),
	'no key was made that was not missing');

# Others that were made in the meantime went to devices, too.
cmp_ok(KmsPool::made($node, 'postgres'), '<=', 4 * $size,
	'no more keys were made than a burst can take');

# Many that are rolled back cost nothing.
my $made = KmsPool::made($node, 'postgres');
my $ids = join ' ', KmsPool::ids($node, 'postgres');
foreach my $n (1 .. $size)
{
	$node->psql('postgres', "BEGIN; SELECT kms_issue_key('no $_') FROM generate_series(1, $size - 1) AS _; ROLLBACK");
}
ok(KmsPool::filled($node, 'postgres', $size), 'rolled back bursts leave the pool as it was');
is(join(' ', KmsPool::ids($node, 'postgres')), $ids, 'rolled back bursts leave the same keys in the pool');
is(KmsPool::made($node, 'postgres'), $made, 'no key is made');

# ---- Several databases, one worker ---------------------------------------

$node->append_conf('postgresql.conf', 'kms.keygen_workers = 1');
$node->reload;
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(one two);
$node->safe_psql($_, 'CREATE EXTENSION kms') foreach qw(one two);
my $turns = 0;
my $last = 'none';
my %level = (one => 0, two => 0);
ok( KmsTest::poll(
		sub {
			foreach my $db (qw(one two))
			{
				my $level = KmsPool::ids($node, $db);
				next if $level == $level{$db};
				$turns++ if $last ne $db;
				$last = $db;
				$level{$db} = $level;
			}
			return $level{one} == $size && $level{two} == $size;
		}),
	'one worker fills the pools of two databases');
cmp_ok($turns, '>', 2, 'the worker serves the two databases in turns');
ok(KmsPool::filled($node, $_, $size), "$_: to its size") foreach qw(one two);
is(KmsPool::made($node, $_), $size, "$_: and makes no more") foreach qw(one two);
is( $node->safe_psql('one', 'SELECT md5(string_agg(public_key, NULL)) FROM kms.pool_key') eq
	  $node->safe_psql('two', 'SELECT md5(string_agg(public_key, NULL)) FROM kms.pool_key'),
	'', 'each has its own keys');

# ---- No place for workers ------------------------------------------------

# One slot is for PostgreSQL's own worker, one for the launcher.
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
$node->safe_psql('one', "SELECT kms_issue_key('no slot ' || n) FROM generate_series(1, $size + 1) AS n");
is($node->safe_psql('one', "SELECT count(*) FROM kms.key WHERE device_id ~ '^no slot'"),
	$size + 1, 'without a place for workers sessions use up the pool, then generate');
is($node->safe_psql('one', 'SELECT count(*) FROM kms.pool_key'), '0', 'without a slot no worker fills the pool');
ok( KmsTest::poll(
		sub {
			KmsClient::findings($node, 'one') =~
			  /^error: .*max_worker_processes/m;
		}),
	'kms_check() says what to raise');
$node->append_conf('postgresql.conf', 'max_worker_processes = 10');
$node->restart;
ok(KmsPool::filled($node, 'one', $size), 'with free slots workers fill the pool');
ok(KmsTest::poll(sub { KmsClient::findings($node, 'one') !~ /max_worker_processes/ }),
	'with free slots kms_check() has no complaint');
ok(slurp_file($node->logfile) !~ /PANIC|terminated by signal/, 'no process crashed');
$node->stop;
done_testing();
