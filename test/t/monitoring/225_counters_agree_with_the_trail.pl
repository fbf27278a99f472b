# kms.counters counts each call once and as kms.event does: calls that are
# rolled back, changes that are committed, prepared or undone, batches, sums of
# field calls, calls whose events are only counted or dropped, and refused
# calls.  After a restart, a crash or a new extension it starts again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('counters', conf => <<'CONF');
max_prepared_transactions = 10
restart_after_crash = on
kms.keygen_limit = 1000
kms.maintenance = off
CONF
my $node = $audit->{node};

my $calls = q{SELECT operation || ' ' || status || ' ' || value FROM kms.counters WHERE name = 'calls'};
my $trail = q{SELECT operation || ' ' || status || ' ' || sum(calls) FROM kms.event WHERE operation <> 'gap' GROUP BY operation, status};

sub number
{
	my ($name, $operation, $status) = @_;
	return $node->sql("SELECT coalesce(sum(value), 0) FROM kms.counters WHERE name = '$name'"
		  . (defined $operation ? " AND operation = '$operation' AND status = '$status'" : ''));
}

sub since
{
	return $node->sql('SELECT DISTINCT since FROM kms.counters');
}

# The difference between the counters and the trail; '' if there is none.
sub difference
{
	return $node->sql("SELECT kms_flush_events() \\gset
		SELECT string_agg(line, ', ' ORDER BY line) FROM (($calls EXCEPT $trail) UNION ALL
		(SELECT 'trail: ' || line FROM ($trail EXCEPT $calls) AS t (line))) AS d (line)");
}

# ---- Transactions --------------------------------------------------------

my $good = $audit->results->{decrypt};
my ($key) = $good =~ /'(key_\w+)'/;
is(difference(), '', 'the calls that made the keys of this test are counted');

$node->psql('postgres', "BEGIN; $good; ROLLBACK", on_error_stop => 0);
$node->psql('postgres', "BEGIN; SELECT kms_decrypt('$key', 'AAAA'); ROLLBACK", on_error_stop => 0);
is(difference(), '', 'calls that are rolled back are counted as they ended');

$node->sql("SELECT key_id FROM kms_issue_key('committed')");
is(number('calls', 'generate', 'failure'), '0', 'no change has failed so far');
$node->sql("BEGIN; SELECT key_id FROM kms_issue_key('rolled back'); ROLLBACK");
is(number('calls', 'generate', 'failure'), '1', 'a change that is rolled back has failed');
$node->sql("BEGIN; SAVEPOINT s; SELECT key_id FROM kms_issue_key('savepoint'); ROLLBACK TO s;
	SAVEPOINT t; SELECT key_id FROM kms_issue_key('released'); RELEASE t; COMMIT");
is(difference(), '', 'so has one that is undone in its transaction; the others are successes');
my $made = number('calls', 'generate', 'success');
my $session = KmsClient->session($node, 'postgres');
$session->query("BEGIN; SELECT key_id FROM kms_issue_key('open')");
is(number('calls', 'generate', 'success'), $made, 'a change is not counted before it is committed');
$session->query('COMMIT');
is(number('calls', 'generate', 'success'), $made + 1, 'at its commit it is, without the writer');
$session->quit;
$node->sql("BEGIN; SELECT key_id FROM kms_issue_key('prepared'); PREPARE TRANSACTION 'p'");
is(number('calls', 'generate', 'success'), $made + 2, 'a change counts when it is prepared');
$node->sql("COMMIT PREPARED 'p'");
is(difference(), '', 'and not again when it is committed');

# a call that changes nothing, one that makes two events, a change of another call
$node->sql("SELECT kms_deprecate_key('$key'), kms_deprecate_key('$key')");
$node->sql("SELECT key_id FROM kms_rotate_key('committed')");
is(difference(), '', 'changes that change nothing or that other calls make are counted');

# ---- Fields, batches, sums -----------------------------------------------

$node->sql("SELECT kms_create_field_key('tax');
	CREATE TABLE person AS SELECT id, kms_encrypt_field('tax', 'DE' || id, '') AS tax
	FROM generate_series(1, 1000) AS id");
$node->sql("SELECT count(kms_decrypt_field(tax, '')), count(kms_try_decrypt_field(tax, 'wrong')) FROM person");
is(number('calls', 'decrypt_field', 'success'), '1000', 'field calls are counted by their number');
is(number('calls', 'decrypt_field', 'failure'), '1000', 'so are those that fail');
$node->sql("SELECT count(*) FROM kms_decrypt_batch(array_fill('$key'::text, ARRAY[20]), array_fill('AAAA'::text, ARRAY[20]))");
is(difference(), '', 'sums and batches are counted as the trail has them');

# ---- The histogram -------------------------------------------------------

is( $node->sql("SELECT count(*), min(le), max(le) FROM kms.counters
		WHERE name = 'duration_bucket' AND operation = 'decrypt' AND status = 'success'"),
	'21|+Inf|8.388608', 'there are twenty bounds and +Inf');
is( $node->sql("SELECT count(*) FROM (SELECT value - lag(value) OVER (PARTITION BY operation, status
			ORDER BY CASE le WHEN '+Inf' THEN 'Infinity' ELSE le::float8 END) AS more
		FROM kms.counters WHERE name = 'duration_bucket') AS b WHERE more < 0"),
	'0', 'buckets are cumulative');
my $timed = "SELECT operation || ' ' || status || ' ' || value FROM kms.counters
	WHERE name = 'duration_bucket' AND le = '+Inf' AND value > 0";
my $in_metric = "SELECT operation || ' ' || status || ' ' || sum(n) FROM kms.metric,
	unnest(histogram) AS n WHERE operation <> 'gap' GROUP BY operation, status HAVING sum(n) > 0";
is( $node->sql("SELECT string_agg(line, ', ') FROM (($timed EXCEPT $in_metric) UNION ALL ($in_metric EXCEPT $timed)) AS d (line)"),
	'', 'the histogram has the calls that are in that of kms.metric');
is( $node->sql("SELECT count(*) FROM kms.counters AS c JOIN
		(SELECT operation, status, sum(sum_ms) AS ms FROM kms.metric GROUP BY 1, 2) AS m USING (operation, status)
		WHERE name = 'duration_us' AND abs(value / 1000.0 - ms) > 0.01 AND operation NOT LIKE '%field%'"),
	'0', 'so is the time');

# ---- What does not go into the trail one by one --------------------------

my $recorded = number('events_recorded');
my $writer = $audit->writer;
KmsTest::freeze($writer);
$audit->mode('best_effort', 100);
$node->sql("SELECT count(kms_try_decrypt('$key', 'AAAA')) FROM generate_series(1, 200)");
my $opened = $good =~ s/^SELECT (.*)/SELECT count($1) FROM generate_series(1, 200)/sr;
$node->sql($opened);
cmp_ok(number('events_counted_only'), '>', 0, 'refused calls are counted only while the writer hangs');
cmp_ok(number('events_dropped'), '>', 0, 'other events are dropped when the ring is full');
cmp_ok($node->sql("SELECT value FROM kms.gauges WHERE name = 'ring_used'"), '>', 10, 'a gauge shows the ring fill up');
my $lag = "SELECT value FROM kms.gauges WHERE name = 'oldest_unwritten_event_seconds'";
my $older = $node->sql($lag);
ok(KmsTest::poll(sub { $node->sql($lag) > $older }), 'the lag of the oldest event grows');
kill 'CONT', $writer;
$node->sql('SELECT kms_flush_events()');
is($node->sql($lag), '0', 'without unwritten events the lag is 0');
is( number('events_dropped'),
	$node->sql("SELECT sum(calls) FROM kms.event WHERE operation = 'gap' AND context = 'the event ring was full'"),
	'the gap has as many events as were counted as dropped');
is( $node->sql("SELECT sum(value) FROM kms.counters WHERE name = 'calls'"),
	$node->sql('SELECT sum(calls) FROM kms.event'),
	'each call is counted once, whether its event was recorded, counted only or dropped');
cmp_ok(number('events_recorded'), '>', $recorded, 'recorded events are counted');

# ---- KM008 ---------------------------------------------------------------

my $refused = number('calls_refused_by_audit');
my $locker = KmsClient->session($node, 'postgres');
$locker->query('BEGIN; LOCK TABLE kms.event');
$audit->mode('required', 300);
is($audit->call($good)->{state}, 'KM008', 'a call is refused while its event cannot be written');
is(number('calls_refused_by_audit'), $refused + 1, 'that is counted');
is($node->sql("SELECT count(*) FROM kms.gauges WHERE name = 'unsigned_events'"), '0',
	'a gauge that needs a locked table is left out');
cmp_ok($node->sql('SELECT count(*) FROM kms.gauges'), '>=', 14, 'the others are there');
$locker->query('COMMIT');
$locker->quit;
$audit->mode('best_effort');
is( $node->sql("SELECT kms_flush_events() \\gset
		SELECT sum(value) FROM kms.counters WHERE name = 'calls'"),
	$node->sql('SELECT sum(calls) FROM kms.event'), 'its event is in the trail, so the call counts as it does there');

# ---- Starting again ------------------------------------------------------

my $before = since();
$audit->{session}->quit;
$node->restart;
isnt(since(), $before, 'a restart begins a new count');
is(number('calls'), '0', 'the new count starts at 0');
$node->psql('postgres', "SELECT kms_decrypt('$key', 'AAAA')", on_error_stop => 0);
is(number('calls', 'decrypt', 'failure'), '1', 'and goes on');

$before = since();
my $victim = KmsClient->session($node, 'postgres');
kill 'KILL', $victim->{pid};
KmsClient::wait_until_up($node);
isnt(since(), $before, 'so does a crash');
is(number('calls'), '0', 'also at 0');

$node->psql('postgres', "SELECT kms_decrypt('$key', 'AAAA')", on_error_stop => 0);
$before = since();
$node->sql('DROP EXTENSION kms CASCADE; CREATE EXTENSION kms');
isnt(since(), $before, 'a new extension begins a new count');
is(number('calls'), '0', 'without the calls of the old one');

# ---- Another database in its place ---------------------------------------

$node->sql('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION kms');
$node->psql('other', "SELECT kms_decrypt('$key', 'AAAA')", on_error_stop => 0);
is(number('calls'), '0', 'calls of another database are not counted here');
is($node->safe_psql('other', "SELECT value FROM kms.counters WHERE name = 'calls'"), '1', 'but there');
$before = $node->safe_psql('other', 'SELECT DISTINCT since FROM kms.counters');
$node->sql('DROP DATABASE other');
$node->sql('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION kms');
is($node->safe_psql('other', "SELECT count(*), count(*) FILTER (WHERE since <= '$before')
		FROM kms.counters WHERE name IN ('calls', 'events_dropped')"),
	'1|0', 'a database of the same name starts again');
$node->stop;
done_testing();
