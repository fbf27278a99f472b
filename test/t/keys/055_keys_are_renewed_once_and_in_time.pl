# 24 sessions that request a key that is due for renewal cause one renewal; the
# others get the old key without waiting, which works until it expires.  The
# old key is also handed out where no key can be made: in a read-only
# transaction, under an older snapshot, on a standby, without a master key for
# new keys, while another session holds any lock that a renewal needs, and if
# a timeout leaves no time.  A cancel ends the call, and a key that was
# revoked in the meantime is not handed out.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsRotation;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

# No worker and no maintenance fills the pool; the test does.
my $node = KmsTest->node('renewal', init => [ allows_streaming => 1 ], conf => <<'CONF');
kms.key_pool_size = 0
kms.keygen_workers = 0
kms.maintenance = off
kms.keygen_limit = 1
max_connections = 50
max_prepared_transactions = 2
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
my $bound = 1000 * $PostgreSQL::Test::Utils::timeout_default;

foreach my $bits (2048, 4096)
{
	PostgreSQL::Test::Utils::system_or_bail('openssl', 'genpkey', '-quiet', '-algorithm', 'RSA',
		'-pkeyopt', "rsa_keygen_bits:$bits", '-out', "$dir/$bits.pem");
}
$node->sql('CREATE EXTENSION kms; CREATE TABLE got (device text, key_id text, reused boolean)');

# Import a key of so many days that has so much of its life left.  It is due for
# renewal from 3 days before its end on, and urgently so from 1.5 days on.
sub due
{
	my ($device, %opt) = @_;
	my $left = $opt{left} || '1 day';
	my $bits = $opt{bits} || 2048;
	return $node->sql("SELECT kms_import_key('$device', pg_read_file('$dir/$bits.pem'),
		created_at => now() - interval '27 days', expires_at => now() + interval '$left', deprecated => false)");
}

sub issue
{
	my ($device) = @_;
	return $node->sql("SET statement_timeout = $bound; SELECT key_id FROM kms_issue_key('$device')");
}

# The device's keys, as "origin state reason" in order.
sub keys_of
{
	my ($device) = @_;
	return $node->sql("SELECT string_agg(concat_ws(' ', origin, state, state_reason), ', ' ORDER BY key_id IN
		(SELECT key_id FROM kms.key WHERE origin = 'renewal'), created_at) FROM kms.keys WHERE device_id = '$device'");
}
my $renewed = 'imported deprecated Renewed, renewal active';

