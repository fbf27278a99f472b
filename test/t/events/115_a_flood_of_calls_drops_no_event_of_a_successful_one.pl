# A flood of calls drops no event of a call that opened something.  Refused
# calls are counted first, then calls that serve, and a session that has pushed
# many events waits.  The trail has the number of counted and lost events,
# once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsAudit;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $audit = KmsAudit->new('flood', conf => "kms.event_ring_size = 256kB\nkms.keygen_limit = 1000");
my $node = $audit->{node};
my $slots = $audit->status('ring size');

my ($disabled, $pem) = KmsClient::issue($node, 'postgres', 'disabled');
my $refused = KmsTest::encrypt_with_openssl($pem, 'secret');
$audit->sql("SELECT kms_disable_key('$disabled')");

# Two JWE with an ephemeral key that is refused: it is on no curve, and it is of
# small order.  No private operation runs, and so these calls are refused ones.
my %flawed;
foreach my $algorithm (qw(EC-P256 X25519))
{
	my $key = $audit->sql("SELECT key_id FROM kms_issue_key('flawed', algorithm => '$algorithm')");
	$flawed{$algorithm} = $audit->sql(<<"SQL");
SELECT format('%L, %L', '$key', rtrim(translate(encode(convert_to(jsonb_set(kms_jwe_header(jwe) -> 'protected', '{epk,x}',
	to_jsonb(repeat('A', 43)))::text, 'UTF8'), 'base64'), E'+/\n', '-_'), '=') || substr(jwe, strpos(jwe, '.')))
FROM kms_encrypt_jwe('$key', 'x') AS jwe
SQL
}
# With a pepper, none has to be made.
$audit->sql("SELECT kms_hash_secret($audit->{good})");

sub lost { return $audit->sql("SELECT coalesce(sum(calls), 0) FROM kms.event WHERE operation = 'gap'") }

# Stop a running writer.  A writer runs while it has work, so make calls for it.
my $made = 0;
sub stop_writer
{
	my $pid = KmsTest::poll(
		sub {
			$audit->sql("SELECT kms_try_decrypt('$disabled', '$refused')");
			$made++;
			return $audit->running('kms writer');
		});
	KmsTest::freeze($pid);
	return $pid;
}

sub settle { $audit->sql('SELECT kms_flush_events()'); return }

# ---- Eight sessions of refused calls, and decrypts in the meantime -------

