# The answer is the same for every wrong ciphertext of the right length, and each
# attempt is recorded once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use Digest::SHA qw(hmac_sha256);
use IPC::Run;
use KmsTest;
use Math::BigInt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('oracle', conf => 'kms.maintenance = off');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = split /\|/,
  $node->safe_psql('postgres', "SELECT key_id, public_key FROM kms_issue_key('phone')"), 2;
my $other = $node->safe_psql('postgres', "SELECT key_id FROM kms_issue_key('tablet')");

# ---- The ciphertexts -----------------------------------------------------

my $good = unpack 'H*',
  MIME::Base64::decode_base64(KmsTest::encrypt_with_openssl($pem, 'canary1717'));
my $path = PostgreSQL::Test::Utils::tempdir() . '/modulus.pem';
append_to_file($path, $pem);
my ($modulus) = run_command([ qw(openssl rsa -pubin -noout -modulus -in), $path ]);
$modulus =~ s/.*=//s;
my $n = Math::BigInt->from_hex($modulus);

sub hex_of
{
	my $number = shift;
	return sprintf '%0512s', $number->to_hex;
}

my %given;
sub give
{
	my ($kind, $hex, $arguments) = @_;
	die "$kind: " . length $hex if length $hex != 512;
	push @{ $given{$kind} }, [ $hex, $arguments || '' ];
}

my @bits = map { int rand 2048 } 1 .. 800;
foreach my $bit (@bits, 0, 1, 2047)
{
	my $bytes = pack 'H*', $good;
	vec($bytes, $bit, 1) ^= 1;
	give('a bit flipped', unpack 'H*', $bytes);
}
give('random below the modulus', '00' . unpack 'H*', pack 'C*', map { int rand 256 } 1 .. 255)
  foreach 1 .. 600;
give('random', unpack 'H*', pack 'C*', map { int rand 256 } 1 .. 256)
  foreach 1 .. 200;
give("another key's", $_)
  foreach split /\n/,
  $node->safe_psql('postgres',
	"SELECT encode(kms_encrypt_bytea('$other', 'x'), 'hex') FROM generate_series(1, 200)");
give('of numbers', $_)
  foreach '00' x 256, '00' x 255 . '01', 'ff' x 256,
  map { hex_of($n + $_) } (-2, -1, 0, 1, 2);
# A raw encryption of nothing that OAEP makes: 2 ^ e, and a repeated good one.
give('of numbers', hex_of(Math::BigInt->new(2)->bmodpow(65537, $n)));
give('turned', substr($good, 2 * $_) . substr($good, 0, 2 * $_)) foreach 1 .. 50;
foreach my $digest (qw(sha224 sha256 sha384 sha512 sha512-224 sha512-256))
{
	give('another digest', $good, ", oaep_hash => '$digest'");
	give('another MGF1 digest', $good, ", mgf1_hash => '$digest'");
	give('another digest', $good, ", oaep_hash => '$digest', mgf1_hash => 'sha1'");
}
give('a label', $good, ", label => '\\x$_'") foreach '00', 'ff', '00' x 100;
# A label with the bytes of the hash of the empty label is not the empty label.
give('a label', $good, ", label => '\\xda39a3ee5e6b4b0d3255bfef95601890afd80709'");

# ---- The answers ---------------------------------------------------------

$node->safe_psql(
	'postgres', q{
	CREATE TABLE given (kind text, c bytea, arguments text);
	CREATE TABLE answer (kind text, code text, message text, detail text, hint text, context text);
	CREATE PROCEDURE probe(key text) LANGUAGE plpgsql AS $$
	DECLARE
		g given;
		a answer;
	BEGIN
		FOR g IN SELECT * FROM given LOOP
			a := NULL;
			a.kind := g.kind;
			BEGIN
				EXECUTE format('SELECT kms_decrypt_bytea(%L, $1%s)', key, g.arguments) USING g.c;
				a.code := 'opened';
			EXCEPTION WHEN OTHERS THEN
				GET STACKED DIAGNOSTICS a.code = RETURNED_SQLSTATE,
					a.message = MESSAGE_TEXT, a.detail = PG_EXCEPTION_DETAIL,
					a.hint = PG_EXCEPTION_HINT;
			END;
			INSERT INTO answer SELECT a.*;
		END LOOP;
	END $$});
