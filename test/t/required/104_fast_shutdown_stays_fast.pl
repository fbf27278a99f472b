# A fast shutdown does not wait for calls that wait for their events, nor for a
# standby that is away.  Those calls end with an error, and their events are in
# the trail after the next start.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('shutdown', init => [ allows_streaming => 1 ]);
my $node = $audit->{node};
my $decrypt = $audit->results->{decrypt};

# Stop and start the server, and return what the sessions that waited have got.
sub stop_under
{
	my ($name, @waiting) = @_;
	my $start = time;

	$node->stop('fast');
	cmp_ok(time - $start, '<=', KmsTest::AT_ONCE, "$name: the server stops soon");
	foreach my $session (@waiting)
	{
		eval { $session->receive };
		is($session->{out}, '', "$name: one who waited got nothing");
		like($session->{err}, qr/FATAL:  57P01: terminating connection/,
			"$name: but the reason");
	}
	$node->start;
}

# ---- Calls that wait for their events ------------------------------------

foreach my $mode (qw(required best_effort))
{
	$audit->mode($mode, KmsAudit::LONG_TIMEOUT);
	my $admin = KmsClient->session($node, 'postgres');
	$admin->query('BEGIN; LOCK TABLE kms.event IN SHARE MODE');
	my @waiting = map { KmsClient->session($node, 'postgres') } 1 .. 5;
	foreach my $session (@waiting)
	{
		$session->query("SET application_name = 'waits, $mode'");
		if ($mode eq 'required')
		{
			$session->send($decrypt);
			$audit->wait_until_waiting($session) or die 'no call waits';
		}
		else
		{
			is($session->query($decrypt), 'secret', "$mode: nobody waits");
		}
	}
	stop_under($mode, $mode eq 'required' ? @waiting : ());
	$audit->connect;
	$audit->sql('SELECT kms_flush_events()');
	is($audit->in_trail("waits, $mode"), '5', "$mode: what they tried is in the trail");
	is($audit->intact, 'intact', "$mode: the trail is intact");
}

# ---- A standby that is away ----------------------------------------------

foreach my $mode (qw(required best_effort))
{
	my $name = "$mode, standby away";

	$node->append_conf('postgresql.conf', "synchronous_standby_names = 'away'");
	$audit->mode($mode, KmsAudit::LONG_TIMEOUT);
	is($audit->call($decrypt)->{rows}, 'secret', "$name: calls do not wait for it");
	my $changer = KmsClient->session($node, 'postgres');
	$changer->send("SELECT kms_issue_key('device of $mode')");
	ok( KmsTest::poll(
			sub {
				$audit->sql("SELECT wait_event FROM pg_stat_activity WHERE pid = $changer->{pid}") eq 'SyncRep';
			}),
		"$name: a change does, as any commit");

	# and the writer is at work
	is($audit->call($decrypt)->{rows}, 'secret', "$name: calls go on");
	$audit->{session}->quit;
	my $start = time;
	$node->stop('fast');
	cmp_ok(time - $start, '<=', KmsTest::AT_ONCE, "$name: the server stops soon");
	$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
	$node->start;
	$audit->connect;
	$audit->sql('SELECT kms_flush_events()');
	is( $audit->sql("SELECT count(*) FROM kms.event WHERE device_id = 'device of $mode' AND operation = 'generate'"),
		$audit->sql("SELECT count(*) FROM kms.key WHERE device_id = 'device of $mode'"),
		"$name: the change has its event");
	is($audit->intact, 'intact', "$name: the trail is intact");
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process crashed');
$audit->{session}->quit;
$node->stop;
done_testing();
