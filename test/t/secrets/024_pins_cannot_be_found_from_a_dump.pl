# An attacker who has a whole dump with hashes of PINs cannot find a PIN by trying
# them all.  With the master key the same search succeeds.
#
# The search is real: HMAC and bcrypt are computed here, with all bytes of the
# dump that may be the pepper.  Only the right PIN can match, so most
# candidates are tried with that one; the control tries others, too.
use strict;
use warnings;

use Digest::SHA qw(hmac_sha256 sha256);
use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = KmsTest->node('source');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $pin = sprintf '%04d', int rand 10000;
my @sample = map { sprintf '%04d', ($pin + $_) % 10000 } -3 .. 3;
my $ciphertext = KmsTest::encrypt_with_openssl($pem, $pin);

# ---- What is stored ------------------------------------------------------

# Maintenance has made a pepper; as if it had not come to it.
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM kms.pepper'),
	'maintenance makes a pepper');
$node->safe_psql('postgres', 'DELETE FROM kms.pepper');

# A ROLLBACK does not remove the pepper, because the caller may have the hash.
my $session = KmsClient->session($node, 'postgres');
$session->query('BEGIN');
my $hash = $session->query("SELECT kms_hash_secret('$key', '$ciphertext')");
$session->query('ROLLBACK');
$session->quit;
like($hash, qr/^\$kms1\$pep_[0-9a-f]{24}\$\$2b\$10\$/, 'a PIN is hashed');
is($node->safe_psql('postgres',
		"SELECT kms_verify_secret('$key', '$ciphertext', '$hash')"),
	't', 'the hash verifies, although the transaction that made it was undone');
is($node->safe_psql('postgres', 'SELECT count(*) FROM kms.pepper'),
	'1', 'there is one pepper');

# In a fresh database no other session makes a pepper, so nothing waits.
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
is( $node->safe_psql('fresh', <<'SQL'), 't', 'in the transaction that makes the extension');
BEGIN;
SET LOCAL statement_timeout = '180s';
CREATE EXTENSION kms;
SELECT kms_verify_secret(key_id, kms_encrypt(key_id, '1'),
	kms_hash_secret(key_id, kms_encrypt(key_id, '1'))) FROM kms_issue_key('phone');
COMMIT;
SQL
$node->safe_psql('postgres', "CREATE TABLE account AS SELECT '$hash'::text AS pin");
$node->safe_psql('postgres', 'SELECT kms_flush_events()');
$node->command_ok([ 'pg_dump', '-f', "$dir/dump.sql", $node->connstr('postgres') ],
	'dumped');
my ($master_key) = slurp_file(KmsTest::master_key_path($node)) =~ /([0-9a-f]{64})/;
$node->stop;

# ---- What is in the dump -------------------------------------------------

my $dump = slurp_file("$dir/dump.sql");
my ($stolen) = $dump =~ /^(\$kms1\$\S+)$/m;
is($stolen, $hash, 'the dump has the hash');
my ($pepper_id, $setting) = $stolen =~ /^\$kms1\$([^\$]+)\$(.*)$/;
my ($wrapped_hex) = $dump =~ /^\Q$pepper_id\E\t[^\t]+\t\\\\x([0-9a-f]+)$/m;
ok(defined $wrapped_hex, 'the dump has the wrapped pepper that the hash names');
my $wrapped = pack 'H*', $wrapped_hex;
is(length $wrapped, 133, 'the wrapped pepper has 133 bytes');

# ---- The search without the master key -----------------------------------

my %tried;
my @found;
sub try
{
	my ($what, @peppers) = @_;
	foreach my $pepper (@peppers)
	{
		next if $tried{ unpack 'H*', $pepper }++;
		push @found, $what if matches($pepper, $pin);
	}
}

# Any 32 bytes in a row, what hashes of parts may give, and keys that could
# have been forgotten: of zeros, the salt, the commitment, the fingerprint.
try('bytes of the wrap', map { substr $wrapped, $_, 32 } 0 .. length($wrapped) - 32);
try('a digest of it', map { sha256($_) } $wrapped, $wrapped_hex, $pepper_id,
	map { substr $wrapped, $_ } 1, 9, 41, 53, 85);
