# Kills, cancels, events that cannot be written, rings that are replaced and
# an extension that is made again: the trail is one chain, intact at any
# moment of it, also for who verifies it while it is written.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('befallen', conf => <<'CONF');
kms.maintenance = off
kms.event_ring_size = 1MB
kms.event_flush_interval = 10ms
max_prepared_transactions = 1
restart_after_crash = on
CONF
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

sub calls
{
	my ($name, $count) = @_;
	$node->sql("SET application_name = '$name';
		SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, $count)");
}

# Test that all events are written and chained, and that the trail continues all
# heads that were noted.
my @noted;
sub intact
{
	my $name = shift;
	push @noted, $node->sql('SELECT kms_audit_head()');
	is( $node->sql("SELECT kms_flush_events();
			SELECT count(*) FILTER (WHERE intact), max(finding)
			FROM unnest('{" . join(',', @noted) . "}'::text[]) AS h, kms_audit_verify(h)")
		  =~ s/^\s+//r,
		@noted . '|', "$name: intact, with " . @noted . ' heads');
}

# ---- While it is written -------------------------------------------------

my @sessions = map { KmsClient->session($node, 'postgres') } 1 .. 3;
$_->send("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 10000)")
  foreach @sessions;
my $verified = 0;
my $bad = '';
my $end = time + 5;
while (time < $end && $bad eq '')
{
	my $result = $node->sql('SELECT intact, finding FROM kms_audit_verify()');
	$bad = $result unless $result eq 't|';
	$verified++;
}
is($bad, '', "intact $verified times while it was written");
$_->receive foreach @sessions;
$_->quit foreach @sessions;
intact('load');

# ---- The writer ----------------------------------------------------------

sub writer
{
	calls('wake up', 1);
	return $node->writer;
}

foreach my $how ('pg_cancel_backend(%d)', 'pg_terminate_backend(%d, 180000)')
{
	foreach my $n (1 .. 3)
	{
		my $pid = writer();
		my $session = KmsClient->session($node, 'postgres');
		$session->send("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 5000)");
		$node->sql('SELECT ' . sprintf($how, $pid));
		$session->receive;
		$session->quit;
	}
	intact($how =~ s/\(.*//r);
}

my $pid = writer();
calls('killed', 100);
kill 'KILL', $pid;
KmsClient::wait_until_up($node);
intact('kill -9 of the writer');

calls('immediate', 100);
$node->stop('immediate');
$node->start;
intact('immediate shutdown');

# ---- Events that cannot be written ---------------------------------------

$node->sql(q{ALTER TABLE kms.event ADD CONSTRAINT poison CHECK (application_name <> 'poison')});
foreach my $n (1 .. 3)
{
	calls('good', 20);
	calls('poison', 1);
	$node->sql("SET application_name = 'poison'; SELECT reused FROM kms_issue_key('phone $n')");
	calls('good', 20);
}
$node->sql('SELECT kms_flush_events(); ALTER TABLE kms.event DROP CONSTRAINT poison');
is($node->sql('SELECT count(*) FROM kms.event_quarantine'), 6, 'events that cannot be written are quarantined');
intact('quarantine');
is( $node->sql("BEGIN; UPDATE kms.event_quarantine SET event = set_byte(event, 0, 1 - get_byte(event, 0))
		WHERE ticket = (SELECT min(ticket) FROM kms.event_quarantine);
		SELECT bad_ticket = (SELECT min(ticket) FROM kms.event_quarantine) FROM kms_audit_verify(); ROLLBACK"),
	't', 'a change of a quarantined event is found, too');

# ---- Rings ---------------------------------------------------------------

# Replace the ring by one of another size: the events in the old one are written
# first.
$node->sql("BEGIN; LOCK TABLE kms.event IN SHARE MODE; PREPARE TRANSACTION 'held'");
calls('in the old ring', 50);
$node->append_conf('postgresql.conf', 'kms.event_ring_size = 2MB');
$node->restart;
calls('in the new ring', 50);
$node->sql("COMMIT PREPARED 'held'");
is(KmsTest::events($node, 'postgres', "application_name ~ 'ring'"), 100,
	'a ring is replaced by a larger one');
intact('another ring');

foreach my $n (1 .. 2)
{
	calls('before the gap', 10);
	$node->stop;
	unlink glob $node->data_dir . '/pg_stat_tmp/kms.*' or die 'no ring';
	$node->start;
	calls('behind the gap', 10);
	intact("ring $n removed");
}
cmp_ok($node->sql("SELECT count(DISTINCT epoch) FROM kms.event"), '>=', 4, 'the trail has four epochs');

# ---- The extension -------------------------------------------------------

$node->sql('DROP EXTENSION kms; CREATE EXTENSION kms');
calls('another extension', 10);
$node->sql('SELECT kms_flush_events()');
is($node->sql('SELECT intact, first_ticket FROM kms_audit_verify()'), 't|1',
	'an extension that is made again has a trail of its own');
like( $node->sql("SELECT finding FROM kms_audit_verify('$noted[-1]')"),
	qr/^the (?:trail ends before|row does not have the hash of) the head that was given/,
	'the head of the new trail is not the head that was noted');
$node->stop;
done_testing();
