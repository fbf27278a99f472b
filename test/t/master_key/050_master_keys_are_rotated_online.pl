# A new master key on the first line, kms_rewrap_keys() until it returns 0, the
# old line removed: in the meantime sessions issue, decrypt and change states, and
# no call fails.  Zero means that nothing needs the old master key, not even a
# transaction that is not committed.  Removing it too early is reported, and
# restoring it mends that.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsRotation;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node(
	'rotation',
	master_key => [ 'old: ' . KmsTest::random_master_key() ],
	conf => <<'CONF');
kms.keygen_limit = 1000000
kms.key_pool_size = 8
max_prepared_transactions = 2
CONF
my $keys = 60;

$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my $ciphertext = KmsRotation::import_keys($node, 'postgres', $keys);
my $hash = $node->sql("SELECT kms_hash_secret('imported_1', '$ciphertext')");
my ($old) = KmsRotation::lines($node);

# Return the errors of kms_check(), except about fsync, which tests turn off.
sub errors
{
	return join "\n", grep { /^(?:error|warning)/ && !/fsync/ } split /\n/,
	  KmsClient::findings($node, 'postgres');
}

sub rewrap
{
	my $batch = shift // 1000;
	return $node->sql("SELECT kms_rewrap_keys($batch)");
}

sub all_open
{
	my $name = shift;
	is(KmsRotation::unopened($node, 'postgres', $ciphertext), '0', "$name: every key opens");
	is($node->sql("SELECT kms_verify_secret('imported_1', '$ciphertext', '$hash')"),
		't', "$name: the hash verifies");
}

is(KmsRotation::keys_by_label($node, 'postgres'), "old $keys", 'all are under one master key');
is(rewrap(), '0', 'there is nothing to do');

# ---- Online --------------------------------------------------------------

# Clients that run until they are stopped and note each error.
my $dir = PostgreSQL::Test::Utils::tempdir();
my %work = (
	decrypt => "SELECT 1 / (count(*) = $keys - 20)::int FROM generate_series(21, $keys) AS i
		WHERE kms_decrypt('imported_' || i, '$ciphertext') = 'secret';\n",
	issue => "SELECT kms_decrypt(key_id, kms_encrypt(key_id, 'x')) FROM kms_issue_key('device ' || gen_random_uuid());\n" x 5,
	state => join('', map {
			"SELECT kms_disable_key('imported_$_');\nSELECT kms_enable_key('imported_$_');\n"
			  . "SELECT kms_verify_secret('imported_$_', '$ciphertext', '$hash');\n"
		} 1 .. 20));
my @clients;
foreach my $name (sort keys %work)
{
	append_to_file("$dir/$name.sql", $work{$name});
	push @clients, IPC::Run::start(
		[
			'bash', '-c', <<'SH', 'bash', $name, $node->connstr('postgres'), $dir
while [ ! -e "$3/stop" ]; do
	psql -XAtq -v ON_ERROR_STOP=1 -d "$2" -f "$3/$1.sql" >>"$3/$1.out" 2>>"$3/$1.err" || exit 1
	echo round >>"$3/$1.rounds"
done
SH
		]);
}
END { append_to_file("$dir/stop", '') if $dir }

my $new = KmsRotation::put_first($node, 'new');
is($node->sql("SELECT label FROM kms_master_key_status() WHERE status = 'current'"),
	'new', 'the new master key is current');
my ($moved, $batches) = (0, 0);
while ((my $done = rewrap(4)) > 0)
{
	$moved += $done;
	$batches++;
	die 'rewrapping does not end' if $batches > 200;
}
cmp_ok($batches, '>=', $keys / 5, "rewrapping takes several batches: $batches");
cmp_ok($moved, '>=', $keys + 1, 'keys and the pepper are rewrapped');
like(KmsRotation::keys_by_label($node, 'postgres'), qr/^new \d+, old 0$/,
	'no key is under the old master key');
like(KmsRotation::detail($node, 'old'), qr/its line can be removed/, 'kms_master_key_status() says that it can go');
KmsRotation::put($node, $new);
my %rounds = map { $_ => rounds($_) } keys %work;
foreach my $name (sort keys %work)
{
	ok(KmsTest::poll(sub { rounds($name) > $rounds{$name} + 1 }),
		"$name: goes on without the old line");
}
append_to_file("$dir/stop", '');
$_->finish foreach @clients;
is(-s "$dir/$_.err" ? slurp_file("$dir/$_.err") : '', '', "$_: no call failed")
  foreach sort keys %work;
