# If the server or one of its sessions is killed while keys are renewed, each
# device has exactly one active key afterwards, the old key is deprecated if and
# only if there is a new one, and the trail has one event of each.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsClock;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

KmsClock->available or plan skip_all => 'libfaketime is not installed';

my $clock = KmsClock->new('renewing');
my $node = KmsTest->node('renewing', start => 0, conf => <<'CONF');
restart_after_crash = on
kms.key_algorithm = 'EC-P256'
kms.maintenance = off
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
my $devices = 4000;
my $renewals = q{SELECT count(*) FROM kms.key WHERE origin = 'renewal'};

$clock->start($node);
$node->sql('CREATE EXTENSION kms');
$node->sql("SELECT count((SELECT key_id FROM kms_issue_key('device ' || n))) FROM generate_series(1, $devices) AS n");
$node->sql('CREATE TABLE sent AS SELECT device_id, key_id, kms_encrypt_jwe(key_id, device_id) AS jwe FROM kms.key');
$clock->set($node, '+29d');
append_to_file("$dir/renew.sql", "\\set n random(1, $devices)\nSELECT kms_issue_key('device ' || :n);\n");

# ---- Kills ---------------------------------------------------------------

my $interrupted = 0;
foreach my $run (1 .. 6)
{
	my $before = $node->sql($renewals);

	# not all at once, so that some are left for the last run
	my $clients = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 8, '-j', 2, '-T', 600, '-R', 500, '-f', "$dir/renew.sql", $node->connstr('postgres') ],
		'>', '/dev/null', '2>', '/dev/null');
	KmsTest::poll(sub { $node->sql($renewals) > $before + 50 }, 0.01) or die 'no key is renewed';
	usleep(rand 100_000);    # at any moment of it
	if ($run % 2)
	{
		my @children = split /\n/, $node->sql('SELECT pid FROM pg_stat_activity');
		$node->kill9;
		KmsTest::poll(sub { !grep { -e "/proc/$_" } @children })
		  or die 'processes of a killed server do not end';
		$clock->start($node);
	}
	else
	{
		my $log = -s $node->logfile;
		kill 'KILL', $node->sql(q{SELECT pid FROM pg_stat_activity
			WHERE query ~ '^SELECT kms_issue_key' ORDER BY state LIMIT 1});
		KmsTest::poll(
			sub { slurp_file($node->logfile, $log) =~ /database system is ready to accept connections/ })
		  or die 'no crash restart';
		KmsClient::wait_until_up($node);
	}
	$clients->finish;
	$interrupted++ if $node->sql($renewals) < $devices;
	is_whole("run $run");
}
cmp_ok($interrupted, '>', 0, "the server was killed before all was done, $interrupted times");

# ---- The rest ------------------------------------------------------------

# Each in a transaction of its own, because a transaction renews few.
$node->sql(join "\n", map { "SELECT FROM kms_issue_key('device $_');" } 1 .. $devices);
is($node->sql($renewals), $devices, 'at the end all keys are renewed');
is_whole('at the end');
is($node->sql("SELECT count(*) FROM sent WHERE kms_decrypt_jwe(jwe, device_id) = device_id"), $devices,
	'a message to an old key is decrypted');
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'the trail is intact');

# The leap of the clock is a finding of its own.
unlike(KmsClient::findings($node, 'postgres'), qr/older|authenticate|no event|more often/,
	'kms_check() finds nothing wrong with the keys');

$node->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

sub is_whole
{
	my ($name) = @_;

	$node->sql('SELECT kms_flush_events()');
	is($node->sql("SELECT count(DISTINCT device_id), count(*) FILTER (WHERE expires_at > now())
			FROM kms.key WHERE state = 'active'"),
		"$devices|$devices", "$name: each device has one active key");
	is($node->sql("SELECT count(*) FILTER (WHERE state_reason = 'Renewed') - count(*) FILTER (WHERE origin = 'renewal'),
			count(*) FILTER (WHERE origin NOT IN ('generated', 'renewal') OR state_reason <> 'Renewed')
			FROM kms.key"),
		'0|0', "$name: an old key is deprecated if and only if there is a new one");
	is($node->sql(q{SELECT count(*) FROM kms.key AS k FULL JOIN
			(SELECT key_id, count(*) FILTER (WHERE operation = 'generate') AS made,
				count(*) FILTER (WHERE operation = 'deprecate') AS deprecated
			FROM kms.event WHERE status = 'success' AND operation IN ('generate', 'deprecate') GROUP BY 1) AS e
			USING (key_id)
			WHERE (e.made, e.deprecated) IS DISTINCT FROM (1, (k.state = 'deprecated')::integer)}),
		'0', "$name: the trail has one event of each change, and no other");
	return;
}
