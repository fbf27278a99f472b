# With kms.master_key_epochs a key is wrapped under the master key of the month
# in which it is made, also in the pool, and stays there.  Once the last key of a
# month is purged, its master key can be destroyed, and with it those keys in old
# dumps and WAL.  In a month without a master key no keys are made, and
# kms_check() and the log say so in advance.
#
# The test does not change the clock: a month is over if the label of its master
# key is that of an earlier month.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsRotation;
use KmsTest;
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;

# In the last seconds of a month, wait until the next one has begun, because
# the test is about this month.
sleep 70 if strftime('%m', gmtime(time + 60)) ne strftime('%m', gmtime);

my ($year, $month) = split /-/, strftime('%Y-%m', gmtime);
my $this = label(0);
my $next = label(1);
my $last = label(-1);
my %key = map { $_ => KmsTest::random_master_key() } qw(main a b c);

my $node = KmsTest->node(
	'epochs',
	master_key => [ "main: $key{main}" ],
	conf => <<'CONF');
kms.key_pool_size = 2
kms.keygen_workers = 0
kms.maintenance = off
kms.keygen_limit = 1000
kms.deprecate_problematic_keys = off
CONF

sub label
{
	my $months = $year * 12 + $month - 1 + shift;
	return sprintf '%04d-%02d', int($months / 12), $months % 12 + 1;
}

