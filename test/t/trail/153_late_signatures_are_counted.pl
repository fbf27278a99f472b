# kms_check() counts events that were first signed more than an hour after they
# were recorded while the server could sign, and none that had to wait for a
# server or a master key that was not there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAnchor;
use KmsClient;
use KmsTest;
use Test::More;

my $trail = KmsAnchor->new('late');
my $late = qr/^warning: events were signed for the first time more than an hour after they were recorded.*: (\d+) \(/m;

# Make a change, undo it, and return how many late events kms_check() counted.
sub counted
{
	my ($change) = @_;
	my $findings = $trail->sql("BEGIN; $change; SELECT severity || ': ' || finding || ' (' || hint || ')' FROM kms_check(); ROLLBACK");
	return $findings =~ $late ? $1 : 0;
}

my $first = $trail->signed_events(4);
my $second = $trail->signed_events(6);
unlike($trail->findings, $late, 'nothing is late');
is( $trail->sql("SELECT count(*) FROM kms.event_checkpoint WHERE able_since BETWEEN
		(SELECT pg_postmaster_start_time()) AND signed_at"),
	$trail->sql('SELECT count(*) FROM kms.event_checkpoint'),
	'each signature says since when the server could sign');

# Time is moved in the rows.
my $old = "UPDATE kms.event SET occurred_at = occurred_at - interval '3 hours';
	UPDATE kms.event_checkpoint SET signed_at = signed_at - interval '3 hours' WHERE ticket <= $first";
my $between = $trail->sql("SELECT count(*) FROM kms.event WHERE ticket > $first");
is(counted("$old; UPDATE kms.event_checkpoint SET able_since = able_since - interval '3 hours'"),
	$between, 'events that were signed hours late are counted');
is(counted($old), 0, 'late events are not counted if the server could sign for a moment only');
is(counted("UPDATE kms.event SET occurred_at = occurred_at - interval '50 minutes';
		UPDATE kms.event_checkpoint SET signed_at = signed_at - interval '50 minutes' WHERE ticket <= $first;
		UPDATE kms.event_checkpoint SET able_since = able_since - interval '3 hours'"),
	0, 'events that were signed within the hour are not counted');

# The time begins again when the master key was missing.
my $path = KmsTest::master_key_path($trail->{node});
my $since = $trail->sql('SELECT max(able_since) FROM kms.event_checkpoint');
rename $path, "$path.away" or die "$path: $!";
$trail->{node}->restart;
$trail->events(3);
rename "$path.away", $path or die "$path: $!";
$trail->{node}->reload;
KmsTest::poll(sub { $trail->sql("SELECT count(*) FROM kms_master_key_status() WHERE status = 'current'") });
$trail->signed_events(3);
is($trail->sql("SELECT max(able_since) > '$since' FROM kms.event_checkpoint"),
	't', 'a server without the master key could not sign');
is($trail->verify, 't||t', 'the trail is intact');
$trail->{node}->stop;
done_testing();