# No call may time out because the writer is slow.
$audit->mode('best_effort', KmsAudit::LONG_TIMEOUT);
my $batches = 5;
my $size = 5 * $slots;
my $writer = stop_writer();
my @floods = map { KmsClient->session($node, 'postgres') } 1 .. 8;
foreach my $flood (@floods)
{
	$flood->query("SET application_name = 'refused'");
	$flood->send("SELECT count(b.sqlstate) FROM generate_series(1, $batches) AS g,
		LATERAL kms_decrypt_batch(array_fill('$disabled'::text, ARRAY[$size + 0 * g]),
			array_fill('$refused'::text, ARRAY[$size])) AS b");
}
KmsTest::poll(sub { $audit->status('events counted only') > 0 }) or die 'the flood is not counted';
kill 'CONT', $writer;
$audit->call("SET application_name = 'matters'");
my $calls = 3 * $slots;
is($audit->call("SELECT count(kms_decrypt($audit->{good})) FROM generate_series(1, $calls)")->{rows},
	$calls, 'decrypts work during a flood of refused calls');
is($_->receive, $batches * $size, 'each refused call gets its error') foreach @floods;
settle();
is($audit->in_trail('matters'), $calls, 'the trail has every call that opened something');
is($audit->status('events dropped'), '0', 'nothing is dropped');
is(lost(), '0', 'there is no gap');
is( $audit->sql("SELECT sum(calls) FROM kms.event WHERE operation = 'decrypt'
		AND reason = 'Encryption key is disabled'"),
	8 * $batches * $size + $made, 'each refused call is in the trail, by itself or counted');
cmp_ok($audit->status('events counted only'), '>', 0, 'some refused calls were counted');
is( $audit->sql("SELECT sum(calls) FROM kms.event WHERE operation = 'decrypt' AND calls > 1"
		. " AND key_id IS NULL AND session_role IS NULL AND device_id IS NULL"),
	$audit->sql("SELECT sum(calls) FROM kms.event WHERE calls > 1"),
	'a counted row names no role or device');
is( $audit->sql("SELECT sum(count) FROM kms.metric WHERE operation = 'decrypt' AND status = 'failure'"),
	8 * $batches * $size + $made, 'the metrics count all calls');

# ---- The writer is stopped -----------------------------------------------

# With best_effort, calls that open fill the ring and wait for room once, and
# the events lost then are reported once.
$audit->mode('best_effort', 1000);
my $before = $audit->status('events counted only');
$writer = stop_writer();
my $session = KmsClient->session($node, 'postgres');
$session->query("SET application_name = 'stands'");
is( $session->query("SELECT count(kms_encrypt('$audit->{key}', 'x')) FROM generate_series(1, 2 * $slots)"),
	2 * $slots, 'calls that serve continue while the writer is stopped');
my $serves = $audit->status('events counted only') - $before;
cmp_ok($serves, '>', $slots, 'above three quarters these calls are counted');
my $used = $audit->status('ring used');
foreach my $algorithm (sort keys %flawed)
{
	foreach my $call ('kms_decrypt', 'kms_hash_secret')
	{
		my $counted = $audit->status('events counted only');
		$session->query("DO \$\$ BEGIN FOR i IN 1 .. 5 LOOP BEGIN PERFORM $call($flawed{$algorithm});
			EXCEPTION WHEN invalid_parameter_value THEN NULL; END; END LOOP; END \$\$");
		is($session->{state}, '00000', "$algorithm: $call() refuses a JWE for its ephemeral key");
		is($audit->status('events counted only') - $counted, 5, "$algorithm: these calls of $call() are counted");
	}
}
is($audit->status('ring used'), $used, 'they leave the ring to others');
is( $session->query("SELECT count(kms_decrypt($audit->{good})) FROM generate_series(1, $slots)"),
	$slots, 'calls that open continue');
my $dropped = $audit->status('events dropped');
cmp_ok($dropped, '>', 0, 'a stopped writer loses events');
cmp_ok($dropped, '<', $slots, 'no event is lost for which there was room');
kill 'CONT', $writer;
settle();
is($audit->in_trail('stands') + $serves + $dropped, 3 * $slots,
	'each call is in the trail, counted or lost');
is(lost(), $dropped, 'a gap says how many were lost');
settle();
is(lost(), $dropped, 'the gap is written once');
is($audit->sql("SELECT sum(calls) FROM kms.event WHERE operation = 'encrypt' AND calls > 1"),
	$serves, 'counted rows say how many were counted');

# ---- A session waits only for its own events -----------------------------

$audit->mode('best_effort', KmsAudit::LONG_TIMEOUT);
$writer = stop_writer();
my $half = int($slots / 2) + 1;
$session->query("SET application_name = 'owes'");
$session->send("SELECT count(kms_decrypt($audit->{good})) FROM generate_series(1, $slots)");
ok($audit->wait_until_waiting($session), 'a session that has pushed many events waits');
my $pushed = $audit->status('ring used');
cmp_ok($pushed, '<', $half + 20, 'the session waits soon after the ring is half full');
my $other = KmsClient->session($node, 'postgres');
is($other->query("SELECT kms_decrypt($audit->{good})"), 'secret', 'another session does not wait');
$audit->sql("SELECT pg_cancel_backend($session->{pid})");
is($session->receive, '', 'the wait can be cancelled');
is($session->{state}, '57014', 'the cancelled wait raises an error');

# Aborted subtransactions count as well.
$session->query('SET statement_timeout = 0');
$other->send("DO \$\$ BEGIN FOR i IN 1 .. 40 LOOP BEGIN PERFORM kms_decrypt('$disabled', '$refused');
	EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END \$\$");
ok($audit->wait_until_waiting($other), 'events of aborted subtransactions count');
kill 'CONT', $writer;
$other->receive;
is($other->{state}, '00000', 'the session continues when the writer does');
settle();
is($audit->intact, 'intact', 'the trail is intact');

# ---- Killed while calls are counted --------------------------------------

$audit->mode('best_effort', 1000);
$writer = stop_writer();
my $began = $audit->sql('SELECT clock_timestamp()');
my $flood = KmsClient->session($node, 'postgres');
$flood->query("SET application_name = 'killed'");
is( $flood->query("SELECT count(b.sqlstate) FROM kms_decrypt_batch(array_fill('$disabled'::text, ARRAY[$size]),
		array_fill('$refused'::text, ARRAY[$size])) AS b"),
	$size, 'refused calls are counted while the writer is stopped');
$node->stop('immediate');
kill 'CONT', $writer;
$node->start;
$audit->{session} = undef;
is( $node->safe_psql('postgres', "SELECT kms_flush_events();
		SELECT sum(calls) FROM kms.event WHERE application_name = 'killed' OR occurred_at > '$began' AND session_role IS NULL"),
	"\n$size", 'after a crash each counted call is in the trail once');
$node->stop;
done_testing();
