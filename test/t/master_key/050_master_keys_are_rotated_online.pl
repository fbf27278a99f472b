# A new master key on the first line, kms_rewrap_keys() until it returns 0, the
# old line removed: meanwhile sessions issue, decrypt and change states, and no
# call fails; zero means that nothing needs the old one, not even a transaction
# that is not committed.  Removing it too early is loud, and putting it back
# heals.
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

# Of the health of keys; servers under test run without fsync.
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

# Clients that go on until they are told to stop; each error is told.
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
cmp_ok($batches, '>=', $keys / 5, "in batches: $batches");
cmp_ok($moved, '>=', $keys + 1, 'keys and the pepper are wrapped anew');
like(KmsRotation::keys_by_label($node, 'postgres'), qr/^new \d+, old 0$/,
	'nothing is under the old one');
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
like(KmsRotation::detail($node, 'new'), qr/kms_rewrap_keys\(\) moves/, 'a third master key');
cmp_ok(rewrap(), '>=', $keys - 1, 'what others have is passed over');
is($node->sql("SELECT keys FROM kms_master_key_status() WHERE label = 'new'"), '1', 'and stays');
$rewrapping->send('SELECT kms_rewrap_keys()');
ok(waits($rewrapping), 'a call that finds only that waits');
$locking->query('COMMIT');
is($rewrapping->receive, '1', 'for the transaction that has it');
is(rewrap(), '0', 'then nothing is left');

$issuing->query("BEGIN; SELECT key_id FROM kms_issue_key('uncommitted')");
my $fourth = KmsRotation::put_first($node, 'fourth');
cmp_ok(rewrap(), '>=', $keys, 'a key is being issued meanwhile');
is($node->sql("SELECT keys FROM kms_master_key_status() WHERE label = 'third'"), '0',
	'no committed row is under its master key');
like(KmsRotation::detail($node, 'third'), qr/kms_rewrap_keys\(\) moves/, 'but the status does not let that go');
$rewrapping->send('SELECT kms_rewrap_keys()');
ok(waits($rewrapping), 'nor does the call return 0');
$issuing->query('COMMIT');
is($rewrapping->receive, '1', 'until the key is committed, and wrapped anew');
is(rewrap(), '0', 'then nothing is left');

# Prepared transactions, and what is rolled back.
$node->sql("BEGIN; SELECT kms_issue_key('prepared'); PREPARE TRANSACTION 'issue'");
$issuing->query("BEGIN; SELECT key_id FROM kms_issue_key('rolled back')");
KmsRotation::put_first($node, 'fifth');
rewrap();
$rewrapping->send('SELECT kms_rewrap_keys()');
ok(waits($rewrapping), 'a prepared transaction is waited for');
$node->sql("COMMIT PREPARED 'issue'");
$issuing->query('ROLLBACK');
is($rewrapping->receive, '1', 'until it is committed');
is(rewrap(), '0', 'what is rolled back needs nothing');
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
	'flight', 'and comes under the master key that is current by then');
is($node->sql("SELECT kms_decrypt('$in_flight', kms_encrypt('$in_flight', 'x'))"), 'x', 'and opens');
cmp_ok(rewrap(), '>=', $keys, 'the others follow');

# A snapshot that does not see what it would have to wait for.
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
	'00000', 'one has ten in hand');
cmp_ok(rewrap(), '>=', $keys - 10, 'another one does the others meanwhile');
$locking->query('ROLLBACK');
is(rewrap(), '12', 'what the first one gave back is done next');
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
like($said, qr/HINT:  Keep that master key\. kms_check/, 'that says what to do');
is(rewrap(), '0', 'it stops nobody');
is($node->sql("SELECT keys FROM kms_master_key_status() WHERE label = 'seventh'"), '1', 'and is counted');
$node->sql("UPDATE kms.key SET expires_at = expires_at - interval '1 day' WHERE key_id = 'imported_3'");
is(rewrap(), '1', 'put right it is wrapped anew');

# ---- By the worker -------------------------------------------------------

$node->append_conf('postgresql.conf', 'kms.rewrap_automatically = on');
my $last = KmsRotation::put_first($node, 'ninth');
ok(KmsTest::poll(sub {
		$node->sql("SELECT count(*) FROM kms_master_key_status() WHERE label <> 'ninth' AND detail ~ 'removed'")
		  == 8
	}),
	'with kms.rewrap_automatically the worker does it at the reload');
all_open('by the worker');

# ---- Too early -----------------------------------------------------------

$node->append_conf('postgresql.conf', 'kms.rewrap_automatically = off');
my $from = -s $node->logfile;
my ($id) = $node->sql("SELECT master_key_id FROM kms_master_key_status() WHERE label = 'ninth'");
KmsRotation::put($node, 'tenth: ' . KmsTest::random_master_key());
my $error = KmsClient::error($node, 'postgres', "SELECT kms_decrypt('imported_1', '$ciphertext')");
like($error, qr/KM007: key "imported_1" was wrapped under master key "$id", which this server does not have/,
	'without it a caller is told what is missing');
like($error, qr/HINT:  Add that master key/, 'and what to do');
like(KmsClient::findings($node, 'postgres'),
	qr/^error: keys wrapped under master key "$id", which this server does not have: \d+, and peppers or audit keys: 2\b/m,
	'so does kms_check()');
ok( KmsTest::poll(
		sub {
			slurp_file($node->logfile, $from) =~
			  /LOG:  kms: keys of database "postgres" are wrapped under master key "$id", which this server does not have\n.*HINT:  Add that master key/;
		}),
	'and the log, at once');
is(rewrap(), '0', 'there is nothing that could be wrapped anew');
like(KmsClient::error($node, 'postgres', 'SELECT kms_check()'), qr/^$/, 'nothing breaks');
KmsRotation::put($node, KmsRotation::lines($node), $last);
all_open('put back');
cmp_ok(rewrap(), '>=', $keys, 'and moved');
is(errors(), '', 'all is well again');

done_testing();
