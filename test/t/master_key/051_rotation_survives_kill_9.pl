# The server crashes twenty times at random moments, between and within batches of
# a rotation, because the rewrapping session, another process or all processes are
# killed.  Each time every key opens, and running kms_rewrap_keys() again completes
# the rotation.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsRotation;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = KmsTest->node('killed', conf => <<'CONF');
restart_after_crash = on
kms.key_pool_size = 0
CONF
my $runs = $ENV{KMS_ROTATION_KILLS} || 20;
my $keys = 40;

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my $ciphertext = KmsRotation::import_keys($node, 'postgres', $keys);
my $hash = $node->sql("SELECT kms_hash_secret('imported_1', '$ciphertext')");
my %left;

# Keys that are not under the current master key.
sub behind
{
	return $node->sql("SELECT sum(keys + peppers) FROM kms_master_key_status() WHERE status <> 'current'");
}

foreach my $run (1 .. $runs)
{
	KmsRotation::put($node, 'm' . $run . ': ' . KmsTest::random_master_key(),
		(KmsRotation::lines($node))[ 0 .. ($run == 1 ? 0 : 1) ]);

	# Batches of two, each killed anywhere from its start to the next one's.
	my $session = KmsClient->session($node, 'postgres');
	my $batches = int rand $keys / 2;
	$session->query('SELECT kms_rewrap_keys(2)') foreach 1 .. $batches;
	$session->send('SELECT kms_rewrap_keys(2)') if $run % 4;
	usleep(rand 12_000);    # at any moment of it

	my $log = -s $node->logfile;
	if ($run % 3 == 0)
	{
		my @children = split /\n/,
		  $node->sql('SELECT pid FROM pg_stat_activity');
		$node->kill9;
		KmsTest::poll(sub { !grep { -e "/proc/$_" } @children })
		  or die 'processes of a killed server do not end';
		$node->start;
	}
	else
	{
		my $pid = $run % 3 == 1 ? $session->{pid}
		  : $node->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'");
		kill 'KILL', $pid;
		KmsTest::poll(
			sub {
				slurp_file($node->logfile, $log) =~
				  /database system is ready to accept connections/;
			}) or die 'no crash restart';
		KmsClient::wait_until_up($node);
	}
	eval { $session->{run}->kill_kill };

	my $behind = behind();
	$left{$behind}++;
	is(KmsRotation::unopened($node, 'postgres', $ciphertext), '0',
		"run $run: every key opens, $behind to go");
	$node->sql('SELECT kms_rewrap_keys()');
	is(behind(), '0', "run $run: running it again completes it");
}
cmp_ok(scalar(keys %left), '>', $runs / 4, 'the processes were killed at many different steps');
is(KmsRotation::unopened($node, 'postgres', $ciphertext), '0', 'every key opens at the end');
is($node->sql("SELECT kms_verify_secret('imported_1', '$ciphertext', '$hash')"), 't',
	'the hash verifies');
KmsRotation::put($node, (KmsRotation::lines($node))[0]);
is(KmsRotation::unopened($node, 'postgres', $ciphertext), '0',
	'all keys open with the last master key alone');
unlike(KmsClient::findings($node, 'postgres'), qr/authenticate|wrapped|older|more often/,
	'kms_check() finds nothing wrong with them');

done_testing();
