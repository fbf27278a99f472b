# Maintenance makes the next version of a field key at the age that it was
# created with, once, and only of keys that are enabled.  That, and the wait
# before a key can be destroyed, goes by the clock of maintenance, so that a
# wrong clock of the server does neither.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsClock;
use KmsTest;
use Test::More;

KmsClock->available or plan skip_all => 'libfaketime is not installed';

my $clock = KmsClock->new('server');
my $node = KmsTest->node('server', start => 0, conf => <<'CONF');
kms.maintenance = off
kms.maintenance_interval = 1s
kms.key_pool_size = 0
CONF
$clock->start($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# The newest version of each key.
sub newest
{
	return sql("SELECT string_agg(field_key || ' ' || version, ', ' ORDER BY field_key) FROM kms.field_keys WHERE newest");
}

sub maintain
{
	my ($argument) = @_;
	return sql("SELECT done FROM kms_maintain(" . ($argument || '') . ") WHERE task = 'rotate field keys'");
}

sub destroy
{
	my (undef, $out, $errors) = $node->psql('postgres', "SELECT kms_destroy_field_key('iban', NULL, 'iban/all')");
	return $out || $errors;
}

sql(<<'SQL');
CREATE EXTENSION kms;
SELECT FROM kms_issue_key('phone');
SELECT kms_create_field_key('tax', '30 days'), kms_create_field_key('tax.ann', '1 mon'), kms_create_field_key('iban'),
	kms_create_field_key('off', '30 days'), kms_create_field_key('newest_off', '30 days'), kms_create_field_key('later', '90 days');
SELECT kms_disable_field_key('off'), kms_disable_field_key('newest_off', 1), kms_disable_field_key('iban');
SQL
my $value = sql("SELECT kms_encrypt_field('tax', 'plain', 'c')");
my $first = 'iban 1, later 1, newest_off 1, off 1, tax 1, tax.ann 1';
is(maintain(), '0', 'nothing is due');
is(newest(), $first, 'so nothing is rotated');
like(destroy(), qr/has not been disabled for long enough.*DETAIL:  It can be destroyed from/s, 'nothing is destroyed');

# ---- A clock that is wrong -----------------------------------------------

$clock->set($node, '+400d');
is(maintain(), '0', '400 days ahead: nothing is due');
is(newest(), $first, 'nor rotated');
like(destroy(), qr/has not been disabled for long enough/, 'nor destroyed');
$clock->set($node, '-400d');
is(maintain(), '0', '400 days behind: nothing is due');
$clock->set($node, '+0d');
is(maintain(), '0', 'nor when it is right again');

# ---- A month later -------------------------------------------------------

$clock->set($node, '+29d');
is(maintain('confirm_clock => true'), '0', 'a day before: nothing is due');
is(destroy(), 'destroyed', 'a key that has been disabled for seven days is destroyed');
$clock->set($node, '+32d');
is(maintain('confirm_clock => true'), '2', 'keys are due');
my $second = 'iban 1, later 1, newest_off 1, off 1, tax 2, tax.ann 2';
is(newest(), $second, 'keys that are enabled are rotated');
is(maintain(), '0', 'once');
is(newest(), $second, 'and not again');
is(sql("SELECT kms_decrypt_field('$value', 'c')"), 'plain', 'values of the version before open');
is( sql("SELECT kms_field_version(kms_encrypt_field('tax', 'x', '')), kms_field_is_current('$value')"), '2|f', 'the new one encrypts');
is( sql("SELECT rotate_at - created_at FROM kms.field_keys WHERE field_key = 'tax' ORDER BY version"),
	"\n30 days", 'the next one is due 30 days after it');
is(KmsTest::events($node, 'postgres', "operation = 'rotate_field_key' AND status = 'success' AND key_id IN ('tax/2', 'tax.ann/2')"),
	'2', 'each has an event');

# A key that has become due while it was disabled is rotated when it is enabled.
sql("SELECT kms_enable_field_key('off'), kms_enable_field_key('newest_off', 1)");
is(maintain(), '2', 'enabled keys are due');
$second =~ s/off 1/off 2/g;
is(newest(), $second, 'and rotated');

# ---- Rotated by hand -----------------------------------------------------

$clock->set($node, '+50d');
is(sql("SELECT kms_rotate_field_key('tax')"), '3', 'a rotation by hand');
$clock->set($node, '+64d');
is(maintain('confirm_clock => true'), '3', 'a month after the others');
is(newest(), 'iban 1, later 1, newest_off 3, off 3, tax 3, tax.ann 3', 'they are rotated, and not the one that was rotated by hand');
is( sql("SELECT count(*) FROM kms.field_key WHERE rotate_at < clock_timestamp()"), '0', 'no version that has a successor is due');

# Maintenance is to be the only one: two rounds at once rotate each key once.
$clock->set($node, '+81d');
my $session = KmsClient->session($node, 'postgres');
$session->query('BEGIN');
is($session->query("SELECT done FROM kms_maintain(confirm_clock => true) WHERE task = 'rotate field keys'"), '1', 'a round rotates');
my $other = KmsClient->session($node, 'postgres');
$other->send("SELECT done FROM kms_maintain() WHERE task = 'rotate field keys'");
KmsTest::poll(sub { sql("SELECT state = 'idle' OR wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $other->{pid}") eq 't' });
$session->query('COMMIT');
is($other->receive, '0', 'another one at the same time does not');
is(newest(), 'iban 1, later 1, newest_off 3, off 3, tax 4, tax.ann 3', 'each key once');
$_->quit foreach $session, $other;

# Keys that are disabled do not keep others from their turn.
sql(<<'SQL');
SELECT count(kms_create_field_key('tax.x' || i, '1 day')) FROM generate_series(1, 1010) AS i;
SELECT kms_create_field_key('waiting', '2 days');
SELECT count(kms_disable_field_key('tax.x' || i)) FROM generate_series(1, 1010) AS i;
SQL
$clock->set($node, '+84d');
is(maintain('confirm_clock => true'), '1', 'behind more disabled keys than a batch has, a key is rotated');
is(sql("SELECT max(version) FROM kms.field_keys WHERE field_key = 'waiting'"), '2', 'the enabled one');

# ---- The worker ----------------------------------------------------------

$clock->set($node, '+95d');
sql('SELECT FROM kms_maintain(confirm_clock => true)');
$node->append_conf('postgresql.conf', 'kms.maintenance = on');
sql("SELECT kms_create_field_key('often', '1 second')");
$node->reload;
ok(KmsTest::poll(sub { newest() =~ /often [2-9]/ }), 'the worker rotates, too');
is( sql("SELECT count(DISTINCT version) = max(version) FROM kms.field_keys WHERE field_key = 'often'"), 't', 'with no gap');

$node->stop;
done_testing();
