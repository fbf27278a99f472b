# The runbooks for a master key that is changed on a server with a standby, or is
# gone, lost, leaked or half-deployed, work step by step, with the statements
# that they show.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsRotation;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $runbooks = join '', map { slurp_file("$FindBin::Bin/../../../docs/runbook/$_.md") }
  qw(master-key-change master-key-lost);
my $old = 'old: ' . KmsTest::random_master_key();
my $node = KmsTest->node(
	'primary',
	init => [ allows_streaming => 1 ],
	master_key => [$old],
	conf => "kms.key_pool_size = 0\nkms.audit_checkpoint_interval = 1d\n");
my $file = KmsTest::master_key_path($node);

# A block of SQL of the runbooks that has these words.
sub shown
{
	my $words = shift;
	my ($block) = grep { /\Q$words\E/ } $runbooks =~ /^ *```sql\n(.*?)^ *```$/msg;
	return $block // die "no runbook shows \"$words\"";
}

sub issue
{
	my $device = shift;
	my ($key, $pem) = KmsClient::issue($node, 'postgres', $device);
	return ($key, KmsTest::encrypt_with_openssl($pem, 'secret'));
}

sub problems
{
	return join "\n", grep { /^(?:error|warning)/ && !/fsync/ } split /\n/,
	  KmsClient::findings($_[0] // $node, 'postgres');
}

$node->sql('CREATE EXTENSION kms');
my ($key, $ciphertext) = issue('phone');
my $decrypt = "SELECT kms_decrypt('$key', '$ciphertext')";
my $hash = $node->sql("SELECT kms_hash_secret('$key', '$ciphertext')");
my $leaked = $node->basedir . '/leaked.sql';
$node->command_ok([ 'pg_dump', '-f', $leaked, $node->connstr('postgres') ], 'a dump is taken');

my $standby = KmsTest->standby($node, 'standby', start => 0);
my $standby_file = KmsTest::master_key_path($standby);
$standby->append_conf('postgresql.conf', "kms.master_key_file = '$standby_file'");
KmsTest::write_master_key($standby_file, $old);
$standby->start;

# ---- Change it -----------------------------------------------------------

my $new = 'new: ' . KmsTest::random_master_key();
my @steps = ([ $old, $new ], [ $new, $old ], undef, [$new]);
foreach my $step (1 .. 4)
{
	my $lines = $steps[ $step - 1 ];

	if ($lines)
	{
		KmsRotation::put($_, @$lines) foreach $step == 4 ? ($node, $standby) : ($standby, $node);
	}
	else
	{
		$node->sql(shown('WHILE kms_rewrap_keys() > 0'));
	}
	$node->wait_for_catchup($standby);
	is($_->sql($decrypt), 'secret', "step $step: opens on the " . $_->name)
	  foreach $node, $standby;
	my ($late, $late_ciphertext) = issue("step $step");
	$node->wait_for_catchup($standby);
	is($standby->sql("SELECT kms_decrypt('$late', '$late_ciphertext')"),
		'secret', "step $step: a key that is made then, too");
	is(problems($_), '', "step $step: the " . $_->name . ' is well') foreach $node, $standby;
	like($node->sql("SELECT detail FROM kms_master_key_status() WHERE label = 'old'"),
		qr/^No row of this database needs it: its line can be removed\.$/,
		'the runbook quotes what the status says then') if $step == 3;
}
like($runbooks, qr/`No row of this database needs it: its line can be removed.`/, 'the runbook quotes the status');
is($node->sql("SELECT kms_verify_secret('$key', '$ciphertext', '$hash')"), 't', 'the hash verifies');

# ---- It has leaked -------------------------------------------------------

my $changed = $node->basedir . '/changed.sql';
$node->command_ok([ 'pg_dump', '-f', $changed, $node->connstr('postgres') ],
	'a dump is taken after the change');
my $thief = KmsTest->node('thief', master_key => [$old]);
$thief->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(leaked changed);
$thief->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $thief->connstr($_->[0]), '-f', $_->[1] ],
	"somebody has the dump $_->[0]") foreach [ 'leaked', $leaked ], [ 'changed', $changed ];
is($thief->safe_psql('leaked', $decrypt), 'secret',
	'with the leaked master key a copy from before opens');
is(KmsClient::sqlstate($thief, 'changed', $decrypt), 'KM007', 'a copy that was made after the change does not open');
$thief->stop;