my $total = 0;
my @rows;
foreach my $kind (sort keys %given)
{
	foreach my $one (@{ $given{$kind} })
	{
		my ($hex, $arguments) = @$one;
		(my $quoted = $arguments) =~ s/'/''/g;
		(my $name = $kind) =~ s/'/''/g;
		push @rows, "('$name', '\\x$hex', '$quoted')";
		$total++;
	}
}
my $insert = 'INSERT INTO given VALUES ' . join(",\n", @rows);
$node->safe_psql('postgres', $insert);
cmp_ok($total, '>=', 1800, 'there are many ciphertexts');
is($node->safe_psql('postgres', "SELECT kms_decrypt('$key', encode('\\x$good', 'base64'))"),
	'canary1717', 'the one they are made of opens');

$node->safe_psql('postgres',
	"SET application_name = 'probe'; CALL probe('$key')");
is( $node->safe_psql('postgres',
		'SELECT DISTINCT code, message, detail, hint FROM answer'),
	'KM001|failed to decrypt data||An operator who may call kms_diagnose() can run SELECT * FROM kms_diagnose(key_id, ciphertext). Pass bytes as encode(ciphertext, \'base64\'); the key id of a JWE is in kms_jwe_header(jwe).',
	'all ciphertexts get the same answer');
is($node->safe_psql('postgres', 'SELECT count(*) FROM answer'),
	$total, 'each ciphertext gets an answer');
is(KmsTest::events($node, 'postgres', "application_name = 'probe'"),
	$total, 'each attempt is recorded once');
is( $node->safe_psql('postgres',
		"SELECT DISTINCT operation, status, reason, device_id, context FROM kms.event WHERE application_name = 'probe'"),
	'decrypt|failure|Failed to decrypt data|phone|',
	'all attempts are recorded in the same way');
is( $node->safe_psql('postgres',
		"SET application_name = 'probe text'; SELECT count(*), count(kms_try_decrypt('$key', encode(c, 'base64'))) FROM given WHERE arguments = ''"),
	$node->safe_psql('postgres', "SELECT count(*) || '|0' FROM given WHERE arguments = ''"),
	'kms_try_decrypt opens none of the ciphertexts either');
is($node->safe_psql('postgres', "SELECT kms_decrypt('$key', encode('\\x$good', 'base64'))"),
	'canary1717', 'the key still opens its own ciphertexts');
# ---- Diagnosing ----------------------------------------------------------

# A block with the padding of PKCS#1 v1.5 must look like any other.
my $pkcs1 = run_openssl_pkcs1('canary1717');
is(length $pkcs1, 512, 'openssl pads with PKCS#1 v1.5, too');
$node->safe_psql('postgres',
	"DELETE FROM given WHERE arguments <> ''; INSERT INTO given VALUES ('PKCS#1', '\\x$pkcs1', '')");
is( $node->safe_psql(
		'postgres', q{
		SET application_name = 'diagnose';
		SELECT DISTINCT finding, hint FROM (SELECT *, row_number() OVER (PARTITION BY kind) AS n FROM given) AS g,
			LATERAL kms_diagnose('} . $key . q{', encode(g.c, 'base64')) AS d
		WHERE n <= 5}),
	"the ciphertext does not open, with any pair of digests|The ciphertext was encrypted with another key, with a label, or with PKCS#1 v1.5 padding, which is never accepted; or it was damaged on its way. Nobody can tell which. Without the right key and label kms can do nothing with it.",
	'kms_diagnose has one answer, also to PKCS#1 v1.5');
is( KmsTest::events($node, 'postgres',
		"application_name = 'diagnose' AND (operation, status) = ('diagnose', 'success')"),
	$node->safe_psql('postgres',
		'SELECT sum(least(n, 5)) FROM (SELECT count(*) AS n FROM given GROUP BY kind) AS k'),
	'kms_diagnose records each call once');
is(KmsTest::events($node, 'postgres', "application_name = 'diagnose' AND operation <> 'diagnose'"),
	'0', 'kms_diagnose records nothing else');

