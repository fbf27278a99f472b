# EC-P256 and X25519 keys pass through each state, change of the master key and
# copy as RSA keys do: rotated, deprecated, denied, expired and purged; rewrapped,
# and lost with the master key of their month; in a dump and on a standby.  A row
# that was changed is refused, few keys are kept open, and the pool has none.
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

my @algorithms = ('EC-P256', 'X25519');
my $node = KmsTest->node('curves', init => [ allows_streaming => 1 ],
	master_key => [ 'main: ' . KmsTest::random_master_key() ],
	conf => <<'CONF');
kms.key_algorithm = 'EC-P256'
kms.key_pool_size = 3
kms.key_cache_size = 2
kms.keygen_limit = 100
kms.maintenance = off
CONF
my $dir = PostgreSQL::Test::Utils::tempdir();
my (%key, %jwe);

$node->sql('CREATE EXTENSION kms');

# Issue a key, and encrypt a message to it.
sub make
{
	my ($algorithm, $device) = @_;
	my $id = $node->sql("SELECT key_id FROM kms_issue_key('$device', algorithm => '$algorithm')");
	return ($id, $node->sql("SELECT kms_encrypt_jwe('$id', 'to $device')"));
}

sub open_sql
{
	my ($device) = @_;
	return "SELECT kms_decrypt_jwe('$jwe{$device}', '$device')";
}

sub sqlstate
{
	my ($sql) = @_;
	return KmsClient::sqlstate($node, 'postgres', $sql);
}

# Test that this server decrypts the messages to all devices.
sub opens
{
	my ($server, $db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join(', ', map { $server->safe_psql($db, open_sql($_)) } sort keys %jwe),
		join(', ', map { "to $_" } sort keys %jwe), $name);
}

sub is_well
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return unlike(KmsClient::findings($node, 'postgres'), qr/^(?:error|warning): (?!fsync)/m, "$name: kms_check() has no complaint");
}

($key{$_}, $jwe{$_}) = make($_, $_) foreach @algorithms;
opens($node, 'postgres', 'a message to a key of each kind is decrypted');
is($node->sql('SELECT kms_self_test()'), 't', 'the self-test passes');
is_well('at first');

# ---- The pool ------------------------------------------------------------

is($node->sql("SELECT task, done, more FROM kms_maintain() WHERE task ~ 'pool'"), 'fill the pool of keys|0|f',
	'maintenance makes no keys for the pool');
is($node->sql('SELECT count(*) FROM kms.pool_key'), '0', 'no worker has made any');
is($node->sql("SELECT n_tup_ins FROM pg_stat_all_tables WHERE relid = 'kms.pool_key'::regclass"), '0', 'there never was one');
is($node->status('keys wanted in the pool'), '0', 'kms.status says that none is wanted');

# ---- States --------------------------------------------------------------

foreach my $algorithm (@algorithms)
{
	my ($old, $sent) = make($algorithm, "states $algorithm");
	my $open = "SELECT kms_decrypt('$old', '$sent')";
	my $new = $node->sql("SELECT key_id FROM kms_rotate_key('states $algorithm', algorithm => '$algorithm')");

	is($node->sql("SELECT kms_key_state('$old'), kms_key_state('$new')"), 'deprecated|active', "$algorithm: rotated");
	is($node->sql($open), "to states $algorithm", "$algorithm: the deprecated key decrypts");
	is(sqlstate("SELECT kms_encrypt_jwe('$old', 'x')"), 'KM004', "$algorithm: the deprecated key does not encrypt");
	my $session = KmsClient->session($node, 'postgres');
	is($session->query($open), "to states $algorithm", "$algorithm: a session has the key open");
	foreach my $denial ("kms_disable_key('$old')", "kms_schedule_key_deletion('$old', '8 days')", "kms_revoke_key('$old', 'lost')")
	{
		$node->sql("SELECT $denial");
		$session->query($open);
		is($session->{state}, 'KM004', "$algorithm: refused after $denial" =~ s/'key_\w+'/…/r);
		$node->sql("SELECT kms_enable_key('$old')") if $denial =~ /disable/;
		$node->sql("SELECT kms_cancel_key_deletion('$old')") if $denial =~ /schedule/;
	}
	is($node->sql("SELECT kms_decrypt_recover('$old', '$sent', 'a test')"), "to states $algorithm", "$algorithm: break-glass decrypts");
	$session->quit;
	is(KmsTest::events($node, 'postgres',
			"device_id = 'states $algorithm' AND status = 'success' AND operation IN ('generate', 'rotate', 'deprecate', 'disable', 'enable', 'schedule_deletion', 'cancel_deletion', 'revoke')"),
		'8', "$algorithm: the trail has each change");

	# The key lives one second.
	my ($short) = split /\|/, $node->sql("SET kms.key_lifetime = '1s'; SELECT key_id FROM kms_issue_key('short $algorithm', algorithm => '$algorithm')");
	ok(KmsTest::poll(sub { sqlstate("SELECT kms_encrypt_jwe('$short', 'x')") eq 'KM003' }), "$algorithm: expired");
	$node->sql("SELECT kms_maintain()");
	is($node->sql("SELECT stored_state, state_reason FROM kms.keys WHERE key_id = '$short'"), 'deprecated|Expired',
		"$algorithm: maintenance deprecates it");
	$node->sql("SET kms.key_retention = '0s'; SELECT kms_maintain()");
	is(sqlstate("SELECT kms_key_state('$short')"), 'KM002', "$algorithm: and purges it");
}
is_well('after all changes');

