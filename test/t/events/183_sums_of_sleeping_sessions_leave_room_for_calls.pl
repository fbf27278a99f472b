# Sums that are open keep room in the ring for their events.  However many
# sessions sleep in the middle of a statement, there is room for the calls of
# others, and all that is kept is given back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('room', conf => 'kms.event_ring_size = 64kB');
my $node = $audit->{node};
my $slots = $audit->status('ring size');
cmp_ok($slots, '<', 40, "the smallest ring has $slots slots");

# 16 keys by turns, so 16 sums are open; the last row waits for a lock.
$audit->sql(<<'SQL');
SELECT kms_create_field_key('p');
SELECT count(kms_create_field_key('p.' || i)) FROM generate_series(1, 1000) AS i;
CREATE TABLE turns AS SELECT n, kms_encrypt_field('p.' || 1 + n % 16, 'secret ' || n, '') AS value
FROM generate_series(0, 1599) AS n;
CREATE FUNCTION pause(n int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF n = 1599 THEN
		PERFORM pg_advisory_xact_lock(1);
	END IF;
	RETURN '';
END $$;
SQL
my $sleep = "SELECT count(kms_decrypt_field(value, '')) FILTER (WHERE pause(n) = '') FROM turns";
my $open = "SELECT kms_decrypt_field(value, '') FROM turns WHERE n = 1";

# Hold the lock, and return sessions that sleep until it is released.
sub sleepers
{
	my ($name, $count) = @_;
	my @sessions = map { KmsClient->session($node, 'postgres') } 1 .. $count;

	$audit->call('SELECT pg_advisory_lock(1)');
	foreach my $session (@sessions)
	{
		$session->query("SET kms.audit_context = '$name'");
		$session->send($sleep);
		KmsTest::poll(
			sub {
				$audit->sql("SELECT wait_event = 'advisory' FROM pg_stat_activity
					WHERE pid = $session->{pid}") eq 't';
			}) or die 'a session does not sleep';
	}
	return @sessions;
}

foreach my $mode ('best_effort', 'required')
{
	$audit->mode($mode, KmsAudit::LONG_TIMEOUT);
	my @sessions = sleepers($mode, 5);
	my $other = KmsClient->session($node, 'postgres');
	foreach my $call ($open, $audit->results->{decrypt}, $audit->results->{encrypt})
	{
		my $outcome = $audit->call($call, $other);
		is($outcome->{state}, '00000', "$mode: a call while other sessions sleep");
		cmp_ok($outcome->{seconds}, '<', KmsTest::AT_ONCE, "$mode: it does not wait for them");
	}
	$other->quit;
	$audit->call('SELECT pg_advisory_unlock(1)');
	is(join(' ', map { $_->receive } @sessions), '1600 1600 1600 1600 1600', "$mode: they go on");
	$_->quit foreach @sessions;
	$audit->sql('SELECT kms_flush_events()');
	is( $audit->sql("SELECT sum(calls), count(DISTINCT key_id) FROM kms.event WHERE audit_context = '$mode'"),
		'8000|16', "$mode: all calls are recorded");
}

# ---- Whatever ends a statement, nothing is kept --------------------------

# More statements than there are slots: one claim each would fill the ring.
$audit->mode('required', 1000);
$audit->call("SET kms.audit_context = 'many'");
my @states = map { $audit->call($_)->{state} } map { (
	"SELECT 1 / (1500 - n), kms_decrypt_field(value, '') FROM turns",
	"SELECT kms_decrypt_field(value, CASE WHEN n = 1500 THEN 'wrong' ELSE '' END) FROM turns",
	"SELECT count(kms_decrypt_field(value, '')) FROM turns") } 1 .. $slots;
is(join(' ', @states), join(' ', ('22012 KM001 00000') x $slots), 'many statements end as they should');
my $calls = $slots * (1500 + 1501 + 1600);
$audit->sql('SELECT kms_flush_events()');
is($audit->sql("SELECT sum(calls) FROM kms.event WHERE audit_context = 'many'"), $calls, 'all their calls are recorded');
$audit->call("SET kms.audit_context = ''");
my $terminated = 0;
foreach (1 .. 5)
{
	my @sessions = sleepers('ended', 2);
	foreach my $session (@sessions)
	{
		$audit->call("SELECT pg_terminate_backend($session->{pid}, 60000)");
		$terminated++;
		eval { $session->quit };
	}
	$audit->call('SELECT pg_advisory_unlock(1)');
}
$audit->sql('SELECT kms_flush_events()');
is($audit->sql("SELECT sum(calls) FROM kms.event WHERE audit_context = 'ended'"),
	1599 * $terminated, 'the sums of sessions that were ended are recorded');
my $last = KmsClient->session($node, 'postgres');
$last->query("SET kms.audit_context = 'last'");
is($last->query("SELECT count(kms_decrypt_field(value, '')) FROM turns"), '1600', 'there is room');
$last->quit;
$audit->sql('SELECT kms_flush_events()');

# A quarter of the slots can be kept, and the keys beyond have an event per
# call.  Each key more would be a claim that is still kept, and 100 events.
my $one_by_one = 100 * (16 - int($slots / 4));
cmp_ok($audit->sql("SELECT count(*) FROM kms.event WHERE audit_context = 'last'"), '<', $one_by_one + 100,
	'no claim is still kept');
is($audit->sql("SELECT coalesce(sum(calls), 0) FROM kms.event WHERE operation = 'gap'"), '0', 'nothing is lost');
is($audit->intact, 'intact', 'the trail is intact');
$audit->{session}->quit;
$node->stop;
done_testing();
