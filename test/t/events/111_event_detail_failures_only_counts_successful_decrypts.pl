# With kms.event_detail = failures the trail has every event except successful
# decrypts, the metrics count all, and maintenance deprecates no key by an
# unknown failure rate.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('detail',
	conf => "kms.event_detail = failures\nkms.maintenance = off");
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');

$node->safe_psql('postgres', "
	SELECT kms_decrypt('$key', '$ciphertext') FROM generate_series(1, 20);
	SELECT kms_decrypt_batch(ARRAY['$key'], ARRAY['$ciphertext']);
	SELECT kms_try_decrypt('$key', repeat('A', 342)) FROM generate_series(1, 6);
	SELECT kms_decrypt_recover('$key', '$ciphertext', 'why');
	SELECT kms_encrypt('$key', 'x');
	SELECT kms_issue_key('phone');
	SELECT kms_flush_events()");
is( $node->safe_psql('postgres',
		"SELECT string_agg(operation || ' ' || status || ' ' || count, ', ' ORDER BY operation, status)
		FROM (SELECT operation, status, count(*) FROM kms.event GROUP BY 1, 2) AS e"),
	'decrypt failure 6, encrypt success 1, generate success 1, issue success 1, recover success 1',
	'the trail has all events except the successful decrypts');
is( $node->safe_psql('postgres',
		"SELECT sum(count) FROM kms.metric WHERE operation = 'decrypt' AND status = 'success'"),
	21, 'the metrics count the successful decrypts');
is( $node->safe_psql('postgres',
		'SELECT count(*) = max(ticket) FROM kms.event'),
	't', 'tickets have no gaps');
is($node->safe_psql('postgres', 'SELECT intact, events FROM kms_audit_verify()'),
	't|10', 'the chain is intact');

# 6 failures of 27 are 22 percent, but in the trail they are 6 of 6
my ($rc, $stdout, $stderr) =
  $node->psql('postgres', 'SELECT failure_rate FROM kms_problematic_keys()');
like($stderr, qr/WARNING:  failure rates are too high/,
	'unknown rates come with a warning');
$node->safe_psql('postgres', 'SELECT kms_maintain()');
is($node->safe_psql('postgres', "SELECT kms_key_state('$key')"),
	'active', 'no key is deprecated by an unknown rate');
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM kms_check() WHERE finding LIKE '%kms.event_detail%'"),
	1, 'kms_check() says that successes are not in the trail');

$node->append_conf('postgresql.conf', 'kms.event_detail = all');
$node->reload;
ok( KmsTest::poll(
		sub {
			$node->safe_psql('postgres',
				"SELECT kms_decrypt('$key', '$ciphertext'), kms_flush_events()");
			$node->safe_psql('postgres',
				"SELECT count(*) > 0 FROM kms.event WHERE operation = 'decrypt' AND status = 'success'"
			) eq 't';
		}),
	'after a reload successful decrypts are in the trail again');
# 6 failures of 28 and more; the trail has few of the calls
$node->safe_psql('postgres', 'SELECT kms_maintain()');
is($node->safe_psql('postgres', "SELECT kms_key_state('$key')"),
	'active', 'after the setting is changed back, the rates are unknown for a day');
($rc, $stdout, $stderr) =
  $node->psql('postgres', 'SELECT failure_rate FROM kms_problematic_keys()');
like($stderr, qr/WARNING:  failure rates are too high/, 'these rates come with a warning');
$node->safe_psql('postgres',
	"UPDATE kms.event_epoch SET left_out_at = left_out_at - interval '25 hours'");
$node->safe_psql('postgres', 'SELECT kms_maintain()');
is($node->safe_psql('postgres', "SELECT kms_key_state('$key')"),
	'deprecated', 'after that day failing keys are deprecated again');
$node->stop;
done_testing();