# ---- Half-deployed -------------------------------------------------------

my $next = 'next: ' . KmsTest::random_master_key();
KmsRotation::put($node, $next, $new);
my ($only, $only_ciphertext) = issue('only here');
my ($fingerprint) = $node->sql("SELECT master_key_id FROM kms_master_key_status() WHERE label = 'next'");
$node->wait_for_catchup($standby);
like(KmsClient::error($standby, 'postgres', "SELECT kms_decrypt('$only', '$only_ciphertext')"),
	qr/KM007: key "$only" was wrapped under master key "$fingerprint", which this server does not have/,
	'a standby without the new master key names it');
like(problems($standby), qr/^error: keys wrapped under master key "$fingerprint"/, 'kms_check() of the standby names the missing master key');
is(problems(), '', 'the first server notices nothing');
is($standby->sql($decrypt), 'secret', 'other keys open on the standby');
KmsRotation::put($standby, $next, $new);
is($standby->sql("SELECT kms_decrypt('$only', '$only_ciphertext')"), 'secret',
	'the same lines and a reload heal it');
is(problems($standby), '', 'after the reload there is no problem');
$standby->stop;

# ---- The file is gone ----------------------------------------------------

my @lines = KmsRotation::lines($node);
unlink $file;
$node->reload;
ok(KmsTest::poll(sub { problems() =~ /the keys read before are in force/ }),
	'a file that is gone at a reload is an error of kms_check()');
is($node->sql($decrypt), 'secret', 'calls go on with the keys read before');
is($node->sql("SELECT kms_decrypt(key_id, kms_encrypt(key_id, 'x')) FROM kms_issue_key('gone')"), 'x', 'other calls also go on');
KmsRotation::put($node, @lines);
is(problems(), '', 'with the restored file there is no problem');

# ---- Lost ----------------------------------------------------------------

$node->sql(shown('WHILE kms_rewrap_keys() > 0'));
my ($kept, $kept_ciphertext) = issue('kept phone');
KmsRotation::put($node, 'fresh: ' . KmsTest::random_master_key());
is(KmsClient::sqlstate($node, 'postgres', $_), 'KM007', "lost: $_")
  foreach $decrypt, "SELECT kms_issue_key('phone')";
is($node->sql("SELECT string_agg(status || ' ' || peppers, ', ') FROM kms_master_key_status()"),
	'current 0, missing 2', 'the status counts pepper and audit key as missing, too');

my $deny = shown('fingerprint that is missing');
$deny =~ s/fingerprint that is missing/$fingerprint/ or die;
$deny =~ s/;\s*$/ AND key_id <> '$kept';/ or die;
$node->sql($deny);
is($node->sql("SELECT count(*) FROM kms.keys WHERE state IN ('active', 'deprecated')"), '1',
	'all keys but one can be revoked without a master key');
my ($again, $again_ciphertext) = issue('phone');
isnt($again, $key, 'the device gets a new key');
is($node->sql("SELECT kms_decrypt('$again', '$again_ciphertext')"), 'secret', 'the new key opens');
is(KmsClient::sqlstate($node, 'postgres', "SELECT kms_verify_secret('$again', '$again_ciphertext', '$hash')"),
	'KM007', 'a hash cannot be verified');
$node->sql('DELETE FROM kms.pepper');
my $new_hash = $node->sql("SELECT kms_hash_secret('$again', '$again_ciphertext')");
is($node->sql("SELECT kms_verify_secret('$again', '$again_ciphertext', '$new_hash')"), 't',
	'a new hash verifies with a new pepper');

KmsRotation::put($node, KmsRotation::lines($node), $next);
is($node->sql("SELECT kms_decrypt('$kept', '$kept_ciphertext')"), 'secret',
	'a copy that turns up opens what was not revoked');
is(KmsClient::sqlstate($node, 'postgres', $decrypt), 'KM004', 'the copy does not open keys that were revoked');
$node->sql(shown('WHILE kms_rewrap_keys() > 0'));
KmsRotation::put($node, (KmsRotation::lines($node))[0]);
is($node->sql("SELECT kms_decrypt('$kept', '$kept_ciphertext')"), 'secret', 'keys of the copy can be rewrapped');
is(problems(), '', 'after that there is no problem');

done_testing();