# An encrypted key that does not open has one answer as well, also with the padding
# of PKCS#1 v1.5.
my @parts = split /\./, $node->safe_psql('postgres', "SELECT kms_encrypt_jwe('$key', 'x')");
is( findings_of(changed(1), map { with_encrypted_key($_) } $pkcs1, '00' x 256, 'ff' x 256, hex_of($n), '00' x 255 . '01'),
	'the encrypted key of the JWE does not open|It was encrypted with another key, or with another digest than "alg" says; or it was changed on its way. Nobody can tell which. Without the right key, its digest and the encrypted key as the client made it kms can do nothing with it.',
	'kms_diagnose has one answer to an encrypted key that does not open');

# An encrypted key that opens has one answer, whether the content opens or not: the content may be
# encrypted under a guess of what a captured block holds.
my $secret = 'a PIN in one block: canary1717  ';
my $captured = MIME::Base64::decode_base64(KmsTest::encrypt_with_openssl($pem, $secret));
my ($right, $wrong) = map { around_block($captured, $_) } $secret, $secret =~ s/1717/1718/r;
is( $node->safe_psql('postgres', "SELECT kms_decrypt('$key', '$right'), kms_try_decrypt('$key', '$wrong') IS NULL"),
	'x|t', 'a JWE around a captured block opens under the right guess alone');
is( findings_of($right, $wrong, join('.', @parts), with_encrypted_key($good), map { changed($_) } 2 .. 4),
	'the encrypted key of the JWE opens|The key and "alg" are right. Only decrypting tells whether the content opens: if that gives KM001, the protected header, "aad", "iv", "ciphertext" or "tag" was changed on its way. SQL: kms_decrypt(\'' . $key . '\', ciphertext)',
	'kms_diagnose does not confirm a guess of what a block holds');

unlike(slurp_file($node->logfile), qr/canary1717|oaep decoding|padding|rsa routines/i,
	'the log tells no more');

$node->stop;
done_testing();

# Return the findings of all the JWE, each once.
sub findings_of
{
	return $node->safe_psql('postgres',
		'SELECT DISTINCT finding, hint FROM (VALUES '
		  . join(', ', map { "('$_')" } @_)
		  . ") AS g (jwe), kms_diagnose('$key', jwe)");
}

# Return the JWE with another first character of a part.
sub changed
{
	my @copy = @parts;
	$copy[ $_[0] ] =~ s/^(.)/$1 eq 'A' ? 'B' : 'A'/e;
	return join '.', @copy;
}

sub with_encrypted_key
{
	return join '.', $parts[0], MIME::Base64::encode_base64url(pack 'H*', $_[0]), @parts[ 2 .. 4 ];
}

# Return a JWE of a captured block and of the content 'x', encrypted with a guess of
# what the block holds: A128CBC-HS256 (RFC 7518, 5.2), made by openssl.
sub around_block
{
	my ($block, $guess) = @_;
	my $header = MIME::Base64::encode_base64url('{"alg":"RSA-OAEP","enc":"A128CBC-HS256"}');
	my $iv = "\x07" x 16;
	my ($mac_key, $key) = unpack 'a16 a16', $guess;
	my ($plain, $content) = ('x');

	IPC::Run::run([ qw(openssl enc -aes-128-cbc -K), unpack('H*', $key), '-iv', unpack('H*', $iv) ],
		'<', \$plain, '>', \$content)
	  or die 'openssl enc';
	my $tag = substr hmac_sha256($header . $iv . $content . pack('Q>', 8 * length $header), $mac_key), 0, 16;
	return join '.', $header, map { MIME::Base64::encode_base64url($_) } $block, $iv, $content, $tag;
}

# In hexadecimal.
sub run_openssl_pkcs1
{
	my ($plaintext) = @_;
	my ($ciphertext, $errors);

	IPC::Run::run(
		[
			qw(openssl pkeyutl -encrypt -pubin -inkey), $path,
			'-pkeyopt', 'rsa_padding_mode:pkcs1'
		],
		'<', \$plaintext, '>', \$ciphertext, '2>', \$errors)
	  or die "openssl pkeyutl: $errors";
	return unpack 'H*', $ciphertext;
}
