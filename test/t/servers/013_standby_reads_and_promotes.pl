# On a hot standby keys open and existing keys are issued, nothing is made or
# written, and calls are counted.  After promotion recording starts and tickets
# go on.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ],
	conf => 'kms.keygen_limit = 1');
$primary->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($primary, 'postgres', 'phone');
my (undef, $other_pem) = KmsClient::issue($primary, 'postgres', 'other phone');
my $good = KmsTest::encrypt_with_openssl($pem, 'secret');
my $bad = KmsTest::encrypt_with_openssl($other_pem, 'secret');
$primary->safe_psql('postgres', "SELECT kms_decrypt('$key', '$good')");

# The standby's own master key file is not there yet.
my $standby = KmsTest->standby($primary, 'standby', start => 0);
my $file = KmsTest::master_key_path($standby);
$standby->append_conf('postgresql.conf', "kms.master_key_file = '$file'");
$standby->start;
$primary->safe_psql('postgres', 'SELECT kms_flush_events()');
$primary->wait_for_catchup('standby', 'replay', $primary->lsn('insert'));
my $replicated = $standby->safe_psql('postgres', 'SELECT max(ticket) FROM kms.event');
cmp_ok($replicated, '>=', 3, 'events are replicated');

# ---- The master key ------------------------------------------------------

is(KmsClient::sqlstate($standby, 'postgres', "SELECT kms_decrypt('$key', '$good')"), 'KM007',
	'a standby without a master key decrypts nothing');
KmsTest::write_master_key($file,
	split /\n/, slurp_file(KmsTest::master_key_path($primary)));
$standby->reload;
ok( KmsTest::poll(
		sub {
			$standby->safe_psql('postgres',
				'SELECT status FROM kms_master_key_status()') eq 'current';
		}),
	'a standby reads its own master key file at a reload');

# ---- Reading -------------------------------------------------------------

my $successes = $standby->status('standby successes');
my $failures = $standby->status('standby failures');
is($standby->safe_psql('postgres', "SELECT kms_decrypt('$key', '$good')"),
	'secret', 'decrypt works');
is( $standby->safe_psql('postgres',
		"SELECT key_id, reused FROM kms_issue_key('phone')"),
	"$key|t", 'an existing key is handed out');
is($standby->safe_psql('postgres', "SELECT kms_public_key('$key')") . "\n",
	$pem, 'a public key is returned');
is( $standby->safe_psql('postgres',
		"SELECT kms_decrypt('$key', kms_encrypt('$key', 'x'))"),
	'x', 'encrypt works');
is(KmsClient::sqlstate($standby, 'postgres', "SELECT kms_decrypt('$key', '$bad')"), 'KM001', 'failures are failures');
is($standby->safe_psql('postgres', "SELECT kms_try_decrypt('$key', '$bad') IS NULL"),
	't', 'try works');
is( $standby->safe_psql('postgres',
		"SELECT kms_key_state('$key'), kms_key_valid('$key'), kms_self_test()"),
	'active|t|t', 'state, validity and the self-test work');
is($standby->status('standby successes') - $successes, 5, 'successes are counted');
is($standby->status('standby failures') - $failures, 2, 'failures are counted');
like(slurp_file($standby->logfile),
	qr/kms: decrypt failed on a standby: Failed to decrypt data/,
	'failures are logged');
is( $standby->safe_psql('postgres',
		"SELECT kms_metrics_summary() -> 'timeframeHours'"),
	'24', 'the summary works, of what is replicated');
unlike(KmsClient::findings($standby, 'postgres'),
	qr/^error: (?!fsync)/m, 'kms_check() works, and has no complaint');
like($standby->safe_psql('postgres', "SELECT kms_diagnose('$key', '$good')"),
	qr/own digest/, 'kms_diagnose works');

# ---- Not writing ---------------------------------------------------------

is(KmsClient::sqlstate($standby, 'postgres', "SELECT kms_issue_key('new phone')"), '25006', 'no key is made');
is(KmsClient::sqlstate($standby, 'postgres', "SELECT kms_rotate_key('phone')"), '25006', 'no key is rotated');
is(KmsClient::sqlstate($standby, 'postgres', 'SELECT kms_maintain()'), '25006', 'no maintenance is done');
is(KmsClient::sqlstate($standby, 'postgres', 'SELECT kms_flush_events()'), '55000', 'there is nothing to flush');
is( $standby->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ '^kms'
		AND backend_type <> 'kms launcher'"),
	'0', 'no worker runs');

# A change on the primary counts here as soon as it is replayed.
my $session = KmsClient->session($standby, 'postgres');
is($session->query("SELECT kms_decrypt('$key', '$good')"), 'secret',
	'a session has the key open');
$primary->safe_psql('postgres', "DELETE FROM kms.key WHERE key_id = '$key'");
$primary->wait_for_catchup('standby', 'replay', $primary->lsn('insert'));
$session->query("SELECT kms_decrypt('$key', '$good')");
is($session->{state}, 'KM002', 'a destroyed key is gone on the standby once that is replayed');

# ---- Promotion -----------------------------------------------------------

$primary->stop;
$replicated = $standby->safe_psql('postgres', 'SELECT max(ticket) FROM kms.event');
$standby->promote;
is( $session->query("SELECT reused FROM kms_issue_key('new phone')"),
	'f', 'after promotion a key is made, by a session of before');
my ($other) = KmsClient::issue($standby, 'postgres', 'other phone');
my $ciphertext = $standby->safe_psql('postgres', "SELECT kms_encrypt('$other', 'x')");
$session->query("SELECT kms_decrypt('$other', '$ciphertext')");
is(KmsTest::events($standby, 'postgres', "ticket > $replicated AND operation <> 'gap'"),
	'4', 'recording starts: generate, issue, encrypt, decrypt');
is( $standby->safe_psql('postgres',
		"SELECT count(*), count(DISTINCT epoch), min(ticket) - $replicated,
		min(ticket) FILTER (WHERE operation = 'gap') - $replicated
		FROM kms.event WHERE ticket > $replicated"),
	'4|1|1|', 'tickets go on, and there is no gap: the primary was stopped in an orderly way');
is( $standby->safe_psql('postgres',
		'SELECT count(*) = max(ticket) - min(ticket) + 1 FROM kms.event'),
	't', 'after promotion tickets have no gap');
is(KmsClient::sqlstate($standby, 'postgres', "SELECT kms_rotate_key('other phone')"), 'KM005',
	'the limit counts keys made before');
$session->quit;

$standby->stop;
done_testing();