# The changes of the device's keys in the trail, as "operation status reason".
sub trail
{
	my ($device) = @_;
	$node->sql('SELECT kms_flush_events()');
	return $node->sql("SELECT string_agg(concat_ws(' ', operation, status, reason), ', ' ORDER BY operation DESC)
		FROM kms.event WHERE device_id = '$device' AND operation IN ('generate', 'deprecate')");
}

# 24 sessions request a key of the device so many times each; return the
# device's keys that they got, and how many keys were new.
sub crowd
{
	my ($device, $times) = @_;
	local $ENV{PGOPTIONS} = "-c statement_timeout=$bound";

	PostgreSQL::Test::Utils::append_to_file("$dir/$device.sql",
		"INSERT INTO got SELECT '$device', key_id, reused FROM kms_issue_key('$device');\n")
	  unless -e "$dir/$device.sql";
	$node->command_ok(
		[ 'pgbench', '-n', '-c', 24, '-j', 2, '-t', $times, '-f', "$dir/$device.sql", $node->connstr('postgres') ],
		"$device: 24 sessions request its key");
	return $node->sql("SELECT count(*), count(*) FILTER (WHERE NOT reused), string_agg(DISTINCT key_id, ' ')
		FROM got WHERE device = '$device'");
}

# ---- Many sessions -------------------------------------------------------

my $old = due('crowd');
my $sent = $node->sql("SELECT kms_encrypt('$old', 'on its way')");
like(crowd('crowd', 4), qr/^96\|1\|key_/, 'one key is made, and all sessions get a key');
is($node->sql("SELECT count(*) FROM got WHERE key_id NOT IN (SELECT key_id FROM kms.key WHERE device_id = 'crowd')"),
	'0', 'each session gets the old key or the new one');
is(keys_of('crowd'), $renewed, 'the key is renewed once');
is(trail('crowd'), 'generate success, deprecate success Renewed', 'the trail has one renewal');
my $new = issue('crowd');
isnt($new, $old, 'from then on the device gets the new key');
is($node->sql("SELECT kms_decrypt('$old', '$sent'), kms_decrypt('$old', kms_encrypt('$old', 'late')),
		kms_decrypt('$new', kms_encrypt('$new', 'new'))"),
	'on its way|late|new', 'both keys encrypt and decrypt');
is($node->sql("SELECT used FROM kms_rate_limit_status('crowd')"), '0', 'the renewal does not count against the limit');

# A session that renews and stays open keeps nobody waiting.
$old = due('queue');
my $holder = KmsClient->session($node, 'postgres');
$holder->query('BEGIN');
$new = $holder->query("SELECT key_id FROM kms_issue_key('queue')");
isnt($new, $old, 'a session renews a key');
is(crowd('queue', 1), "24|0|$old", 'until it commits, the others get the old key');
$holder->query('COMMIT');
$node->sql('TRUNCATE got');
is(crowd('queue', 1), "24|0|$new", 'then they get the new one');

# A device that has used up its limit.
$old = due('limited');
$node->sql("SELECT kms_issue_key('limited', algorithm => 'X25519')");
is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_issue_key('limited', algorithm => 'EC-P256')"), 'KM005',
	'a device has used up its limit');
isnt($node->sql("SELECT key_id FROM kms_issue_key('limited', algorithm => 'RSA-2048')"), $old, 'its key is renewed');
is($node->sql("SELECT used, allowed FROM kms_rate_limit_status('limited')"), '1|1', 'the limit is as it was');

# ---- Until it expires ----------------------------------------------------

# This key takes no time to make.  It is due after 6 s, and expires after 9 s.
my $session = KmsClient->session($node, 'postgres');
$session->query("SET kms.key_lifetime = '9s'");
$old = $session->query("SELECT key_id FROM kms_issue_key('short', algorithm => 'X25519')");
my $jwe = $session->query("RESET kms.key_lifetime; SELECT kms_encrypt_jwe('$old', 'secret')");
my ($opened, $wrong) = (0, '');
KmsTest::poll(
	sub {
		my $both = $session->query("SELECT kms_decrypt('$old', '$jwe') || kms_decrypt('$old', kms_encrypt_jwe('$old', ' and late'))");
		return 1 if $session->{state} ne '00000';
		$wrong = $both if $both ne 'secret and late';
		$opened++ if $session->query("SELECT key_id <> '$old' FROM kms_issue_key('short')") eq 't';
		return 0;
	});
is($session->{state}, 'KM003', 'the old key works until it has expired');
is($session->query("SELECT clock_timestamp() >= expires_at FROM kms.key WHERE key_id = '$old'"), 't', 'and not less');
is($wrong, '', 'the old key decrypts and encrypts');
cmp_ok($opened, '>', 0, "also after the renewal: $opened times");
is(keys_of('short'), 'generated expired Renewed, renewal active', 'the key was renewed once');

# ---- Ready-made keys -----------------------------------------------------

sub fill_pool
{
	my ($size) = @_;
	$node->set('kms.key_pool_size' => $size);
	$node->sql("SELECT kms_maintain()");
	return;
}

$old = due('early', left => '2 days');
is(issue('early'), $old, 'first half of the time left: without a ready-made key the old key is handed out');
is(trail('early'), '', 'nothing was done');
fill_pool(1);
isnt(issue('early'), $old, 'with a ready-made key it is renewed');
is(keys_of('early'), $renewed, 'the next key is that of the pool');
is($node->sql('SELECT count(*) FROM kms.pool_key'), '0', 'the pool is empty');
$old = due('early 2', left => '2 days');
is(issue('early 2'), $old, 'the next device keeps its key');
is($node->sql("BEGIN; SELECT count(*) FROM kms_issue_key('early 2'); SELECT pg_current_xact_id_if_assigned() IS NULL; COMMIT"),
	"1\nt", 'and nothing is written');
$old = due('late');
isnt(issue('late'), $old, 'second half of the time left: a key is made');
$old = due('not yet', left => '4 days');
is(issue('not yet'), $old, 'before its time of renewal a key is not renewed');
is($node->sql("SELECT reused, renew_at > now() FROM kms_issue_key('not yet')"), 't|t', 'and says so');
$old = due('off');
is($node->sql("SET kms.key_renewal = 0; SELECT key_id = '$old', reused, renew_at = expires_at FROM kms_issue_key('off')"),
	't|t|t', 'kms.key_renewal = 0: no key is renewed');

# ---- A caller that rolls back --------------------------------------------

fill_pool(1);
$old = due('rolled back');
isnt($node->sql("BEGIN; SELECT key_id FROM kms_issue_key('rolled back'); ROLLBACK"), $old, 'a transaction renews and rolls back');
is(keys_of('rolled back'), 'imported active', 'the old key is active');
is($node->sql('SELECT count(*) FROM kms.pool_key'), '1', 'the ready-made key is in the pool again');
is(trail('rolled back'), 'generate failure Rolled back, deprecate failure Rolled back', 'the trail says that it was undone');
$node->sql("BEGIN; SELECT kms_issue_key('rolled back'); PREPARE TRANSACTION 'renewal'");
is(issue('rolled back'), $old, 'a prepared renewal keeps nobody waiting');
$node->sql("COMMIT PREPARED 'renewal'");
is(keys_of('rolled back'), $renewed, 'COMMIT PREPARED completes the renewal');

# ---- Locks of others -----------------------------------------------------

# A renewal writes to each of these tables.  ACCESS EXCLUSIVE on the first two
# keeps any call waiting, because each reads them.
my %lock = (
	'kms.key' => 'EXCLUSIVE',
	'kms.key_secret' => 'EXCLUSIVE',
	'kms.event_outbox' => 'ACCESS EXCLUSIVE',
	'kms.pool_key' => 'ACCESS EXCLUSIVE');
fill_pool(2);
foreach my $table (sort keys %lock)
{
	$old = due("lock on $table");
	$holder->query("BEGIN; LOCK TABLE $table IN $lock{$table} MODE");
	foreach my $n (1, 2)
	{
		is($node->sql("SET statement_timeout = $bound; SELECT key_id, reused FROM kms_issue_key('lock on $table')"),
			"$old|t", "$table is locked: the old key is handed out, $n");
	}
	$holder->query('COMMIT');
	isnt(issue("lock on $table"), $old, "$table is free: the key is renewed");
	is(keys_of("lock on $table"), $renewed, "$table is free: once");
}

# In the first half, the pool is looked at before a renewal begins.
$old = due('early 3', left => '2 days');
$holder->query('BEGIN; LOCK TABLE kms.pool_key IN ACCESS EXCLUSIVE MODE');
is(issue('early 3'), $old, 'the pool is locked in the first half: the old key is handed out');
$holder->query('ROLLBACK; BEGIN');
$holder->query('REINDEX INDEX kms.pool_key_pkey');
is(issue('early 3'), $old, 'the index of the pool is being made again: the old key is handed out');
$holder->query('ROLLBACK');

# A statement that tries to renew all the time notices each time that it is to
# end.  A wait that lock_timeout ends loses one cancel in ten.
fill_pool(1);
$old = due('cancelled');
$holder->query('BEGIN; LOCK TABLE kms.key_secret IN EXCLUSIVE MODE');
$session = KmsClient->session($node, 'postgres');
my %end;
foreach my $n (1 .. 60)
{
	$session->query('SET statement_timeout = ' . (20 + $n % 20));
	$session->query("SELECT count(kms_issue_key('cancelled')) FROM generate_series(1, 5000)");
	$end{$session->{state}}++;
}
is_deeply(\%end, { 57014 => 60 }, 'each call is ended by statement_timeout');
$session->query('RESET statement_timeout');
$holder->query('COMMIT');
isnt(issue('cancelled'), $old, 'later the key is renewed');

# ---- A renewal that takes a while ----------------------------------------

# While the successor is made, the key is revoked; and the successor cannot be
# stored.
$node->sql("CREATE FUNCTION stored(origin text) RETURNS boolean LANGUAGE plpgsql AS \$\$
	BEGIN
		WHILE origin = 'renewal' AND NOT pg_try_advisory_xact_lock(1) LOOP PERFORM pg_sleep(0.01); END LOOP;
		RETURN origin <> 'renewal';
	END \$\$");
my $refuse = 'ALTER TABLE kms.key ADD CONSTRAINT refuse CHECK (public.stored(origin)) NOT VALID';
my $accept = 'ALTER TABLE kms.key DROP CONSTRAINT refuse';
$node->sql($refuse);
$old = due('revoked');
$holder->query('SELECT pg_advisory_lock(1)');
$session->send("SELECT key_id FROM kms_issue_key('revoked')");
KmsTest::poll(sub { $node->sql("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $session->{pid}") eq 't' })
  or die 'the successor is not being stored';
$node->sql("SELECT kms_revoke_key('$old', 'stolen')");
$holder->query('SELECT pg_advisory_unlock(1)');
$new = $session->receive;
is($session->{state}, '00000', 'a key is revoked while its successor is made, which fails: the device gets a key');
is($node->sql("SELECT origin, state FROM kms.keys WHERE key_id = '$new'"), 'generated|active', 'another one');
$node->sql($accept);

# A key of 4096 bits takes longer than this, most of the time.  PostgreSQL 17 has
# transaction_timeout, which would end the session.
my $short = 600;
my %got;
foreach my $timeout (
	split ' ', $node->sql("SELECT string_agg(name, ' ') FROM pg_settings WHERE name IN ('statement_timeout', 'transaction_timeout')"))
{
	%got = (old => 0, new => 0);
	foreach my $n (1 .. 8)
	{
		$old = due("$timeout $n", bits => 4096);
		$session->query("SET $timeout = $short");
		$new = $session->query("SELECT key_id FROM kms_issue_key('$timeout $n')");
		is($session->{state}, '00000', "$timeout is no obstacle, $n");
		$got{$new eq $old ? 'old' : 'new'}++;
		$session->query("RESET $timeout");
	}
	cmp_ok($got{old}, '>', 0, "$timeout: the old key was handed out $got{old} times");
}

# All places of key generation are taken, apart from a moment between two keys.
fill_pool(0);
$node->set('kms.keygen_concurrency' => 1, 'kms.keygen_limit' => 1000);
$holder->send("SELECT kms_issue_key('busy ' || n, algorithm => 'RSA-4096') FROM generate_series(1, 10000) AS n");
KmsTest::poll(sub { $node->sql("SELECT state = 'active' FROM pg_stat_activity WHERE pid = $holder->{pid}") eq 't' });
%got = (old => 0, new => 0);
foreach my $n (1 .. 4)
{
	$old = due("place $n");
	$got{issue("place $n") eq $old ? 'old' : 'new'}++;
}
cmp_ok($got{old}, '>', 0, "without a place the old key is handed out: $got{old} times of 4");
$node->sql("SELECT pg_cancel_backend($holder->{pid})");
$holder->receive;
is($holder->{state}, '57014', 'the places were taken until the end');
$old = due('placed');
isnt(issue('placed'), $old, 'with a place the key is renewed');

# ---- Where nothing can be made -------------------------------------------

$old = due('kept');
my $kept = "SELECT key_id, reused FROM kms_issue_key('kept')";
is($node->sql("BEGIN READ ONLY; $kept; COMMIT"), "$old|t", 'a read-only transaction gets the old key');
is($node->sql("SET default_transaction_read_only = on; $kept"), "$old|t", 'so does a read-only session');
my %change = (
	'REPEATABLE READ' => "SELECT kms_issue_key('kept', algorithm => 'X25519')",
	'SERIALIZABLE' => "SELECT kms_revoke_key(key_id, 'lost') FROM kms.key WHERE device_id = 'kept' AND algorithm = 'X25519'");
foreach my $isolation (sort keys %change)
{
	$holder->query("BEGIN ISOLATION LEVEL $isolation; SELECT count(*) FROM kms.keys");
	$node->sql($change{$isolation});
	is($holder->query("SELECT key_id, reused FROM kms_issue_key('kept', algorithm => 'RSA-2048')"),
		"$old|t", "$isolation: under a snapshot that is too old, the old key is handed out");
	$holder->query('COMMIT');
	is($holder->{state}, '00000', "$isolation: the transaction can be committed");
}

my $standby = KmsTest->standby($node, 'standby');
is($standby->sql($kept), "$old|t", 'a standby hands out the old key');
is($standby->sql("SELECT kms_decrypt('$old', kms_encrypt('$old', 'x'))"), 'x', 'the old key works on a standby');

# With epochs, a month without a master key of its own makes no keys.
my @lines = KmsRotation::lines($node);
$node->append_conf('postgresql.conf', 'kms.master_key_epochs = on');
KmsRotation::put($node, "main: $lines[0]");
is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_issue_key('none')"), 'KM007', 'there is no master key for new keys');
is($node->sql($kept), "$old|t", 'the old key is handed out');
$node->append_conf('postgresql.conf', 'kms.master_key_epochs = off');
KmsRotation::put($node, "main: $lines[0]", 'other: ' . KmsTest::random_master_key());
is($node->sql("SELECT string_agg(concat_ws(' ', origin, state, state_reason), ', ')
		FROM kms.keys WHERE device_id = 'kept' AND algorithm = 'RSA-2048'"),
	'imported active', 'nothing was renewed until now');
isnt($node->sql($kept), "$old|t", 'with the master key the key is renewed');
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
is($standby->sql($kept), $node->sql($kept), 'and the standby has the new one');
$standby->stop;

# Many keys that were imported are the same.
unlike(KmsClient::findings($node, 'postgres'), qr/^error: (?!fsync)|older|authenticate|more often/m,
	'kms_check() finds nothing wrong');
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'the trail is intact');

# ---- The log -------------------------------------------------------------

# Why a renewal failed is logged once a minute, and again after a restart.
sub logged
{
	my ($device, $key) = @_;
	my $log = -s $node->logfile;

	is(issue($device), $key, "$device: the old key is handed out, $_") foreach 1 .. 3;
	my @lines = grep { /could not be renewed/ } split /\n/, slurp_file($node->logfile, $log);
	is(scalar @lines, 1, "$device: one line in the log");
	$lines[0] =~ /LOG:  kms: encryption key "\Q$key\E" could not be renewed: (.*)/;
	return $1;
}
$_->quit foreach $holder, $session;
my %due = map { $_ => due($_) } 'an error', 'a status';
$node->sql($refuse);
$node->restart;
is(logged(%due{'an error'}), 'new row for relation "key" violates check constraint "refuse"', 'the line has the error');
$node->sql($accept);
$node->append_conf('postgresql.conf', 'kms.master_key_epochs = on');
KmsRotation::put($node, "main: $lines[0]");
$node->restart;
is(logged(%due{'a status'}), 'Master key is not available', 'the line has the reason');

$node->stop;
done_testing();