all_open('rotated');
is(errors(), '', 'all is well');

sub rounds
{
	my $path = "$dir/" . shift() . '.rounds';
	return -e $path ? scalar(() = slurp_file($path) =~ /round/g) : 0;
}

# ---- Open transactions ---------------------------------------------------

my ($issuing, $locking, $rewrapping) =
  map { KmsClient->session($node, 'postgres') } 1 .. 3;
$locking->query("BEGIN; SELECT kms_disable_key('imported_2')");
my $third = KmsRotation::put_first($node, 'third');
like(KmsRotation::detail($node, 'new'), qr/kms_rewrap_keys\(\) moves/, 'with a third master key the second one is still needed');
cmp_ok(rewrap(), '>=', $keys - 1, 'rows that other transactions have locked are skipped');
is($node->sql("SELECT keys FROM kms_master_key_status() WHERE label = 'new'"), '1', 'a locked row stays under its master key');
$rewrapping->send('SELECT kms_rewrap_keys()');
ok(waits($rewrapping), 'a call that finds only locked rows waits');
$locking->query('COMMIT');
is($rewrapping->receive, '1', 'the call waits for the transaction that has locked the row');
is(rewrap(), '0', 'nothing is left to rewrap after the lock');

$issuing->query("BEGIN; SELECT key_id FROM kms_issue_key('uncommitted')");
my $fourth = KmsRotation::put_first($node, 'fourth');
cmp_ok(rewrap(), '>=', $keys, 'committed keys are rewrapped while a key is being issued');
is($node->sql("SELECT keys FROM kms_master_key_status() WHERE label = 'third'"), '0',
	'no committed row is under the third master key');
like(KmsRotation::detail($node, 'third'), qr/kms_rewrap_keys\(\) moves/, 'the status says that the third master key is needed for the uncommitted key');
$rewrapping->send('SELECT kms_rewrap_keys()');
ok(waits($rewrapping), 'the call does not return 0 before the key is committed');
$issuing->query('COMMIT');
is($rewrapping->receive, '1', 'the key is rewrapped when it is committed');
is(rewrap(), '0', 'nothing is left to rewrap after the commit');

# Prepared transactions, and what is rolled back.
$node->sql("BEGIN; SELECT kms_issue_key('prepared'); PREPARE TRANSACTION 'issue'");
$issuing->query("BEGIN; SELECT key_id FROM kms_issue_key('rolled back')");
KmsRotation::put_first($node, 'fifth');
rewrap();
$rewrapping->send('SELECT kms_rewrap_keys()');
ok(waits($rewrapping), 'the call waits for a prepared transaction');
$node->sql("COMMIT PREPARED 'issue'");
$issuing->query('ROLLBACK');
is($rewrapping->receive, '1', 'the key of the prepared transaction is rewrapped when that is committed');
is(rewrap(), '0', 'a key that was rolled back needs no master key');
$node->sql("SELECT kms_enable_key('imported_2')");

# A key that is wrapped already, and whose row is not there yet.
$locking->query('BEGIN; LOCK TABLE kms.key_secret IN SHARE MODE');
$issuing->send("SELECT key_id FROM kms_issue_key('in flight')");
ok(waits($issuing), 'a key is on its way to the table');
my @in_force = KmsRotation::lines($node);
KmsTest::write_master_key(KmsTest::master_key_path($node),
	'flight: ' . KmsTest::random_master_key(), @in_force);
$node->reload;
KmsTest::poll(sub { $node->sql("SELECT count(*) FROM kms_master_key_status() WHERE label = 'flight'") });
$locking->query('COMMIT');
my $in_flight = $issuing->receive;
is($node->sql("SELECT label FROM kms_master_key_status() AS m JOIN kms.key_secret AS s
		ON s.master_key_id = decode(m.master_key_id, 'hex') WHERE key_id = '$in_flight'"),
	'flight', 'the key is wrapped under the master key that is current by then');
is($node->sql("SELECT kms_decrypt('$in_flight', kms_encrypt('$in_flight', 'x'))"), 'x', 'the key opens');
cmp_ok(rewrap(), '>=', $keys, 'the others follow');

# The snapshot of the call does not see the transaction that it must wait for.
foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	like(KmsClient::error($node, 'postgres', "BEGIN ISOLATION LEVEL $level; SELECT kms_rewrap_keys()"),
		qr/ERROR:  25000: .*\nHINT:  Call it in a READ COMMITTED/, "$level: refused");
}