try('no pepper', '', "\0" x 32, $pepper_id);
foreach my $guess ("\0" x 32, substr($wrapped, 9, 32), substr($wrapped, 53, 32),
	sha256(substr $wrapped, 1, 8))
{
	try('a guessed master key', unwrap($guess));
}
push @found, 'the PIN itself' if crypt($pin, $setting) eq $setting;
push @found, 'the PIN in base64' if crypt(encode_base64($pin, ''), $setting) eq $setting;
is("@found", '', 'the PIN is found with nothing that is in the dump');
cmp_ok(scalar keys %tried, '>', 100, 'many were tried: ' . keys %tried);
my @private = grep { /\Q$pin\E/ && length > 32 && !/^[0-9a-f]+$/i }
  $dump =~ /\\\\x([0-9a-f]{300,})/g;
is("@private", '', 'the pepper is in no column of bytes');

# ---- The same search with it ---------------------------------------------

my $pepper = unwrap(pack 'H*', $master_key);
is(join(' ', grep { matches($pepper, $_) } @sample),
	$pin, 'with the master key the search finds it');

my $target = KmsTest->node('target', conf => 'kms.maintenance = off');
$target->command_ok(
	[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $target->connstr('postgres'),
		'-f', "$dir/dump.sql" ],
	'restored where another master key is');
is( KmsClient::sqlstate($target, 'postgres',
		"SELECT kms_verify_secret('$key', '$ciphertext', '$hash')"),
	'KM007', 'kms verifies nothing under another master key');

# A device's key of that server's own opens, the pepper still does not.
my ($own) = KmsClient::issue($target, 'postgres', 'own phone');
like( KmsClient::error($target, 'postgres',
		"SELECT kms_verify_secret('$own', kms_encrypt('$own', '$pin'), '$hash')"),
	qr/KM007: stored pepper "\Q$pepper_id\E" was wrapped under master key/,
	'without the master key of the pepper, verifying a PIN fails even with a key that opens');
KmsTest::write_master_key(KmsTest::master_key_path($target),
	split(/\n/, slurp_file(KmsTest::master_key_path($target))), $master_key);
$target->reload;
ok( KmsTest::poll(
		sub {
			$target->safe_psql('postgres',
				"SELECT count(*) FROM kms_master_key_status() WHERE status = 'available'") eq '1';
		}),
	'the master key is added');
my $list = join ', ', map { "('$_')" } @sample;
is( $target->safe_psql('postgres',
		"SELECT pin FROM (VALUES $list) AS v (pin)
		WHERE kms_verify_secret('$own', kms_encrypt('$own', pin), '$hash')"),
	$pin, 'kms finds the PIN, too');

$target->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

sub lp
{
	my ($bytes) = @_;
	return pack('N', length $bytes) . $bytes;
}

# As src/crypto/secret_hash.h has it.
sub matches
{
	my ($pepper, $guess) = @_;
	my $phrase = encode_base64(
		hmac_sha256(lp('kms/pepper/v1') . lp($guess), $pepper), '');
	$phrase =~ tr{+/=}{-_}d;
	return crypt($phrase, $setting) eq $setting;
}

# As src/crypto/wrap.h has it; GCM is counter mode that begins with 2.
sub unwrap
{
	my ($master) = @_;
	my $salt = substr $wrapped, 9, 32;
	my $nonce = substr $wrapped, 41, 12;
	my $content = substr $wrapped, 85, 32;
	my $info = lp('kms/wrap/v1') . lp('pepper') . lp($pepper_id);
	my $aes = hmac_sha256("$info\x01", hmac_sha256($master, $salt));
	my $out;

	IPC::Run::run(
		[
			qw(openssl enc -d -aes-256-ctr -nopad -K), unpack('H*', $aes),
			'-iv', unpack('H*', $nonce) . '00000002'
		],
		'<', \$content, '>', \$out)
	  or die 'openssl enc';
	return $out;
}
