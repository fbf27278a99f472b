# If the event writer cannot write for any reason, kms_flush_events() and
# kms_metrics_summary() still end, and name the reason.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $audit = KmsAudit->new('waiting', conf => "kms.maintenance = off\nkms.event_ring_size = 4MB");
my $node = $audit->{node};

# Longer than the wait for a writer without progress.
use constant BOUNDED => 40;

sub ends
{
	my ($what, $sql, $expected, $seconds) = @_;
	my $start = time;
	my $errors = KmsClient::error($node, 'postgres', "SET statement_timeout = '60s';\n$sql");
	like($errors, $expected, $what);
	cmp_ok(time - $start, '<', $seconds, "$what, in time");
	unlike($errors, qr/OID 0|database 0/, "$what, and names no OID 0");
}

sub works
{
	my ($what) = @_;
	is( KmsClient::sqlstate($node, 'postgres', 'SELECT kms_flush_events(), kms_metrics_summary()'),
		'00000', "$what: both work again");
}

# ---- Permanent causes ----------------------------------------------------

foreach my $table (qw(metric event event_outbox event_epoch))
{
	$audit->sql("ALTER TABLE kms.$table RENAME TO elsewhere");
	$audit->call($audit->results->{encrypt});
	ends("no kms.$table", 'SELECT kms_flush_events()',
		qr/ERROR:  55000: the event writer of kms cannot write: .*\bkms\.$table\b.* does not exist/, BOUNDED);
	ends("no kms.$table, summary", 'SELECT kms_metrics_summary()',
		$table eq 'metric' ? qr/ERROR:  42P01: .*kms\.metric/
		: qr/WARNING:  01000: the latest events are not in the summary yet: .*\bkms\.$table\b/, BOUNDED);
	$audit->sql("ALTER TABLE kms.elsewhere RENAME TO $table");
	works("kms.$table exists again");
}
$audit->sql("ALTER TABLE kms.event ADD CONSTRAINT poison CHECK (application_name <> 'poison');
	ALTER TABLE kms.event_quarantine ADD CONSTRAINT full_up CHECK (false) NOT VALID");
$audit->sql("SET application_name = 'poison'; SELECT length(kms_encrypt('$audit->{key}', 'x'))");
ends('an event that cannot be quarantined', 'SELECT kms_flush_events()',
	qr/ERROR:  55000: the event writer of kms cannot write: .*"full_up"/, BOUNDED);
$audit->sql('ALTER TABLE kms.event_quarantine DROP CONSTRAINT full_up;
	ALTER TABLE kms.event DROP CONSTRAINT poison');
works('the event can be quarantined');

# ---- Causes that may end by themselves -----------------------------------

my $holder = KmsClient->session($node, 'postgres');
$holder->query('BEGIN; LOCK TABLE kms.event IN SHARE MODE');
$audit->call($audit->results->{encrypt});
ends('a table is locked', 'SELECT kms_flush_events()',
	qr/ERROR:  55000: the event writer of kms cannot write: canceling statement due to lock timeout/, BOUNDED);
is( KmsClient::sqlstate($node, 'postgres', "SET statement_timeout = '200ms'; SELECT kms_flush_events()"),
	'57014', 'the wait can be cancelled');
$holder->query('ROLLBACK; BEGIN; LOCK TABLE kms.metric IN ACCESS EXCLUSIVE MODE');
ends('kms.metric is locked', 'SELECT kms_metrics_summary()', qr/ERROR:  55P03: /, BOUNDED);
$holder->query('ROLLBACK');
works('no lock');
ends('the caller has locked the trail', "BEGIN; LOCK TABLE kms.event IN SHARE MODE;
	SELECT kms_encrypt('$audit->{key}', 'x'); SELECT kms_flush_events()",
	qr/ERROR:  55000: the event writer of kms cannot write/, BOUNDED);
works('the caller has been terminated');
$audit->call($audit->results->{encrypt});
my $writer = $audit->writer;
kill 'STOP', $writer;
$audit->call($audit->results->{encrypt});
ends('the writer is stopped', 'SELECT kms_flush_events()',
	qr/ERROR:  55000: the event writer of kms cannot write: process $writer makes no progress/, BOUNDED);
kill 'CONT', $writer;
works('the writer continues');

# ---- Events that come faster than they are written -------------------------------------

$audit->sql("ALTER TABLE kms.event ADD CONSTRAINT slow CHECK (pg_sleep(0.001) IS NOT NULL)");
my @floods = map { KmsClient->session($node, 'postgres') } 1 .. 2;
$_->send("SELECT count(kms_encrypt('$audit->{key}', 'x')) FROM generate_series(1, 10000000)") foreach @floods;
ok(KmsTest::poll(sub { $audit->status('ring used') > 1200 }), 'the ring fills up');
is( KmsClient::sqlstate($node, 'postgres', "SET statement_timeout = '100s'; SELECT kms_flush_events()"),
	'00000', 'kms_flush_events() does not wait for later events');
is($audit->sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%10000000%' AND state = 'active' AND pid <> pg_backend_pid()"),
	2, 'later events still arrive');
$audit->sql("SELECT pg_cancel_backend($_->{pid})") foreach @floods;
$_->receive foreach @floods;
$audit->sql('ALTER TABLE kms.event DROP CONSTRAINT slow');
works('the flood is over');
$audit->{session}->quit;
$node->stop;
done_testing();
