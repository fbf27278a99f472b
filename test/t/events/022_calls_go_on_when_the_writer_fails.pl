# If the writer or its ring file fails in any way, calls continue, the server
# starts, events that can be written are written once, and kms_check() reports
# the fault.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('writer', conf => 'kms.event_ring_size = 256kB');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $good = "'$key', '$ciphertext'";
my $decrypt = "kms_decrypt($good)";

sub dense
{
	my ($name) = @_;
	is( $node->safe_psql('postgres',
			'SELECT count(*) = max(ticket) - min(ticket) + 1 FROM
			(SELECT ticket FROM kms.event UNION SELECT ticket FROM kms.event_quarantine) AS t'),
		't', "$name: tickets have no gaps");
}

# ---- Signals -------------------------------------------------------------

$node->calls('before cancel', $decrypt, 10);
my $writer = $node->writer();
foreach my $n (1 .. 5)
{
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($writer)");
	$node->calls("cancel $n", $decrypt, 10);
	is($node->recorded("cancel $n"), '10', "cancel $n: events are written");
}
is($node->writer(), $writer, 'cancelling does not end the writer');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($writer, 180000)");
$node->calls('terminated', $decrypt, 10);
is($node->recorded('terminated'), '10', 'a writer that was terminated is replaced');

$writer = $node->writer();
kill 'STOP', $writer;
is($node->calls('stopped', $decrypt, 20), '20', 'calls do not wait for a stopped writer');
is( KmsClient::sqlstate($node, 'postgres',
		"SET statement_timeout = '200ms'; SELECT kms_flush_events()"),
	'57014', 'a wait for the writer can be cancelled');
kill 'CONT', $writer;
is($node->recorded('stopped'), '20', 'the writer continues where it was');
dense('signals');

# ---- A full ring ---------------------------------------------------------

my $slots = $node->status('ring size');
my $session = KmsClient->session($node, 'postgres');
$session->query('BEGIN');
$session->query('LOCK TABLE kms.event IN SHARE MODE');
is($node->calls('full', $decrypt, 2 * $slots), 2 * $slots, 'calls go on when the ring is full');
my $dropped = $node->status('events dropped');
cmp_ok($dropped, '>', 0, 'events without room are dropped and counted');
like(KmsClient::findings($node, 'postgres'),
	qr/^warning: the event ring is more than three quarters full/m,
	'kms_check() reports the full ring');
$session->query('COMMIT');
is($node->recorded('full') + $dropped, 2 * $slots, 'the other events are written when the lock is released');
like(KmsClient::findings($node, 'postgres'), qr/^warning: .*events .*dropped.*\b$dropped\b/m,
	'kms_check() says that events were dropped');

# Malformed calls give way to others.
$session->query('BEGIN');
$session->query('LOCK TABLE kms.event IN SHARE MODE');
my $junk = $node->status('events counted only');
$node->safe_psql('postgres',
	"SET application_name = 'junk';
	SELECT count(kms_try_decrypt('$key', '?')) FROM generate_series(1, 2 * $slots)");
cmp_ok($node->status('events counted only') - $junk, '>=', $slots,
	'malformed calls are only counted in a ring that is three quarters full');
is($node->calls('in spite of junk', $decrypt, 10), '10', 'the ring has room left');
$session->query('COMMIT');
is($node->recorded('in spite of junk'), '10', 'calls that open get that room');
is( $node->recorded('junk') + $node->status('events counted only') - $junk,
	2 * $slots, 'all malformed calls are counted');
$session->quit;
dense('full ring');

# ---- An event that cannot be written -------------------------------------

$node->safe_psql('postgres',
	"ALTER TABLE kms.event ADD CONSTRAINT poison CHECK (application_name <> 'poison'
		AND (device_id <> 'poison' OR device_id IS NULL))");
$node->calls('before poison', $decrypt, 50);
$node->calls('poison', $decrypt, 2);
$node->calls('after poison', $decrypt, 50);
$node->safe_psql('postgres', "SELECT kms_issue_key('poison')");
$node->safe_psql('postgres', "SELECT kms_issue_key('antidote')");
is($node->recorded('before poison') + $node->recorded('after poison'), 100,
	'an event that cannot be written does not hold up the others');
is( $node->safe_psql('postgres',
		"SELECT count(*), count(*) FILTER (WHERE error ~ 'violates check constraint') FROM kms.event_quarantine"),
	'3|3', 'the event is quarantined, with the error');
is(KmsTest::events($node, 'postgres', "device_id = 'antidote'"), '1',
	'a change that cannot be written is quarantined, too');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kms.event_outbox'), '0',
	'after a quarantine the outbox is empty');
like(KmsClient::findings($node, 'postgres'), qr/^warning: .*quarantined/m,
	'kms_check() reports the quarantined events');
$node->safe_psql('postgres', 'ALTER TABLE kms.event DROP CONSTRAINT poison');
dense('poison');

# ---- The ring file -------------------------------------------------------

my ($ring) = glob $node->data_dir . '/pg_stat_tmp/kms.*';
my $outside = $node->basedir . '/outside';
sub overwrite
{
	my ($at, $bytes) = @_;
	open my $file, '+<:raw', $ring or die "$ring: $!";
	seek $file, $at, 0;
	print $file $bytes;
	close $file or die "$ring: $!";
}

foreach my $case (
	[ 'removed', sub { unlink $ring } ],
	[ 'empty', sub { truncate $ring, 0 } ],
	[ 'truncated', sub { truncate $ring, 10000 } ],
	[ 'one byte short', sub { truncate $ring, (-s $ring) - 1 } ],
	[ 'one byte long', sub { truncate $ring, (-s $ring) + 1 } ],
	[ 'zeros', sub { overwrite(0, "\0" x -s $ring) } ],
	[ 'ones', sub { overwrite(0, "\xff" x -s $ring) } ],
	[ 'text', sub { overwrite(0, 'garbage ' x 1000) } ],
	[ 'header kept, entries ones', sub { overwrite(4096, "\xff" x (-s $ring) - 4096) } ],
	[ 'readable by others', sub { chmod 0644, $ring } ],
	[ 'a link', sub { rename $ring, $outside; symlink $outside, $ring } ],
	[ 'a directory', sub { unlink $ring; mkdir $ring } ])
{
	my ($name, $arrange) = @$case;
	my $ticket = $node->safe_psql('postgres',
		'SELECT kms_flush_events(); SELECT max(ticket) FROM kms.event') =~ s/\s//gr;
	$node->stop;
	$arrange->();
	$node->start;
	is($node->calls("ring $name", $decrypt, 10), '10', "ring $name: the server starts, calls work");
	if ($name ne 'a directory')
	{
		is($node->recorded("ring $name"), '10', "ring $name: events are recorded");
		cmp_ok(
			$node->safe_psql('postgres',
				"SELECT min(ticket) FROM kms.event WHERE application_name = 'ring $name'"),
			'>', $ticket, "ring $name: tickets continue");
		dense("ring $name");
		unlink $outside;
	}
	else
	{
		like(KmsClient::findings($node, 'postgres'),
			qr/^error: .*events.* not (?:be )?recorded/m,
			"ring $name: kms_check() reports that nothing is recorded");
		rmdir $ring or die "$ring: $!";
		ok( KmsTest::poll(sub { $node->calls("ring $name gone", $decrypt, 1); -f $ring }),
			"ring $name: recording starts after the file is removed");
	}
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/,
	'no process crashed');

# ---- No place for workers ------------------------------------------------

# One slot is PostgreSQL's own, one is the launcher's.
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
is($node->calls('no slot', $decrypt, 10), '10', 'no slot for a writer: calls work');
ok( KmsTest::poll(
		sub {
			KmsClient::findings($node, 'postgres') =~
			  /^error: the event writer .*max_worker_processes/m;
		}),
	'no slot for a writer: kms_check() says what to raise');
like(slurp_file($node->logfile), qr/no background worker slot is free/,
	'no slot for a writer: the server log says so');
is( ($node->psql('postgres', 'SELECT kms_flush_events()'))[0],
	3, 'no slot for a writer: a session that waits for it gets an error');

$node->append_conf('postgresql.conf', 'max_worker_processes = 1');
$node->restart;
like(KmsClient::error($node, 'postgres', "SELECT kms_decrypt($good)"),
	qr/KM007: master key is not available/, 'no launcher: no master key');
like(KmsClient::findings($node, 'postgres'),
	qr/^error: the launcher of kms does not run \(Raise max_worker_processes/m,
	'no launcher: kms_check() names the setting to raise');
is(KmsClient::sqlstate($node, 'postgres', 'SELECT kms_flush_events()'),
	'55000', 'no launcher: kms_flush_events() does not wait for ever');

$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
is($node->recorded('no slot'), '10', 'events from that time are written later');
dense('all');
$node->stop;
done_testing();
