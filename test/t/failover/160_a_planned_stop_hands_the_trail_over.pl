# Two servers change places twenty times under load, by a fast stop of the leader
# and a promotion of the standby.  In both modes each acknowledged call is in the
# trail of the new leader once, the stop is fast, and there is no row "gap", which
# would mean that something may be missing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsLoad;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $leader = KmsTest->node('one', init => [ allows_streaming => 1 ],
	conf => <<'CONF');
kms.event_flush_interval = 1min
wal_keep_size = 64MB
recovery_target_timeline = latest
CONF
$leader->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($leader, 'postgres', 'phone');
my $good = KmsTest::encrypt_with_openssl($pem, 'secret');
my $standby = KmsTest->standby($leader, 'two');
# The leader stops, and the other takes its place.
sub change_places
{
	my $start = time;

	$leader->stop('fast');
	my $seconds = time - $start;
	$standby->promote;
	$leader->enable_streaming($standby);
	$leader->append_conf('postgresql.conf', 'recovery_target_timeline = latest');
	$leader->start;
	($leader, $standby) = ($standby, $leader);
	return $seconds;
}

my $round = 0;
my $slowest = 0;
foreach my $mode (qw(best_effort required))
{
	foreach (1 .. ($ENV{KMS_TEST_ROUNDS} // 10))
	{
		$round++;
		$leader->append_conf('postgresql.conf', "kms.audit = $mode");
		$leader->reload;
		my $load = KmsLoad->start($leader, "round$round", "SELECT kms_decrypt('$key', '$good')");
		Time::HiRes::usleep(100_000 + rand 300_000);    # at any moment of the load
		my $seconds = change_places();
		$slowest = $seconds if $seconds > $slowest;

		$load->finish;
		my $all = () = $load->acknowledged;
		cmp_ok($all, '>', KmsLoad::CLIENTS, "$mode, round $round: calls were acknowledged");
		$leader->sql('SELECT kms_flush_events()');
		is_deeply($load->match($leader), { lost => [], doubled => [] },
			"$mode, round $round: each of $all is in the trail of the new leader, once");
	}
}
diag(sprintf 'the slowest of 20 stops under load took %.2f s', $slowest);
cmp_ok($slowest, '<', KmsTest::AT_ONCE, 'each stop was fast');
is($leader->sql("SELECT count(*) FROM kms.event WHERE operation = 'gap'"), '0', 'no gap is reported');
is($leader->sql('SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event'), 't', 'tickets go on');
is($leader->sql('SELECT intact, finding FROM kms_audit_verify()'), 't|', 'the trail is intact');
unlike(slurp_file($leader->logfile), qr/in the event ring/, 'nothing was left in a ring');
is(KmsClient::sqlstate($leader, 'postgres', "SELECT kms_decrypt('$key', '$good')"), '00000', 'a session is served');
isnt(system_log('psql', '-XAtq', '-d', $leader->connstr('postgres') . ' replication=database', '-c',
		"SELECT kms_decrypt('$key', '$good')"), 0, 'a replication connection, which outlives the writer, is not served');

# ---- A crash right after an orderly change of places -------------------------

# The new leader dies before anything but its epoch has reached the standby.
foreach my $again (1 .. 2)
{
	my $gaps = $leader->sql("SELECT kms_flush_events(); SELECT count(*) FROM kms.event WHERE operation = 'gap'") =~ s/\s+//r;

	change_places();
	$leader->poll_query_until('postgres', 'SELECT count(*) = 0 FROM kms.event_epoch WHERE handed_over_at IS NOT NULL
		AND started_at = (SELECT max(started_at) FROM kms.event_epoch)') or die 'the mark is not taken back';
	$leader->wait_for_catchup($standby->name, 'replay', $leader->lsn('insert'));
	$leader->sql("SELECT kms_decrypt('$key', '$good')");
	$leader->stop('immediate');
	$standby->promote;
	is($standby->safe_psql('postgres', "SELECT kms_flush_events(); SELECT count(*) FROM kms.event WHERE operation = 'gap'") =~ s/\s+//r,
		$gaps + 1, "crash $again after an orderly change: there is a gap");

	# The dead server may have WAL that the other one does not have, so it
	# cannot follow.
	$leader = $standby;
	$standby = KmsTest->standby($leader, "after_crash_$again");
}
$standby->stop;
$leader->stop;
done_testing();
