# One worker fills the pools of many databases in turns, so none waits for all
# others.  A database that a session has found without a key gets one next.
# kms_check() reports a pool that cannot keep up.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsPool;
use KmsTest;
use List::Util qw(max min);
use PostgreSQL::Test::Utils;
use Test::More;

my $count = 10;
my $node = KmsTest->node('turns', conf => "kms.key_pool_size = 1
	kms.keygen_workers = 1
	kms.max_databases = 20
	max_worker_processes = 12");
my @databases = map { "d$_" } 1 .. $count;

foreach my $db (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION kms');
}
ok(KmsPool::filled($node, $_, 1), "$_: the pool has its key") foreach @databases;

# Return [time in µs, database] of each key made since then, in order.
my $since = 0;
sub made_since
{
	my @made;
	foreach my $db (@databases)
	{
		push @made, map { [ $_, $db ] } split /\n/, $node->safe_psql($db,
			"SELECT created_us FROM (SELECT (extract(epoch FROM created_at) * 1e6)::bigint AS created_us
			FROM kms.pool_key) AS _ WHERE created_us > $since");
	}
	return sort { $a->[0] <=> $b->[0] } @made;
}

sub now
{
	return $node->safe_psql('postgres', 'SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint');
}

# ---- Turns ---------------------------------------------------------------

$since = now();
$node->append_conf('postgresql.conf', 'kms.key_pool_size = 3');
$node->reload;
ok(KmsPool::filled($node, $_, 3), "$_: a larger pool is filled") foreach @databases;
my %level = map { $_ => 0 } @databases;
my $apart = 0;
foreach (made_since())
{
	$level{ $_->[1] }++;
	$apart = max $apart, max(values %level) - min(values %level);
}
is(join(' ', values %level), join(' ', (2) x $count), 'each got two keys');
is($apart, 1, 'none got its second key before each had its first');

# ---- An empty pool -------------------------------------------------------

# The others are far from full.  Take keys from a pool until none is left, and
# the session makes one itself.
$node->append_conf('postgresql.conf', 'kms.key_pool_size = 30');
$node->reload;
my $device = 0;
foreach my $round (1 .. 3)
{
	my $left = 1;
	while ($left > 0)
	{
		$device++;
		($since, $left) = split /\|/, $node->safe_psql('d1',
			"SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint,
				(SELECT count(*) FROM kms.pool_key), kms_issue_key('device $device') IS NULL") =~ s/\|f$//r;
	}
	my @made;
	KmsTest::poll(sub { @made = made_since(); grep { $_->[1] eq 'd1' } @made })
	  or die 'no key is made';
	my ($before) = grep { $made[$_]->[1] eq 'd1' } 0 .. $#made;
	cmp_ok($before, '<=', 3, "round $round: an empty pool gets a key after $before of others");
}

# Without a worker, sessions make all keys that the pool lacks.
$node->append_conf('postgresql.conf', 'kms.keygen_workers = 0');
$node->reload;
KmsTest::poll(sub { KmsPool::idle($node) }) or die 'a worker stays';
my $pool = () = KmsPool::ids($node, 'd1');
$node->safe_psql('d1', "SELECT kms_issue_key('late ' || n) FROM generate_series(1, $pool + 9) AS n");
like(KmsClient::findings($node, 'd1'),
	qr/^notice: the pool of keys cannot keep up: since .*, sessions had to make \d+ keys themselves \(/m,
	'kms_check() reports that the pool cannot keep up');
unlike(KmsClient::findings($node, 'd2'), qr/cannot keep up/, 'and says nothing of others');

$node->stop;
done_testing();
