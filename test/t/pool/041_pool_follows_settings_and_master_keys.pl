# Only keys that a device could be given now are issued from the pool.  Keys of
# the wrong size, under another master key, or that were changed are never issued,
# and are replaced.  The size of the pool follows the setting.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsPool;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Workers are switched on by the settings of each part.
my $node = KmsTest->node('pool', conf => "kms.key_pool_size = 2
	kms.keygen_workers = 0
	kms.maintenance = off");
my $file = KmsTest::master_key_path($node);

sub filled
{
	my ($size, $name) = @_;
	ok(KmsPool::filled($node, 'postgres', $size), $name);
	return KmsPool::ids($node, 'postgres');
}

# Issue a key, test that it works, and return the row of the pool that it comes
# from, or 'none' if it was generated for the device.
my $devices = 0;
sub issue
{
	my ($arguments) = @_;
	my $keys = KmsPool::keys($node, 'postgres');
	my $device = 'device ' . ++$devices;
	my $key = $node->sql("SELECT key_id FROM kms_issue_key('$device'" . ($arguments // '') . ')');
	is($node->sql("SELECT kms_decrypt('$key', kms_encrypt('$key', 'secret'))"),
		'secret', "$device: its key works");
	return KmsPool::origin($node, 'postgres', $device, $keys);
}

# Run maintenance and return how many keys it made for the pool, and whether more
# are missing.
sub maintain
{
	my $session = shift;
	my $sql = "SELECT done, more FROM kms_maintain() WHERE task = 'fill the pool of keys'";
	return $session ? $session->query($sql) : $node->sql("SET lock_timeout = '180s'; $sql");
}

sub algorithms
{
	return $node->sql("SELECT string_agg(DISTINCT algorithm, ',') FROM kms.pool_key");
}

# The master keys that the pool is wrapped under, and the current one.
sub fingerprints
{
	return $node->sql("SELECT string_agg(DISTINCT encode(substr(wrapped_key, 2, 8), 'hex'), ',')
		FROM kms.pool_key");
}

sub current
{
	return $node->sql("SELECT master_key_id FROM kms_master_key_status() WHERE status = 'current'");
}

# ---- No workers ----------------------------------------------------------

$node->sql('CREATE EXTENSION kms');
is(issue(), 'none', 'without workers and maintenance the pool is empty');
is($node->sql('SELECT count(*) FROM kms.pool_key'), '0', 'the pool stays empty');
is(maintain(), '2|f', 'without workers kms_maintain() fills it');
is(join(' ', KmsPool::ids($node, 'postgres')) =~ tr/ //, 1, 'kms_maintain() fills the pool to its size');
$node->sql('DELETE FROM kms.pool_key');
$node->set('kms.key_pool_size' => '5');
my $other = KmsClient->session($node, 'postgres');
$other->query('BEGIN');
is(maintain($other), '4|t', 'kms_maintain() makes four, and says that there are more');
is(maintain(), '0|f', 'another call neither makes the same keys nor waits');
$other->query('ROLLBACK');
is(join(' ', KmsPool::ids($node, 'postgres')), '', 'keys that were rolled back are not in the pool');
is(maintain(), '4|t', 'the next call makes four again');
is(maintain(), '1|f', 'the call after that makes the fifth');
is(maintain(), '0|f', 'no key is missing');
$node->sql('DELETE FROM kms.pool_key');
$other->send('SELECT count(*) FROM kms_maintain()');
KmsTest::poll(
	sub {
		$node->sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $other->{pid}
			AND (state = 'idle' OR pid IN (SELECT pid FROM pg_locks
				WHERE relation = 'kms.pool_key'::regclass AND mode = 'RowExclusiveLock'))");
	}) or die 'kms_maintain() does not begin';
is(KmsClient::sqlstate($node, 'postgres', 'BEGIN; DROP EXTENSION kms; ROLLBACK'),
	'00000', 'DROP EXTENSION waits for kms_maintain() that generates');
is($other->receive, '11', 'kms_maintain() ends, too');
is(maintain(), '1|f', 'kms_maintain() has made four keys');
my @all = filled(5, 'the pool has its size');

# ---- Changed rows --------------------------------------------------------

# The newest is what is handed out next.
my ($newest) = reverse @all;
my $device_key = $node->sql("SELECT key_id FROM kms.key WHERE device_id = 'device 1'");
my %case = (
	'last byte of the wrapped key' =>
	  'SET wrapped_key = set_byte(wrapped_key, length(wrapped_key) - 1, get_byte(wrapped_key, length(wrapped_key) - 1) # 1)',
	'nonce of the wrapped key' =>
	  'SET wrapped_key = set_byte(wrapped_key, 12, get_byte(wrapped_key, 12) # 128)',
	'shortened wrapped key' =>
	  'SET wrapped_key = substr(wrapped_key, 1, length(wrapped_key) - 1)',
	'bytes after the wrapped key' => "SET wrapped_key = wrapped_key || '\\x00'",
	'public key of another' =>
	  'SET public_key = (SELECT public_key FROM kms.key_secret LIMIT 1)',
	'no public key' => "SET public_key = ''",
	'endless public key' => "SET public_key = convert_to(repeat('x', 100000), 'UTF8')",
	'date' => "SET created_at = created_at + interval '1 us'",
	'id' => "SET pool_key_id = pool_key_id || '0'",
	'key of a device' => "SET pool_key_id = 'z', (home, algorithm, created_at, public_key, wrapped_key) =
		(SELECT home, algorithm, created_at, public_key, wrapped_key
		FROM kms.key JOIN kms.key_secret USING (key_id) WHERE key_id = '$device_key')");
$node->sql('CREATE TABLE kept AS SELECT * FROM kms.pool_key');
foreach my $name (sort keys %case)
{
	my $from = -s $node->logfile;
	$node->sql("UPDATE kms.pool_key $case{$name} WHERE pool_key_id = '$newest'");
	my $origin = issue();
	isnt($origin, 'none', "$name: a key of the pool is issued");
	isnt($origin, $newest, "$name: the changed key is not issued");
	is($node->sql('SELECT count(*) FROM kms.pool_key'), '3', "$name: the changed key is gone");
	my $log = substr slurp_file($node->logfile), $from;
	like($log, qr/LOG:  kms: a key in kms\.pool_key does not authenticate and is removed$/m,
		"$name: the log says so");
	unlike($log, qr/[0-9a-f]{32}|\b(?:pool_)?key_[0-9]|UPDATE.*x'/, "$name: the log shows nothing of the key")
	  unless $log =~ /statement:/;
	$node->sql('DELETE FROM kms.pool_key; INSERT INTO kms.pool_key SELECT * FROM kept');
}

# A row that does not even look like a key is skipped.
foreach my $change ("algorithm = 'RSA-9999'", "algorithm = ''", "wrapped_key = ''",
	"wrapped_key = convert_to(repeat('x', 100000), 'UTF8')",
	'wrapped_key = set_byte(wrapped_key, 0, 255)',
	'wrapped_key = set_byte(wrapped_key, 1, get_byte(wrapped_key, 1) # 1)')
{
	$node->sql("UPDATE kms.pool_key SET $change WHERE pool_key_id = '$newest'");
	isnt(issue(), $newest, "$change: is not handed out");
	$node->sql('DELETE FROM kms.pool_key; INSERT INTO kms.pool_key SELECT * FROM kept');
}

$node->sql("UPDATE kms.pool_key SET wrapped_key = '' WHERE pool_key_id = '$newest'");
is(maintain(), '1|f', 'kms_maintain() replaces such a row');
unlike(join(' ', KmsPool::ids($node, 'postgres')), qr/\Q$newest\E/, 'the replaced row is gone');
$node->sql('DELETE FROM kms.pool_key; INSERT INTO kms.pool_key SELECT * FROM kept');

# Change all keys of the pool.
$node->sql("UPDATE kms.pool_key SET created_at = created_at - interval '1 us'");
is(issue(), 'none', 'if all keys of the pool were changed, a key is generated');
is(join(' ', KmsPool::ids($node, 'postgres')), '', 'no changed key is left');
$node->sql('INSERT INTO kms.pool_key SELECT * FROM kept; DROP TABLE kept');

# ---- Master keys ---------------------------------------------------------

my $old = current();
is(fingerprints(), $old, 'the pool is wrapped under the current master key');
my @lines = split /\n/, slurp_file($file);
KmsTest::write_master_key($file, KmsTest::random_master_key(), @lines);
$node->reload;
ok(KmsTest::poll(sub { current() ne $old }), 'there is a new master key');
my $before = join(' ', KmsPool::ids($node, 'postgres'));
is(issue(), 'none', 'a key under the old one is not handed out');
is(join(' ', KmsPool::ids($node, 'postgres')), $before, 'no worker has replaced the keys yet');
$node->set('kms.key_pool_size' => '2', 'kms.keygen_workers' => '2');
ok(KmsTest::poll(sub { (fingerprints() // '') eq current() }), 'workers replace them');
filled(2, 'workers fill the pool');
is(fingerprints(), current(), 'the new keys are under the new master key');
my $new = current();
@lines = split /\n/, slurp_file($file);
KmsTest::write_master_key($file, KmsTest::random_master_key(), @lines);
$node->reload;
ok( KmsTest::poll(
		sub { current() ne $new && (fingerprints() // '') eq current() }),
	'a reload is enough');
filled(2, 'after the reload the pool has its size');

# None at all.
@lines = split /\n/, slurp_file($file);
unlink $file;
$node->append_conf('postgresql.conf', 'kms.key_pool_size = 3');
my $from = -s $node->logfile;
$node->restart;
ok( KmsTest::poll(
		sub {
			$node->sql("SELECT value FROM kms.status WHERE item = 'key generation last round'") ne 'never';
		}),
	'without a master key a worker looks');
ok(KmsTest::poll(sub { KmsPool::idle($node) }), 'the worker leaves');
is($node->sql('SELECT count(*) FROM kms.pool_key'), '2', 'everything stays as it was');
unlike(KmsClient::findings($node, 'postgres'), qr/key generation/,
	'kms_check() has no complaint about it');
unlike(substr(slurp_file($node->logfile), $from), qr/kms key generation of/,
	'the log does not complain about it');
KmsTest::write_master_key($file, @lines);
$node->reload;
filled(3, 'when the master key comes, it fills');

# ---- Sizes of keys -------------------------------------------------------

$before = join(' ', KmsPool::ids($node, 'postgres'));
is(issue(", algorithm => 'RSA-3072'"), 'none', 'a key of another size is made for its device');
is(join(' ', KmsPool::ids($node, 'postgres')), $before, 'a key of another size leaves the pool alone');
$node->set('kms.keygen_workers' => '0');
$node->sql("ALTER DATABASE postgres SET kms.key_algorithm = 'RSA-3072'");
is(issue(), 'none', 'a database with another size has another pool');
$node->set('kms.keygen_workers' => '2');
ok(KmsTest::poll(sub { (algorithms() // '') eq 'RSA-3072' }), 'workers remove keys of the wrong size');
filled(3, 'workers fill the pool with keys of the right size');
isnt(issue(), 'none', 'keys of the right size are issued');
filled(3, 'the pool is full again');
$node->set('kms.keygen_workers' => '0');
$node->sql('ALTER DATABASE postgres RESET kms.key_algorithm');
is(issue(), 'none', 'back at the old size, keys of the other size are not issued');
is(algorithms(), 'RSA-3072', 'without workers keys of the wrong size stay');
$node->set('kms.keygen_workers' => '2');
ok(KmsTest::poll(sub { (algorithms() // '') eq 'RSA-2048' }), 'workers replace keys of the wrong size');

# ---- Size of the pool ----------------------------------------------------

my @three = filled(3, 'the pool is full again');
$node->set('kms.key_pool_size' => '1');
my ($one) = filled(1, 'a smaller size removes the surplus');
ok(scalar(grep { $_ eq $one } @three), 'a smaller size makes no key');
$node->set('kms.key_pool_size' => '0');
filled(0, 'size 0 empties the pool');
is(issue(), 'none', 'without a pool a key is generated for its device');
unlike(KmsClient::findings($node, 'postgres'), qr/key generation/,
	'kms_check() has no complaint about size 0');
$node->set('kms.key_pool_size' => '2');
filled(2, 'a larger size fills the pool');

# ---- Workers that are switched off ---------------------------------------

$node->set('kms.key_algorithm' => 'RSA-4096', 'kms.key_pool_size' => '1000');
ok(KmsTest::poll(sub { !KmsPool::idle($node) }), 'workers have much to do');
$node->set('kms.keygen_workers' => '0');
ok(KmsTest::poll(sub { KmsPool::idle($node) }), 'workers leave when they are switched off');
cmp_ok(scalar(KmsPool::ids($node, 'postgres')), '<', 100, 'workers leave long before the pool is full');
ok(slurp_file($node->logfile) !~ /PANIC|terminated by signal/, 'no process crashed');
$other->quit;
$node->stop;
done_testing();
