# What is in the pool is what a device would be given now: keys of the wrong
# size, under another master key, or that somebody has changed are never handed
# out, and are replaced; its size follows the setting.
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

# A key that is issued: the row of the pool that it comes from, 'none' if it
# was made for the device; it must work.
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

# Of the pool's task: how many it made, and whether there are more to be made.
sub maintain
{
	my $session = shift;
	my $sql = "SELECT done, more FROM kms_maintain() WHERE task = 'fill the pool of keys'";
	return $session ? $session->query($sql) : $node->sql("SET lock_timeout = '60s'; $sql");
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
is($node->sql('SELECT count(*) FROM kms.pool_key'), '0', 'and stays so');
is(maintain(), '2|f', 'without workers kms_maintain() fills it');
is(join(' ', KmsPool::ids($node, 'postgres')) =~ tr/ //, 1, 'to its size');
$node->sql('DELETE FROM kms.pool_key');
$node->set('kms.key_pool_size' => '5');
my $other = KmsClient->session($node, 'postgres');
$other->query('BEGIN');
is(maintain($other), '4|t', 'kms_maintain() makes four, and says that there are more');
is(maintain(), '0|f', 'another one does not make the same meanwhile, nor waits');
$other->query('ROLLBACK');
is(join(' ', KmsPool::ids($node, 'postgres')), '', 'what is rolled back is not there');
is(maintain(), '4|t', 'so four are made');
is(maintain(), '1|f', 'one is missing');
is(maintain(), '0|f', 'none is missing');
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
is($other->receive, '10', 'which ends, too');
is(maintain(), '1|f', 'and has made four');
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
	isnt($origin, 'none', "$name: the next one is handed out");
	isnt($origin, $newest, "$name: not the one that was changed");
	is($node->sql('SELECT count(*) FROM kms.pool_key'), '3', "$name: which is gone");
	my $log = substr slurp_file($node->logfile), $from;
	like($log, qr/LOG:  kms: a key in kms\.pool_key does not authenticate and is removed$/m,
		"$name: the log says so");
	unlike($log, qr/[0-9a-f]{32}|\b(?:pool_)?key_[0-9]|UPDATE.*x'/, "$name: and no more")
	  unless $log =~ /statement:/;
	$node->sql('DELETE FROM kms.pool_key; INSERT INTO kms.pool_key SELECT * FROM kept');
}

# What does not even look like a key is not looked at.
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
is(maintain(), '1|f', 'but is replaced');
unlike(join(' ', KmsPool::ids($node, 'postgres')), qr/\Q$newest\E/, 'and gone');
$node->sql('DELETE FROM kms.pool_key; INSERT INTO kms.pool_key SELECT * FROM kept');

# All of them.
$node->sql("UPDATE kms.pool_key SET created_at = created_at - interval '1 us'");
is(issue(), 'none', 'if none is as it was made, one is generated');
is(join(' ', KmsPool::ids($node, 'postgres')), '', 'and none is left');
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
is(join(' ', KmsPool::ids($node, 'postgres')), $before, 'though nobody has replaced it yet');
$node->set('kms.key_pool_size' => '2', 'kms.keygen_workers' => '2');
ok(KmsTest::poll(sub { (fingerprints() // '') eq current() }), 'workers replace them');
filled(2, 'and fill the pool');
is(fingerprints(), current(), 'by keys under the new one');
my $new = current();
@lines = split /\n/, slurp_file($file);
KmsTest::write_master_key($file, KmsTest::random_master_key(), @lines);
$node->reload;
ok( KmsTest::poll(
		sub { current() ne $new && (fingerprints() // '') eq current() }),
	'a reload is enough');
filled(2, 'to have all of them replaced');

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
ok(KmsTest::poll(sub { KmsPool::idle($node) }), 'and leaves');
is($node->sql('SELECT count(*) FROM kms.pool_key'), '2', 'everything stays as it was');
unlike(KmsClient::findings($node, 'postgres'), qr/key generation/,
	'kms_check() has no complaint about it');
unlike(substr(slurp_file($node->logfile), $from), qr/kms key generation of/,
	'neither has the log');
KmsTest::write_master_key($file, @lines);
$node->reload;
filled(3, 'when the master key comes, it fills');

# ---- Sizes of keys -------------------------------------------------------

$before = join(' ', KmsPool::ids($node, 'postgres'));
is(issue(", algorithm => 'RSA-3072'"), 'none', 'a key of another size is made for its device');
is(join(' ', KmsPool::ids($node, 'postgres')), $before, 'and the pool is left alone');
$node->set('kms.keygen_workers' => '0');
$node->sql('ALTER DATABASE postgres SET kms.key_bits = 3072');
is(issue(), 'none', 'a database with another size has another pool');
$node->set('kms.keygen_workers' => '2');
ok(KmsTest::poll(sub { (algorithms() // '') eq 'RSA-3072' }), 'the wrong ones go');
filled(3, 'and right ones come');
isnt(issue(), 'none', 'which are handed out');
filled(3, 'full');
$node->set('kms.keygen_workers' => '0');
$node->sql('ALTER DATABASE postgres RESET kms.key_bits');
is(issue(), 'none', 'and so back');
is(algorithms(), 'RSA-3072', 'without workers the wrong ones stay, but are not handed out');
$node->set('kms.keygen_workers' => '2');
ok(KmsTest::poll(sub { (algorithms() // '') eq 'RSA-2048' }), 'until there are workers');

# ---- Size of the pool ----------------------------------------------------

my @three = filled(3, 'full again');
$node->set('kms.key_pool_size' => '1');
my ($one) = filled(1, 'a smaller size removes the surplus');
ok(scalar(grep { $_ eq $one } @three), 'and makes nothing');
$node->set('kms.key_pool_size' => '0');
filled(0, 'no size empties it');
is(issue(), 'none', 'then keys are made for their devices');
unlike(KmsClient::findings($node, 'postgres'), qr/key generation/,
	'which is nothing to complain about');
$node->set('kms.key_pool_size' => '2');
filled(2, 'a larger size fills it');

# ---- Workers that are switched off ---------------------------------------

$node->set('kms.key_bits' => '4096', 'kms.key_pool_size' => '1000');
ok(KmsTest::poll(sub { !KmsPool::idle($node) }), 'workers have much to do');
$node->set('kms.keygen_workers' => '0');
ok(KmsTest::poll(sub { KmsPool::idle($node) }), 'and leave when they are switched off');
cmp_ok(scalar(KmsPool::ids($node, 'postgres')), '<', 100, 'long before they are done');
ok(slurp_file($node->logfile) !~ /PANIC|terminated by signal/, 'no process crashed');
$other->quit;
$node->stop;
done_testing();