# The label of the master key that a key is wrapped under.
sub under
{
	my $key_id = shift;
	return $node->sql("SELECT coalesce(label, '-') FROM kms_master_key_status() JOIN kms.key_secret AS s
		ON s.master_key_id = decode(kms_master_key_status.master_key_id, 'hex') WHERE key_id = '$key_id'");
}

sub status
{
	return $node->sql("SELECT string_agg(concat_ws(' ', label, status, keys, peppers), ', ')
		FROM kms_master_key_status()");
}

# Run maintenance, and return the labels of the master keys that the pool is
# wrapped under.
sub pool
{
	$node->sql('SELECT kms_maintain()');
	return $node->sql("SELECT string_agg(m.label, ' ')
		FROM kms.pool_key AS p JOIN kms_master_key_status() AS m
		ON m.master_key_id = encode(substr(p.wrapped_key, 2, 8), 'hex')");
}

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($before, $pem) = KmsClient::issue($node, 'postgres', 'before');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
is(pool(), 'main main', 'the pool is under the current master key');
my $hash = $node->sql("SELECT kms_hash_secret('$before', '$ciphertext')");

# ---- The month's master key ----------------------------------------------

$node->append_conf('postgresql.conf', 'kms.master_key_epochs = on');
KmsRotation::put($node, "main: $key{main}", "$this: $key{a}", "$next: $key{b}");
is(pool(), "$this $this", "the pool is replaced by keys under this month's master key");
my ($key, $key_pem) = KmsClient::issue($node, 'postgres', 'phone');
my $key_ciphertext = KmsTest::encrypt_with_openssl($key_pem, 'secret');
is(under($key), $this, "a key from the pool is under this month's master key");
my ($made) = split /\|/, $node->sql("SELECT key_id FROM kms_issue_key('large', algorithm => 'RSA-3072')");
is(under($made), $this, "a key that is generated is under this month's master key");
my $ancient = $node->sql("SELECT kms_import_key('ancient', pg_read_file('" . pem_file() . "'),
	created_at => now() - interval '10 years', expires_at => now() + interval '1 day', deprecated => false)");
is(under($ancient), $this, "an imported key, even an old one, is under this month's master key");
is(under($before), 'main', 'a key from before stays under its master key');
is($node->sql('SELECT kms_rewrap_keys()'), '0', 'nothing is rewrapped, because the rest is under the current master key');
$node->sql("SELECT kms_disable_key('$key')");
$node->sql("SELECT kms_enable_key('$key')");
is($node->sql("SELECT kms_decrypt('$key', '$key_ciphertext')"), 'secret', 'the state of a key under a month can change');
is(status(), "main current 1 2, $this epoch 3 0, $next epoch 0 0", 'the status counts the key under its month');
is(KmsRotation::detail($node, $this), '', 'nothing is to be done about this month');
is(KmsRotation::detail($node, $next), '', 'nothing is to be done about the next month');
unlike(KmsClient::findings($node, 'postgres'), qr/labelled|wrapped under/, 'all is well');

sub pem_file
{
	my $path = PostgreSQL::Test::Utils::tempdir() . '/ancient.pem';
	PostgreSQL::Test::Utils::system_or_bail('openssl', 'genpkey', '-quiet', '-algorithm', 'RSA',
		'-pkeyopt', 'rsa_keygen_bits:2048', '-out', $path) unless -e $path;
	return $path;
}

# ---- A new current master key --------------------------------------------

KmsRotation::put($node, 'new: ' . KmsTest::random_master_key(),
	"main: $key{main}", "$this: $key{a}", "$next: $key{b}");
is($node->sql('SELECT kms_rewrap_keys()'), '3', 'a key under no month is rewrapped, and so are the pepper and the audit key');
is(under($before), $this, "the key is now under the master key of its own month");
is(under($key), $this, 'other keys stay under the master key of their month');
is($node->sql("SELECT kms_decrypt('$before', '$ciphertext'), kms_verify_secret('$before', '$ciphertext', '$hash')"),
	'secret|t', 'keys open and hashes verify');
like(KmsRotation::detail($node, 'main'), qr/its line can be removed/, 'the previous current master key can be removed');
like(status(), qr/^new current 0 2, main available 0 0, $this epoch 4 0, $next epoch 0 0$/, 'no key is under the previous current master key');

# ---- The month is over ---------------------------------------------------

my ($new) = KmsRotation::lines($node);
my $dump = $node->basedir . '/epochs.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ],
	'a dump of that month');
KmsRotation::put($node, $new, "$last: $key{a}", "$this: $key{c}");
is(pool(), "$this $this", 'with the new month the pool is replaced');
my ($later, $later_pem) = KmsClient::issue($node, 'postgres', 'later');
is(under($later), $this, 'a key of the new month is under its master key');
is($node->sql('SELECT kms_rewrap_keys()'), '0', 'keys of the old month stay under its master key');
is(status(), "new current 0 2, $last epoch 4 0, $this epoch 1 0", 'the status counts the keys of each month');
is(KmsRotation::detail($node, $last), '', 'the old month is still needed');
$node->sql("SELECT kms_destroy_key(key_id, key_id) FROM kms.key WHERE key_id <> '$later'");
is(KmsRotation::detail($node, $last), 'Its month is over and no row of this database needs it: it can be destroyed.',
	'when its last key is purged the status says that it can be destroyed');
is(KmsRotation::detail($node, $this), '', 'the master key of this month cannot be destroyed');
my $open = KmsClient->session($node, 'postgres');
$open->query("BEGIN; SELECT kms_destroy_key('$later', '$later')");
KmsRotation::put($node, $new, "$last: $key{c}", "$this: $key{b}");
is(KmsRotation::detail($node, $last), '', 'a month whose last key may come back by a rollback cannot be destroyed');
$open->query('ROLLBACK');
KmsRotation::put($node, $new, "$this: $key{c}");

# Keys in the old dump cannot be opened, because the master key is destroyed.
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ],
	'the old dump is restored');
my $decrypt = "SELECT kms_decrypt('$key', '$key_ciphertext')";
like(KmsClient::error($node, 'restored', $decrypt), qr/KM007: key "$key" was wrapped under master key/,
	'without the destroyed master key its keys are lost');
KmsRotation::put($node, $new, "$last: $key{a}", "$this: $key{c}");
is($node->safe_psql('restored', $decrypt), 'secret', 'with the destroyed master key they would open');
$node->safe_psql('postgres', 'DROP DATABASE restored');

# ---- No master key -------------------------------------------------------

my $from = -s $node->logfile;
KmsRotation::put($node, $new, "$last: $key{c}");
my $error = KmsClient::error($node, 'postgres', "SELECT kms_issue_key('another')");
like($error, qr/KM007: no master key is labelled "$this", the month in which this key is made/,
	'a month without a master key makes no key');
like($error, qr/HINT:  kms\.master_key_epochs is on: add a line with that label/, 'the error says what to do');
is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_rotate_key('later')"), 'KM007', 'a month without a master key rotates no key');
like(KmsClient::error($node, 'postgres',
		"SELECT kms_import_key('x', pg_read_file('" . pem_file() . "'))"),
	qr/KM007: no master key is labelled "$this"/, 'a month without a master key imports no key');
