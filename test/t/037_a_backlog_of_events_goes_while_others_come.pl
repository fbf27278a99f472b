# More old events than a batch takes are deleted oldest first, each batch in a
# transaction of its own, and none of them keeps the writer waiting or walks
# over what those before it deleted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $batch = 10_000;
my $node  = KmsTest->node('backlog',
	conf => "kms.maintenance = off\nkms.maintenance_interval = 1s");

sub sql
{
	return $node->safe_psql('postgres', shift);
}

sub old_events
{
	my ($count, $epoch, $days) = @_;
	sql("INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
		SELECT $epoch, n, now() - interval '$days days' + n * interval '1 second',
			'decrypt', 'success' FROM generate_series(1, $count) AS n");
}

sql('CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');

# ---- The worker ----------------------------------------------------------

# Each batch is noted, and waits while there is a row in "hold".
sql(
	'CREATE TABLE batch (n serial, transaction xid8, first bigint, last bigint, events bigint);
	CREATE TABLE hold (); INSERT INTO hold DEFAULT VALUES;
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF EXISTS (SELECT FROM gone) THEN
			INSERT INTO public.batch (transaction, first, last, events)
				SELECT pg_current_xact_id(), min(ticket), max(ticket), count(*) FROM gone;
		END IF;
		WHILE EXISTS (SELECT FROM public.hold) LOOP PERFORM pg_sleep(0.02); END LOOP;
		RETURN NULL;
	END $$;
	CREATE TRIGGER note AFTER DELETE ON kms.event REFERENCING OLD TABLE AS gone
		FOR EACH STATEMENT EXECUTE FUNCTION note()');
old_events(2.5 * $batch, 1, 110);
$node->append_conf('postgresql.conf', 'kms.maintenance = on');
$node->reload;
ok( KmsTest::poll(
		sub {
			sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'
				AND backend_type = 'kms maintenance'");
		}),
	'a batch is under way');
sql("SELECT kms_decrypt('$key', '$ciphertext'); SELECT kms_flush_events()");
is(KmsTest::events($node, 'postgres', "operation = 'decrypt' AND epoch <> 1"),
	1, 'events are written meanwhile');
is(KmsTest::events($node, 'postgres', 'epoch = 1'),
	2.5 * $batch, 'it is not committed yet');
sql('DELETE FROM hold');
ok(KmsTest::poll(sub { sql('SELECT count(*) FROM kms.event WHERE epoch = 1') eq '0' }),
	'the backlog goes');
is( sql('SELECT first, last, events FROM batch ORDER BY n'),
	"1|10000|10000\n10001|20000|10000\n20001|25000|5000",
	'in batches, the oldest first');
is(sql('SELECT count(DISTINCT transaction) FROM batch'),
	3, 'each in a transaction of its own');
$node->append_conf('postgresql.conf', 'kms.maintenance = off');
$node->reload;
sql('DROP TRIGGER note ON kms.event');

# ---- Batches of one session ----------------------------------------------

sub purge
{
	return shift->query(
		"SELECT done FROM kms_maintain() WHERE task = 'delete old events'");
}

# Entries of the index by time that scans were given.
sub entries_read
{
	my $session = shift;
	$session->query('SELECT pg_stat_force_next_flush()');
	return $session->query(
		"SELECT idx_tup_read FROM pg_stat_all_indexes
		WHERE indexrelid = 'kms.event_time_idx'::regclass");
}

# Nothing that is deleted now can be vacuumed away.
my $old = KmsClient->session($node, 'postgres');
$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM kms.event');
old_events(3.5 * $batch, 2, 100);
my $session = KmsClient->session($node, 'postgres');

$session->query('BEGIN');
is(purge($session), $batch, 'a batch that is rolled back');
$session->query('ROLLBACK');
is(purge($session), $batch, 'is made again');
is(sql('SELECT min(ticket) FROM kms.event WHERE epoch = 2'),
	$batch + 1, 'with the same events');

my $before = entries_read($session);
is(purge($session), $batch,     'the next batch');
is(purge($session), $batch,     'and the next');
is(purge($session), $batch / 2, 'and the rest');
my $read = entries_read($session) - $before;
cmp_ok($read, '<', 3 * $batch,
	'do not walk over the events that those before them deleted');

# One of an earlier time, as a clock that was set back leaves it.
sql("INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
	VALUES (3, 1, now() - interval '200 days', 'decrypt', 'success')");
is(purge($session), 1, 'what comes late goes as well');
$_->quit foreach $session, $old;

done_testing();
