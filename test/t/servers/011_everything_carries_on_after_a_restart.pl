# Keys, states, limits, events and metrics are the same after a restart, and
# what was recorded just before the server stopped is in the trail.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

# The writer sleeps so long between two rounds that what is recorded after
# the first one is in the ring when the server stops.
my $node = KmsTest->node('restart', conf => <<'CONF');
kms.keygen_limit = 2
kms.event_flush_interval = 60s
CONF

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($old_key, $old_pem) = KmsClient::issue($node, 'postgres', 'phone');
my ($key) = split /\|/,
  $node->safe_psql('postgres', "SELECT * FROM kms_rotate_key('phone')");
my $old_ciphertext = KmsTest::encrypt_with_openssl($old_pem, 'secret');
my $ciphertext = $node->safe_psql('postgres', "SELECT kms_encrypt('$key', 'PIN')");
is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_rotate_key('phone')"),
	'KM005', 'the device has used up its limit');
my $keys = 'SELECT * FROM kms.key ORDER BY key_id';
my $before = $node->safe_psql('postgres', $keys);

foreach my $mode ('fast', 'immediate', 'smart')
{
	$node->safe_psql('postgres', 'SELECT kms_flush_events()');
	$node->safe_psql('postgres',
		"SET application_name = 'before $mode';
		SELECT count(kms_decrypt('$key', '$ciphertext')) FROM generate_series(1, 100)");
	is( $node->safe_psql('postgres',
			"SELECT count(*) FROM kms.event WHERE application_name = 'before $mode'"),
		'0', "$mode: not in the trail when the server stops");
	$node->stop($mode);
	$node->start;

	is(KmsTest::events($node, 'postgres', "application_name = 'before $mode'"),
		'100', "$mode: in the trail after start, once each");
	is($node->safe_psql('postgres', $keys), $before, "$mode: keys are the same");
	is($node->safe_psql('postgres', "SELECT kms_decrypt('$key', '$ciphertext')"),
		'PIN', "$mode: the active key opens");
	is( $node->safe_psql('postgres',
			"SELECT kms_decrypt('$old_key', '$old_ciphertext'), kms_key_state('$old_key')"),
		'secret|deprecated', "$mode: the deprecated key opens");
	is( $node->safe_psql('postgres',
			"SELECT key_id, reused FROM kms_issue_key('phone')"),
		"$key|t", "$mode: the device keeps its key");
	is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_rotate_key('phone')"),
		'KM005', "$mode: the limit still holds");
	is( $node->safe_psql('postgres',
			"SELECT used, allowed, next_at > now() FROM kms_rate_limit_status('phone')"),
		'2|2|t', "$mode: and is told");
}

$node->safe_psql('postgres', 'SELECT kms_flush_events()');
is( $node->safe_psql('postgres',
		'SELECT count(*) = max(ticket) - min(ticket) + 1, count(DISTINCT epoch)
		FROM kms.event'),
	't|1', 'one epoch of events without a gap, over all restarts');
is( $node->safe_psql('postgres',
		"SELECT (SELECT sum(m.count) FROM kms.metric AS m)
		= (SELECT count(*) FROM kms.event)"),
	't', 'metrics count each event once');
unlike(KmsClient::findings($node, 'postgres'),
	qr/^(?:error|warning): (?!fsync)/m, 'kms_check() has no complaint');

$node->stop;
done_testing();
