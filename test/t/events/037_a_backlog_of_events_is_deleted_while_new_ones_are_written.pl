# If more old events than a batch are due, they are deleted in the order of
# tickets, each batch up to a checkpoint and in its own transaction.  No batch
# delays the writer, or reads the index entries of events that earlier batches
# deleted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $batch = 10_000;
my $node  = KmsTest->node('backlog', conf => <<'CONF');
kms.maintenance = off
kms.maintenance_interval = 1s
kms.audit_checkpoint_interval = 1h
CONF

# Write that many batches and a half, and wait until all signed rows can be
# deleted.
sub old_events
{
	my $batches = shift;
	my $signed = $node->sql('SELECT max(ticket) FROM kms.event_checkpoint');
	for (1 .. ($batches + 0.5) * $batch / 500)
	{
		$node->sql("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 500);
			SELECT kms_flush_events()");
	}
	KmsTest::poll(
		sub {
			$node->sql("SELECT count(*) >= $batches AND max(signed_at) < now() - interval '1 second'
				FROM kms.event_checkpoint WHERE ticket > $signed") eq 't';
		}) or die 'no checkpoint';
}

# Return the signed tickets: about every 10,000, where a commit of the writer
# ended.
sub signed
{
	return split /\n/, $node->sql("SELECT DISTINCT ticket FROM kms.event_checkpoint ORDER BY 1");
}

sub retention
{
	my $time = shift;
	$node->append_conf('postgresql.conf', "kms.event_retention = '$time'");
	$node->reload;
	KmsTest::poll(sub { $node->sql('SHOW kms.event_retention') eq $time });
}

$node->sql('CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
ok(KmsTest::poll(sub { $node->sql('SELECT max(ticket) FROM kms.event_checkpoint') }),
	'the trail is signed');
my $first = $node->sql('SELECT max(ticket) FROM kms.event_checkpoint');

# ---- The worker ----------------------------------------------------------

# Lock a row of the second batch, so that it waits.  If each batch is a
# transaction of its own, the first one is committed by then.
old_events(2);
my $last = $node->sql('SELECT max(ticket) FROM kms.event_checkpoint');
is(scalar(grep { $_ > $first } signed()), 2, 'there are two more checkpoints');
my $holder = KmsClient->session($node, 'postgres');
$holder->query("BEGIN; SELECT ticket FROM kms.event WHERE ticket = $first + 1 FOR UPDATE");
$node->append_conf('postgresql.conf', 'kms.maintenance = on');
retention('1s');
ok(KmsTest::poll(sub { $node->sql('SELECT min(ticket) FROM kms.event') == $first + 1 }),
	'the oldest batch is deleted, in a transaction of its own');
$node->sql("SELECT kms_decrypt('$key', '$ciphertext'); SELECT kms_flush_events()");
is(KmsTest::events($node, 'postgres', "operation = 'decrypt' AND status = 'success'"),
	1, 'events are written while the next batch waits');
is($node->sql('SELECT min(ticket) FROM kms.event'), $first + 1, 'a batch is deleted as a whole or not at all');
$holder->query('COMMIT');
ok(KmsTest::poll(sub { $node->sql('SELECT min(ticket) FROM kms.event') == $last + 1 }),
	'the backlog is deleted');
$node->append_conf('postgresql.conf', 'kms.maintenance = off');
retention('1h');
$holder->quit;

# ---- Batches of one session ----------------------------------------------

sub purge
{
	return shift->query(
		"SELECT done FROM kms_maintain() WHERE task = 'delete old events'");
}

# Return the number of index entries by ticket that scans returned.
sub entries_read
{
	my $session = shift;
	$session->query('SELECT pg_stat_force_next_flush()');
	return $session->query(
		"SELECT idx_tup_read FROM pg_stat_all_indexes
		WHERE indexrelid = 'kms.event_pkey'::regclass");
}

# Keep vacuum from removing rows that are deleted from now on.
my $old = KmsClient->session($node, 'postgres');
$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM kms.event');
old_events(4);
$node->sql("SELECT kms_decrypt('$key', '$ciphertext'); SELECT kms_flush_events()");
retention('1s');
my $session = KmsClient->session($node, 'postgres');

my @ends = grep { $_ >= $last } signed();
my @sizes = map { $ends[$_] - $ends[ $_ - 1 ] } 1 .. $#ends;

$session->query('BEGIN');
is(purge($session), $sizes[0], 'a batch that is rolled back');
$session->query('ROLLBACK');
is($node->sql('SELECT min(ticket) FROM kms.event'), $last + 1, 'the rolled-back batch has deleted nothing');
is(purge($session), $sizes[0], 'the batch can be repeated');

my $before = entries_read($session);
is(purge($session), $sizes[1], 'the next batch');
my $one = entries_read($session) - $before;
is(purge($session), $sizes[$_], "batch $_") foreach 2 .. $#sizes;
my $read = entries_read($session) - $before;
cmp_ok($read, '<', (@sizes - 0.5) * $one,
	'later batches do not read the events that earlier ones deleted');
is(purge($session), 0, 'events after the last checkpoint stay');
is($node->sql('SELECT intact, first_ticket FROM kms_audit_verify()'),
	't|' . ($ends[-1] + 1), 'the trail is intact');
$_->quit foreach $session, $old;

done_testing();
