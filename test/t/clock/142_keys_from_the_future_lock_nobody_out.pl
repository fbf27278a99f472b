# Keys that were made while the clock was ahead lock nobody out when the clock is
# correct again: keys from the future do not count towards limits, and no limit
# tells a caller to wait longer than its window.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsClock;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

KmsClock->available or plan skip_all => 'libfaketime is not installed';

my $clock = KmsClock->new('future');
my $node = KmsTest->node('future', start => 0, conf => <<'CONF');
kms.maintenance = off
kms.keygen_limit = 3
kms.verify_failure_limit = 2
kms.verify_failure_window = 1h
CONF
$clock->start($node);
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

sub rotate
{
	my $device = shift;
	return KmsClient::sqlstate($node, 'postgres', "SELECT FROM kms_rotate_key('$device')");
}

# Return whether a limit is reached, and if so whether it ends within its window.
sub limit
{
	my $device = shift;
	return $node->sql("SELECT used, next_at > now() AND next_at <= now() + interval '24 hours'
		FROM kms_rate_limit_status('$device')");
}

# ---- Ahead ----------------------------------------------------------------

$clock->set($node, '+60d');
is(rotate('phone'), '00000', 'a key is made 60 days ahead') foreach 1 .. 3;
is(rotate('phone'), 'KM005', 'keys can be made until the limit is reached');
is(limit('phone'), '3|t', 'the limit ends within its window');
$clock->set($node, '+0d');
is(limit('phone'), '0|', 'when the clock is right, keys from the future do not count');
is(rotate('phone'), '00000', 'the device gets a key when the clock is correct') foreach 1 .. 3;
is(rotate('phone'), 'KM005', 'the device gets as many keys as the limit allows');
is(limit('phone'), '3|t', 'the limit ends within its window');
my $error = KmsClient::error($node, 'postgres', "SELECT FROM kms_rotate_key('phone')");
my ($at) = $error =~ /HINT:  Try again after (.+)\.$/m;
ok(defined $at, 'the error says when') or diag($error);
is($node->sql("SELECT '$at'::timestamptz BETWEEN now() AND now() + interval '24 hours'"),
	't', 'the time in the error is within the window');
like(KmsClient::findings($node, 'postgres'),
	qr/^warning: keys were made in the future, 3: key_\d+_\w+, key_\d+_\w+, key_\d+_\w+ /m,
	'kms_check() names keys from the future');
like(KmsClient::findings($node, 'postgres'), qr/^warning: events are from the future, \d+: the latest is of /m,
	'kms_check() names events from the future');

# ---- Back -----------------------------------------------------------------

$clock->set($node, '-1d');
like(limit('phone'), qr/^0\|$/, 'with the clock a day behind, no limit is further away than a day');
is(rotate('phone'), '00000', 'a device gets a key');
$clock->set($node, '+0d');

# ---- Failed attempts ------------------------------------------------------

$node->sql('SELECT FROM kms_maintain()');
my ($key) = KmsClient::issue($node, 'postgres', 'pin');
my $hash = $node->sql("SELECT kms_hash_secret('$key', kms_encrypt('$key', '1234'))");
my $verify = "SELECT kms_verify_secret('$key', kms_encrypt('$key', '%s'), '$hash', '%s')";

$clock->set($node, '+20d');
is($node->sql(sprintf $verify, '9999', 'account'), 'f', 'a wrong PIN') foreach 1, 2;
foreach my $offset ('+20d', '+0d', '-1d')
{
	$clock->set($node, $offset);
	$error = KmsClient::error($node, 'postgres', sprintf $verify, '1234', 'account');
	like($error, qr/KM009/, "a clock of $offset does not end a lock-out");
	($at) = $error =~ /HINT:  Try again after (.+)\.$/m;
	is($node->sql("SELECT '$at'::timestamptz BETWEEN now() AND now() + interval '1 hour'"),
		't', "a clock of $offset does not make a lock-out longer");
}
$clock->set($node, '+0d');

# ---- Problematic keys, and counts ----------------------------------------

# A key of the device was found to be problematic while the clock was ahead:
# the day in which no other is ends all the same.
my $other = (KmsClient::issue($node, 'postgres', 'other'))[0];
my $foreign = $node->sql("SELECT kms_encrypt('$other', 'x')");

sub problematic
{
	my $bad = (KmsClient::issue($node, 'postgres', 'bad'))[0];
	$node->sql("SELECT count(kms_try_decrypt('$bad', '$foreign')) FROM generate_series(1, 10);
		SELECT kms_flush_events(); SELECT FROM kms_maintain()");
	return $node->sql("SELECT state || ' ' || state_reason FROM kms.key WHERE key_id = '$bad'");
}

$clock->set($node, '+20d');
$node->sql('SELECT FROM kms_maintain(confirm_clock => true)');
is(problematic(), 'deprecated Problematic', 'a key is problematic 20 days ahead');
$clock->set($node, '+0d');
$node->sql('SELECT FROM kms_maintain(confirm_clock => true)');
is(problematic(), 'deprecated Problematic', 'maintenance deprecates another key when the clock is correct');
is(problematic(), '', 'maintenance deprecates no third key within a day');
is( $node->sql("SELECT count(*) FROM kms.metric WHERE bucket > now()") > 0,
	1, 'there are counts from the future');
is( $node->sql("SELECT sum((m ->> 'count')::bigint) = (SELECT sum(count) FROM kms.metric
		WHERE bucket BETWEEN now() - interval '1 hour' AND now())
		FROM jsonb_array_elements(kms_metrics_summary(1) -> 'metrics') AS m"),
	't', 'counts from the future are not in a summary');
is($node->sql("SELECT count(*) FROM kms_problematic_keys(timeframe_hours => 1) WHERE device_id = 'bad'"),
	'2', 'events from the future are not counted');

$node->stop;
done_testing();