# ---- Rows that were changed ----------------------------------------------

foreach my $device (@algorithms)
{
	my ($other) = grep { $_ ne $device } @algorithms;
	my $of_other = "(SELECT %s FROM kms.key%s WHERE key_id = '$key{$other}')";
	my %change = (
		'algorithm' => [ 'key', "algorithm = '$other'" ],
		'digest' => [ 'key', "oaep_hash = 'sha256', mgf1_hash = 'sha256'" ],
		'device' => [ 'key', "device_id = 'thief'" ],
		'public key' => [ 'key_secret', "public_key = (SELECT public_key FROM kms.key_secret WHERE key_id = '$key{$other}')" ],
		'bit of the wrapped key' => [ 'key_secret', 'wrapped_key = set_byte(wrapped_key, 60, get_byte(wrapped_key, 60) # 1)' ],
		'key of another kind' => [ 'key_secret', "(public_key, wrapped_key) =
			(SELECT public_key, wrapped_key FROM kms.key_secret WHERE key_id = '$key{$other}')" ]);
	foreach my $name (sort keys %change)
	{
		my ($table, $set) = @{ $change{$name} };
		$node->sql("CREATE TABLE good AS SELECT * FROM kms.$table WHERE key_id = '$key{$device}';
			UPDATE kms.$table SET $set WHERE key_id = '$key{$device}'");
		is(sqlstate("SELECT kms_decrypt('$key{$device}', '$jwe{$device}')"), 'XX001', "$device, $name changed: does not decrypt");
		is(sqlstate("SELECT kms_jwk('$key{$device}')"), 'XX001', "$device, $name changed: has no JWK");
		like(KmsClient::findings($node, 'postgres'), qr/^error: .*do not authenticate[^(]*\Q$key{$device}\E/m,
			"$device, $name changed: kms_check() finds the row");
		my $columns = $table eq 'key' ? '(algorithm, oaep_hash, mgf1_hash, device_id)' : '(public_key, wrapped_key)';
		$node->sql("UPDATE kms.$table AS t SET $columns = (SELECT ${\ ($columns =~ s/[()]//gr)} FROM good)
			WHERE key_id = '$key{$device}'; DROP TABLE good");
	}
}
opens($node, 'postgres', 'with its own row each key decrypts');

# ---- Open keys -----------------------------------------------------------

my $session = KmsClient->session($node, 'postgres');
foreach my $n (1 .. 6)
{
	($key{"phone $n"}, $jwe{"phone $n"}) = make($algorithms[ $n % 2 ], "phone $n");
	is($session->query(open_sql("phone $n")), "to phone $n", "phone $n: a session opens its key");
}
is($session->query("SELECT value FROM kms.status WHERE item = 'keys open in this session'"), '2',
	'the session keeps no more keys than kms.key_cache_size');
$session->quit;

# ---- A standby and a dump ------------------------------------------------

my $standby = KmsTest->standby($node, 'standby');
opens($standby, 'postgres', 'a standby decrypts');
is($standby->sql("SELECT key_id, reused FROM kms_issue_key('EC-P256')"), "$key{'EC-P256'}|t", 'a standby hands out the key');
$standby->stop;
foreach my $form ('plain', 'custom')
{
	$node->command_ok([ 'pg_dump', "-F$form", '-f', "$dir/$form", '-d', $node->connstr('postgres') ], "$form: dumped");
	$node->sql("CREATE DATABASE $form");
	$node->command_ok(
		$form eq 'plain' ? [ qw(psql -Xq -v ON_ERROR_STOP=1 -d), $node->connstr($form), '-f', "$dir/$form" ]
		: [ qw(pg_restore --exit-on-error -d), $node->connstr($form), "$dir/$form" ],
		"$form: restored");
	opens($node, $form, "$form: the keys decrypt");
	is($node->safe_psql($form, "SELECT key_id, reused FROM kms_issue_key('X25519')"), "$key{X25519}|t", "$form: a device has its key");
	$node->sql("DROP DATABASE $form");
}

# ---- Master keys ---------------------------------------------------------

my ($main) = KmsRotation::lines($node);
my $new = KmsRotation::put_first($node, 'new');
cmp_ok($node->sql('SELECT kms_rewrap_keys()'), '>=', scalar keys %key, 'the keys are rewrapped');
KmsRotation::put($node, $new);
opens($node, 'postgres', 'they decrypt with the new master key alone');
is_well('after the change of the master key');

# In the last seconds of a month, wait until the next one has begun, because
# this part is about the present month.
sleep 70 if strftime('%m', gmtime(time + 60)) ne strftime('%m', gmtime);
my $month = strftime('%Y-%m: ', gmtime) . KmsTest::random_master_key();
$node->append_conf('postgresql.conf', 'kms.master_key_epochs = on');
KmsRotation::put($node, $new, $month);
my %before = %jwe;
%jwe = ();
($key{$_}, $jwe{$_}) = make($_ =~ s/.* //r, $_) foreach map { "month $_" } @algorithms;
opens($node, 'postgres', 'keys under the master key of a month decrypt');
KmsRotation::put($node, $new);
is(sqlstate(open_sql($_)), 'KM007', "$_: without that master key its key is lost") foreach sort keys %jwe;
%jwe = %before;
opens($node, 'postgres', 'the other keys are not');

$node->stop;
done_testing();
