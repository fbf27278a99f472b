# kms.audit = required: when a call has returned or failed, its event is in
# kms.event.  Calls whose transaction is rolled back are recorded, too.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

# a long interval: nothing is written by chance
my $node = KmsTest->node('required',
	conf => "kms.audit = required\nkms.event_flush_interval = 1min");
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $good = "'$key', '$ciphertext'";
my $hash = $node->safe_psql('postgres', "SELECT kms_hash_secret($good)");

# Run a call and return how many of its events the next statement of the same
# session sees, which waits for nothing.
sub recorded
{
	my ($tag, $call, %options) = @_;
	my ($rc, $stdout, $stderr) = $node->psql(
		'postgres', "SET kms.audit_context = '$tag';
		$call;
		SELECT count(*) FROM kms.event WHERE audit_context = '$tag'",
		on_error_stop => 0);
	return (split /\n/, $stdout)[-1];
}

my %call = (
	'handing out a key' => "SELECT kms_issue_key('phone')",
	'a public key' => "SELECT kms_public_key('$key')",
	'a JWK' => "SELECT kms_jwk('$key')",
	'a set of JWKs' => "SELECT kms_jwks('phone')",
	'encrypting' => "SELECT kms_encrypt('$key', 'x')",
	'decrypting' => "SELECT kms_decrypt($good)",
	'decrypting bytes' =>
	  "SELECT kms_decrypt_bytea('$key', decode('$ciphertext', 'base64'))",
	'trying' => "SELECT kms_try_decrypt($good)",
	'trying without success' => "SELECT kms_try_decrypt('$key', repeat('A', 342))",
	'a failure' => "SELECT kms_decrypt('$key', repeat('A', 342))",
	'a malformed call' => "SELECT kms_decrypt('$key', 'AAAA')",
	'no such key' => "SELECT kms_decrypt('key_0000000000000_000000000000000000000000', 'AAAA')",
	'break glass' => "SELECT kms_decrypt_recover($good, 'why')",
	'hashing' => "SELECT kms_hash_secret($good)",
	'verifying' => "SELECT kms_verify_secret($good, '$hash')",
	'a wrong secret' => "SELECT kms_verify_secret('$key', kms_encrypt('$key', 'x'), '$hash')",
	'diagnosing' => "SELECT kms_diagnose($good)",
	'what is rolled back' => "BEGIN; SELECT kms_decrypt($good); ROLLBACK",
	'a read-only transaction' => "BEGIN READ ONLY; SELECT kms_decrypt($good); COMMIT",
	'a serializable one' =>
	  "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT kms_decrypt($good); COMMIT",
	'a subtransaction' =>
	  "BEGIN; SAVEPOINT s; SELECT kms_decrypt('$key', 'AAAA'); ROLLBACK TO s; COMMIT");
foreach my $name (sort keys %call)
{
	my $expected = $name eq 'a wrong secret' ? 2 : 1;
	is(recorded($name, $call{$name}), $expected, "$name: recorded when it returns");
}

# Rows leave one by one, so each is recorded when the next one begins.
is( recorded('rows',
		"BEGIN; DECLARE c CURSOR FOR SELECT kms_decrypt($good) FROM generate_series(1, 5);
		FETCH 3 FROM c; COMMIT"),
	3, 'the rows that a cursor fetched are recorded');
$node->safe_psql('postgres',
	"CREATE TABLE inbox AS SELECT '$key'::text AS k, '$ciphertext'::text AS c FROM generate_series(1, 60);
	ALTER TABLE inbox SET (parallel_workers = 2)");
is( recorded('parallel',
		'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET jit = off;
		SELECT count(kms_decrypt(k, c)) FROM inbox'),
	60, 'all calls in parallel workers are recorded');

# ---- One wait for a batch ---------------------------------------------------

is( recorded('batch',
		"SELECT count(*) FROM kms_decrypt_batch(
			array_fill('$key'::text, '{300}'), array_fill('$ciphertext'::text, '{300}'))"),
	300, 'all events of a batch are there');
cmp_ok(
	$node->safe_psql('postgres',
		"SELECT count(DISTINCT xmin::text) FROM kms.event WHERE audit_context = 'batch'"),
	'<', 10, 'a batch is written in few transactions, not 300');
is( $node->safe_psql('postgres',
		"SELECT count(DISTINCT xmin::text) FROM kms.event WHERE audit_context = 'parallel'") > 10
	? 'many' : 'few', 'many', 'single calls are written in many transactions');

# ---- Changes commit with their event, and wait for nobody ---------------------

my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE kms.event IN EXCLUSIVE MODE');
my @change = (
	"SELECT key_id FROM kms_rotate_key('phone') \\gset\nSELECT kms_disable_key(:'key_id')",
	"SELECT kms_enable_key(:'key_id')", "SELECT kms_deprecate_key(:'key_id')",
	"SELECT kms_schedule_key_deletion(:'key_id')",
	"SELECT kms_cancel_key_deletion(:'key_id')",
	"SELECT kms_enable_key(:'key_id')",
	"SELECT kms_revoke_key(:'key_id', 'why')",
	"SELECT kms_revoke_key(:'key_id', 'why')",
	"SELECT kms_destroy_key(:'key_id', :'key_id')");
my ($rc, $stdout, $stderr) = $node->psql('postgres',
	"SET kms.audit_context = 'changes';\n" . join(";\n", @change));
is($rc, 0, 'keys are made, revoked and destroyed while nothing can be written')
  or diag($stderr);
($rc, $stdout, $stderr) =
  $node->psql('postgres', "SELECT kms_revoke_key('no such key', 'why')");
like($stderr, qr/malformed|not found/, 'a wrong change is refused for what is wrong');
($rc, $stdout, $stderr) = $node->psql('postgres',
	"SET statement_timeout = '180s'; SELECT kms_decrypt($good)");
like($stderr, qr/^psql:<stdin>:1: ERROR:  operation could not be audited/m,
	'a call that returns a result fails while nothing can be written');
$locker->query_safe('COMMIT');
$locker->quit;
ok( KmsTest::poll(
		sub {
			$node->safe_psql('postgres',
				"SELECT count(*) FROM kms.event WHERE audit_context = 'changes' AND status = 'success'"
			) == 11;
		}),
	'all changes are in the trail in the end');

# ---- What cannot be ----------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
($rc, $stdout, $stderr) = $node->psql('fresh',
	"BEGIN; CREATE EXTENSION kms; SELECT key_id FROM kms_issue_key('phone') \\gset
	SELECT kms_encrypt(:'key_id', 'x')");
like($stderr, qr/ERROR:  operation could not be audited\nDETAIL:  This transaction has created the extension/,
	'in the transaction that creates the extension nobody else could see an event');
is($node->safe_psql('postgres', 'SELECT intact FROM kms_audit_verify()'),
	't', 'the trail is whole');
$node->stop;
done_testing();
