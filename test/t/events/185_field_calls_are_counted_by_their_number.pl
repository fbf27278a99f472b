# A sum counts as the calls that it stands for, in the metrics, in a gap, and
# with kms.event_detail = failures.  Its duration is in no percentile.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('counts', conf => "kms.event_ring_size = 64kB\nkms.maintenance = off");
my $node = $audit->{node};
$audit->sql("SELECT kms_create_field_key('tax');
	CREATE TABLE person AS SELECT id, kms_encrypt_field('tax', 'DE' || id, '') AS tax
	FROM generate_series(1, 1000) AS id");
my $all = "SELECT count(kms_decrypt_field(tax, '')) FROM person";
my $wrong = "SELECT count(kms_try_decrypt_field(tax, 'wrong')) FROM person WHERE id <= 250";

# ---- Metrics -------------------------------------------------------------

$audit->call($_) foreach $all, $wrong, "SELECT count(kms_blind_index('tax', id::text, 's')) FROM person";
my @operations = split /\n/, $audit->sql("SELECT kms_flush_events() \\gset
	SELECT operation, status, sum(count), sum((SELECT coalesce(sum(n), 0) FROM unnest(histogram) AS n))
	FROM kms.metric WHERE operation ~ '_field\$|blind' GROUP BY 1, 2 ORDER BY 1, 2");
is(join(' ', @operations),
	'blind_index|success|1000|1 decrypt_field|failure|250|1 decrypt_field|success|1000|1 encrypt_field|success|1000|1',
	'kms.metric has the number of calls, and the duration of the first one');
my $summary = "SELECT string_agg(m ->> 'operation' || ' ' || (m ->> 'status') || ' ' || (m ->> 'count'), ', '
		ORDER BY m ->> 'operation', m ->> 'status') FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m
	WHERE m ->> 'operation' ~ '_field\$|blind'";
is($audit->sql($summary), 'blind_index success 1000, decrypt_field failure 250, decrypt_field success 1000, encrypt_field success 1000',
	'so has kms_metrics_summary()');
is( $audit->sql("SELECT round((m ->> 'failure_rate')::numeric, 1) FROM
		jsonb_array_elements(kms_metrics_summary() -> 'failureRates') AS m WHERE m ->> 'operation' = 'decrypt_field'"),
	'20.0', 'the failure rate is that of calls');
is( $audit->sql("SELECT m ->> 'count' FROM jsonb_array_elements(kms_metrics_summary() -> 'topFailures') AS m
		WHERE m ->> 'operation' = 'decrypt_field'"),
	'250', 'the most frequent failures are those of calls');
is($audit->sql("SELECT round(failure_rate::numeric, 1) FROM kms.failure_rates WHERE operation = 'decrypt_field'"),
	'20.0', 'so say the views');
is($audit->sql("SELECT count FROM kms.top_failures WHERE operation = 'decrypt_field'"), '250', 'all of them');
is( $audit->sql("SELECT bool_and(p99_ms = max_ms AND avg_ms = max_ms) FROM
		(SELECT e.operation, e.duration_ms AS max_ms, (m ->> 'p99')::float8 AS p99_ms, (m ->> 'avg_duration')::float8 AS avg_ms
		FROM kms.event AS e, jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m
		WHERE e.calls = 1 AND e.operation = m ->> 'operation' AND e.status = m ->> 'status'
		AND e.operation IN ('blind_index', 'encrypt_field')) AS s"),
	't', 'average and percentiles are those of the events that stand for one call');
is($audit->sql('SELECT count(*) FROM kms_problematic_keys()'), '0', 'a failing field makes no device key problematic');

# ---- A gap ---------------------------------------------------------------

# Fill the ring while nothing is written, with events that matter.
$audit->mode('best_effort', 300);
$audit->call($all);
my $writer = $audit->writer;
KmsTest::freeze($writer);
my $slots = $audit->status('ring size');
$audit->call("SET kms.audit_context = 'full'");
$audit->call("SELECT kms_decrypt_field(tax, '') FROM person WHERE id = 1") foreach 1 .. $slots + 1;
cmp_ok($audit->status('events dropped'), '>', 0, 'the ring is full');
is($audit->call($all)->{rows}, '1000', 'values leave');
kill 'CONT', $writer;
$audit->sql('SELECT kms_flush_events()');
is( $audit->sql("SELECT sum(calls) FROM kms.event WHERE audit_context = 'full' OR operation = 'gap'"),
	$slots + 1 + 1000, 'the recorded calls and the lost ones are all calls');
cmp_ok($audit->sql("SELECT sum(calls) FROM kms.event WHERE operation = 'gap'"), '>=', 1000, 'a gap has the number of lost calls');
unlike($audit->sql("SELECT string_agg(m ->> 'operation', ' ') FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m"),
	qr/gap/, 'the metrics leave it out');

# ---- kms.event_detail = failures -----------------------------------------

$node->set('kms.event_detail' => 'failures');
my $before = $audit->sql("SELECT sum(count) FROM kms.metric WHERE operation = 'decrypt_field' AND status = 'success'");
$audit->call("SET kms.audit_context = 'detail'");
$audit->call($_) foreach $all, $wrong, "SELECT count(kms_encrypt_field('tax', id::text, '')) FROM person";
$audit->sql('SELECT kms_flush_events()');
is( $audit->sql("SELECT string_agg(operation || ' ' || status || ' ' || calls, ', ' ORDER BY operation, calls)
		FROM (SELECT operation, status, sum(calls) AS calls FROM kms.event WHERE audit_context = 'detail' GROUP BY 1, 2) AS e"),
	'decrypt_field failure 250, encrypt_field success 1000', 'values that were decrypted are not in the trail');
is( $audit->sql("SELECT sum(count) - $before FROM kms.metric WHERE operation = 'decrypt_field' AND status = 'success'"),
	'1000', 'they are counted');

is($audit->intact, 'intact', 'the trail is intact');
$audit->{session}->quit;
$node->stop;
done_testing();