# Waiting can be cancelled, and times out.
$issuing->query("BEGIN; SELECT kms_rotate_key('uncommitted')");
KmsRotation::put_first($node, 'sixth');
rewrap();
is( KmsClient::sqlstate($node, 'postgres',
		"SET statement_timeout = '200ms'; SELECT kms_rewrap_keys()"),
	'57014', 'statement_timeout ends the wait');
$issuing->query('ROLLBACK');

# Two at once share the work.
KmsRotation::put_first($node, 'seventh');
$locking->query('BEGIN');
is($locking->query('SELECT kms_rewrap_keys(10)') > 0 && $locking->{state},
	'00000', 'a transaction rewraps ten keys');
cmp_ok(rewrap(), '>=', $keys - 10, 'another call rewraps the others in the meantime');
$locking->query('ROLLBACK');
is(rewrap(), '12', 'the keys of the transaction that was rolled back are rewrapped next');
all_open('seven master keys');

sub waits
{
	my $session = shift;
	return KmsTest::poll(
		sub {
			$node->sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid}
				AND wait_event_type = 'Lock'");
		});
}

# ---- What cannot be ------------------------------------------------------

$node->sql("UPDATE kms.key SET expires_at = expires_at + interval '1 day' WHERE key_id = 'imported_3'");
KmsRotation::put_first($node, 'eighth');
my $said = KmsClient::error($node, 'postgres', 'SELECT kms_rewrap_keys()');
like($said, qr/WARNING:  01000: keys or peppers that do not authenticate were left under their master key: 1/,
	'a row that was changed by hand is left, with a warning');
like($said, qr/HINT:  Keep that master key\. kms_check/, 'the warning says what to do');
is(rewrap(), '0', 'the changed row does not stop the others');
is($node->sql("SELECT keys FROM kms_master_key_status() WHERE label = 'seventh'"), '1', 'the changed row is counted under its master key');
$node->sql("UPDATE kms.key SET expires_at = expires_at - interval '1 day' WHERE key_id = 'imported_3'");
is(rewrap(), '1', 'the row is rewrapped when it is corrected');

# ---- By the worker -------------------------------------------------------

$node->append_conf('postgresql.conf', 'kms.rewrap_automatically = on');
my $last = KmsRotation::put_first($node, 'ninth');
ok(KmsTest::poll(sub {
		$node->sql("SELECT count(*) FROM kms_master_key_status() WHERE label <> 'ninth' AND detail ~ 'removed'")
		  == 8
	}),
	'with kms.rewrap_automatically the worker does it at the reload');
all_open('rewrapped by the worker');

# ---- Too early -----------------------------------------------------------

$node->append_conf('postgresql.conf', 'kms.rewrap_automatically = off');
my $from = -s $node->logfile;
my ($id) = $node->sql("SELECT master_key_id FROM kms_master_key_status() WHERE label = 'ninth'");
KmsRotation::put($node, 'tenth: ' . KmsTest::random_master_key());
my $error = KmsClient::error($node, 'postgres', "SELECT kms_decrypt('imported_1', '$ciphertext')");
like($error, qr/KM007: key "imported_1" was wrapped under master key "$id", which this server does not have/,
	'without the old master key the error names it');
like($error, qr/HINT:  Add that master key/, 'the error says what to do');
like(KmsClient::findings($node, 'postgres'),
	qr/^error: keys wrapped under master key "$id", which this server does not have: \d+, rows of field keys: 0, peppers or audit keys: 2\b/m,
	'kms_check() says so');
ok( KmsTest::poll(
		sub {
			slurp_file($node->logfile, $from) =~
			  /LOG:  kms: keys of database "postgres" are wrapped under master key "$id", which this server does not have\n.*HINT:  Add that master key/;
		}),
	'the log reports the missing master key at once');
is(rewrap(), '0', 'no key can be rewrapped without its master key');
like(KmsClient::error($node, 'postgres', 'SELECT kms_check()'), qr/^$/, 'nothing breaks');
KmsRotation::put($node, KmsRotation::lines($node), $last);
all_open('the master key is restored');
cmp_ok(rewrap(), '>=', $keys, 'keys of the restored master key are rewrapped');
is(errors(), '', 'all is well again');

done_testing();