is( KmsTest::events($node, 'postgres',
		"status = 'failure' AND reason = 'Master key is not available'") > 0,
	1, 'the failure is recorded');
is( $node->sql("SELECT kms_decrypt(key_id, kms_encrypt(key_id, 'x')) FROM kms_issue_key('later')"),
	'x', 'existing keys can be used');
my $missing = qr/no master key is labelled "$this", this month: no key can be made/;
like(KmsClient::findings($node, 'postgres'), qr/^error: $missing \(Add a line with that label/m,
	'kms_check() says that the month has no master key');
like(slurp_file($node->logfile, $from), qr/LOG:  kms: $missing\n/, 'the log says that the month has no master key');

# Two weeks before there is a warning; the last day of a month always is one.
KmsRotation::put($node, $new, "$this: $key{c}");
my $near = strftime('%m', gmtime(time + 14 * 86400)) ne strftime('%m', gmtime);
my $warning = qr/^warning: no master key is labelled "$next", the month that begins at /m;
if ($near)
{
	like(KmsClient::findings($node, 'postgres'), $warning, 'the coming month is warned of in time');
}
else
{
	unlike(KmsClient::findings($node, 'postgres'), qr/labelled/, 'the coming month is far off');
}
KmsRotation::put($node, $new, "$this: $key{c}", "$next: $key{b}");
unlike(KmsClient::findings($node, 'postgres'), qr/labelled/, 'a coming month that has its master key is no finding');

# ---- Off again -----------------------------------------------------------

$node->append_conf('postgresql.conf', 'kms.master_key_epochs = off');
KmsRotation::put($node, $new, "$this: $key{c}");
is($node->sql('SELECT kms_rewrap_keys()'), '1', 'without epochs all keys are rewrapped under the current master key');
is(under($later), 'new', 'without epochs a key of any month is under the current master key');
is(status(), "new current 1 2, $this available 0 0", 'without epochs no key is under a month');

# ---- A month that is over takes nothing any more --------------------------

my $old = $node->sql("SELECT kms_import_key('old', pg_read_file('" . pem_file() . "'),
	created_at => (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '10 days') AT TIME ZONE 'UTC',
	expires_at => now() + interval '1 day', deprecated => false)");
$node->append_conf('postgresql.conf', 'kms.master_key_epochs = on');
KmsRotation::put($node, 'fresh: ' . KmsTest::random_master_key(), $new, "$last: $key{a}", "$this: $key{c}");
like(KmsRotation::detail($node, $last), qr/it can be destroyed\.$/, 'the status says that the old month can be destroyed');
$node->sql('SELECT kms_rewrap_keys()');
is(under($old), 'fresh', 'a key of that month is rewrapped under the current master key');
like(KmsRotation::detail($node, $last), qr/it can be destroyed\.$/, 'the status still says that the old month can be destroyed');
is(under($later), $this, 'a key of this month is under the master key of this month');

# A session that has not read the changed setting yet follows it all the same.
my $long = KmsClient->session($node, 'postgres');
my $holder = KmsClient->session($node, 'postgres');
$holder->query('SELECT pg_advisory_lock(1)');
$node->append_conf('postgresql.conf', 'kms.master_key_epochs = off');
KmsRotation::put($node, 'fresher: ' . KmsTest::random_master_key(), KmsRotation::lines($node));
$long->send("DO \$\$ BEGIN PERFORM pg_advisory_lock(1); PERFORM kms_rewrap_keys(); END \$\$");
KmsTest::poll(sub { $node->sql("SELECT count(*) FROM pg_locks WHERE pid = $long->{pid} AND NOT granted") }) or die 'the call does not wait';
$node->append_conf('postgresql.conf', 'kms.master_key_epochs = on');
KmsRotation::put($node, KmsRotation::lines($node), 'last: ' . KmsTest::random_master_key());
$holder->query('SELECT pg_advisory_unlock(1)');
$long->receive;
is($long->{state}, '00000', 'a call that spans a change of the setting succeeds');
is(under($later), $this, 'such a call leaves the key under the master key of its month');

done_testing();
