# Each refusal of kms_import_key() names the row, and its hint works if it is followed: the key can be imported
# afterwards, or there is nothing to follow.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use File::Copy qw(move);
use IPC::Run;
use KmsTest;
use MIME::Base64 qw(decode_base64 encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('main');
my $dir = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', 'CREATE EXTENSION kms; CREATE TABLE old (private_key text)');

my $rsa = output('openssl genrsa 2048');
my $rsa_der = der($rsa);
my $pkcs1_der = der(output('openssl rsa -traditional', $rsa));
my $alone = join '', ($rsa =~ /^([^-\n]+)$/mg);
my $p256 = output('openssl ecparam -name prime256v1 -genkey');
my ($sec1) = $p256 =~ /(-----BEGIN EC PRIVATE KEY.*)/s;
my $bare = der(output('openssl pkcs8 -topk8 -nocrypt', $p256));
my $x25519 = output('openssl genpkey -algorithm X25519');
my $pss = output('openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048');

# ---- Hints that are followed ---------------------------------------------

my @followed = (
	[ 'literal \n', qr/two characters \\n/, $rsa =~ s/\n/\\n/gr, $rsa ],
	[ 'literal \r\n', qr/two characters \\n/, $rsa =~ s/\n/\\r\\n/gr, $rsa ],
	[ 'literal \\\\n', qr/two characters \\n/, $rsa =~ s/\n/\\\\n/gr, $rsa ],
	[ 'a string of JSON', qr/two characters \\n/, '"' . ($rsa =~ s/\n/\\n/gr) . '"', $rsa ],
	[ 'one line', qr/lines of their own/, $rsa =~ s/\n//gr, $rsa ],
	[ 'one line with blanks', qr/lines of their own/, $rsa =~ s/\n/ /gr, $rsa ],
	[ 'line ends of CR', qr/lines of their own/, $rsa =~ s/\n/\r/gr, $rsa ],
	[ 'indented lines', qr/indented/, $rsa =~ s/^/    /gmr, $rsa ],
	[ 'indented lines that end in CR LF', qr/indented/, $rsa =~ s/\n/\r\n\t/gr, $rsa ],
	[ 'blank lines', qr/blank lines/, $rsa =~ s/\n/\r\n\r\n/gr, $rsa ],
	[ 'quotes', qr/something else beside/, qq("$rsa"), $rsa ],
	[ 'text before and after', qr/something else beside/, "Key: x\n${rsa}That was it.\n", $rsa ],
	[ 'a certificate after it', qr/something else beside/, $rsa . certificate($rsa), $rsa ],
	[ 'two keys', qr/something else beside/, $rsa . $rsa, $rsa ],
	[ 'base64 of PKCS#8', qr/no BEGIN line/, $alone, $rsa ],
	[ 'base64 of PKCS#1', qr/no BEGIN line/, encode_base64($pkcs1_der), $rsa ],
	[ 'hexadecimal digits', qr/DER in hexadecimal/, unpack('H*', $rsa_der), $rsa ],
	[ 'bytea of DER', qr/DER in hexadecimal/, '\x' . unpack('H*', $rsa_der), $rsa ],
	[ 'bytea of PEM', qr/PEM in hexadecimal/, '\x' . unpack('H*', $rsa), $rsa ],
	[ 'base64 of PEM', qr/PEM in base64/, encode_base64($rsa), $rsa ],
	[ 'encrypted PKCS#8', qr/encrypted/, output('openssl pkcs8 -topk8 -passout pass:x', $rsa), $rsa ],
	[ 'encrypted PKCS#1', qr/encrypted/, output('openssl rsa -traditional -aes128 -passout pass:x', $rsa), $rsa ],
	[ 'OpenSSH', qr/form of OpenSSH/, openssh('-t rsa -b 2048'), undef ],
	[ 'a JWK', qr/JWK/, jwk($rsa), $rsa ],
	[ 'RSASSA-PSS', qr/RSASSA-PSS/, $pss, $pss ],
	[ 'RSASSA-PSS with digests', qr/RSASSA-PSS/, output('openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048'
			  . ' -pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256'), undef ],
	[ 'RSAES-OAEP', qr/RSAES-OAEP/, pkcs8(0, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07", $pkcs1_der), $rsa ],
	[ 'RSAES-OAEP with digests', qr/RSAES-OAEP/, pkcs8(0, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07", $pkcs1_der,
			tlv(0x30, tlv(0xa0, tlv(0x30, tlv(0x06, "\x60\x86\x48\x01\x65\x03\x04\x02\x01"))))), $rsa ],
	[ 'version 2 of an RSA key', qr/version 2/, pkcs8(1, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", $pkcs1_der, "\x05\x00",
			tlv(0x81, "\x00" . public_der($rsa))), $rsa ],
	[ 'explicit parameters', qr/parameters of its curve/, output('openssl ec -param_enc explicit', $p256), $p256 ],
	[ 'explicit parameters in PKCS#8', qr/parameters of its curve/, output('openssl pkey -ec_param_enc explicit', $p256), $p256 ],
	[ 'version 2 of an EC key', qr/version 2/, ec_version_2(substr($bare, 29)), $p256 ],
	[ 'version 2 of an EC key that names its curve', qr/version 2/, ec_version_2(der($sec1)), $p256 ],
	[ 'version 2 of an EC key without its public key', qr/version 2/, ec_version_2(der(output('openssl ec -no_public', $p256))), $p256 ],
	[ 'version 2 of an X25519 key', qr/version 2/, pkcs8(1, "\x2b\x65\x6e", substr(der($x25519), 14), '',
			tlv(0x81, "\x00" . substr(der(output('openssl pkey -pubout', $x25519)), 12))), $x25519 ],
	[ 'version 2 of an X25519 key without its public key', qr/version 2/, pkcs8(1, "\x2b\x65\x6e", substr(der($x25519), 14)), $x25519 ],
	[ 'base64 of SEC1', qr/no BEGIN line/, encode_base64(der($sec1)), $p256 ],
	[ 'hexadecimal digits of X25519', qr/DER in hexadecimal/, unpack('H*', der($x25519)), $x25519 ],
	[ 'an EC key in PEM and base64', qr/PEM in base64/, encode_base64($p256), $p256 ],
	[ 'an encrypted EC key', qr/encrypted/, output('openssl ec -aes128 -passout pass:x', $p256), $p256 ],
	[ 'an EC key of OpenSSH', qr/form of OpenSSH/, openssh('-t ecdsa -b 256'), undef ],
	[ 'a JWK of an EC key', qr/JWK/, jwk($p256), $p256 ],
	[ 'a JWK of an X25519 key', qr/JWK/, jwk($x25519), $x25519 ]);

my $count = 0;
foreach (@followed)
{
	my ($name, $why, $pem, $same) = @$_;
  SKIP:
	{
		skip "$name: this needs a program that is not here", 4 unless defined $pem;
		my ($message, $detail, $hint) = refusal($pem, ++$count);

		like($message, qr/^22023: private key cannot be imported: .*$why/, "$name is refused");
		is($detail, qq(The refused key is "key-$count" of device "phone $count".), "$name: the row is named");

		# A key may be refused for one reason after the other.
		my $imported = $message;
		for (1 .. 2)
		{
			my ($fix) = ($hint // '') =~ /: (.*[^.])$/ or last;
			$pem = $fix =~ /^(?:openssl|ssh-keygen|node) / ? follow($fix, $pem) : evaluate($fix);
			($imported, undef, $hint) = refusal($pem, $count);
		}
		is($imported, 'imported', "$name: the hint helps") or diag $hint;

		$same //= $pem;
		is($node->safe_psql('postgres', "SELECT kms_public_key('key-$count')"),
			output('openssl pkey -pubout', rsa_of($same)), "$name: it is the same key");
	}
}

# ---- Hints without a fix -------------------------------------------------

foreach (
	[ 'nothing', qr/empty/, '' ],
	[ 'garbage', qr/not in PEM form/, 'garbage' ],
	[ 'a public key', qr/public key/, output('openssl pkey -pubout', $rsa) ],
	[ 'a public JWK', qr/public key \(JWK\)/, '{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}' ],
	[ 'a certificate', qr/certificate/, certificate($rsa) ],
	[ 'a DSA key', qr/not an RSA, EC or X25519/, output('openssl dsaparam -genkey -noout 1024') ],
	[ 'an Ed25519 key', qr/for signatures/, output('openssl genpkey -algorithm ED25519') ],
	[ 'an X448 key', qr/X448/, output('openssl genpkey -algorithm X448') ],
	[ 'a key on P-384', qr/P-384/, output('openssl ecparam -name secp384r1 -genkey') ],
	[ 'a key on P-521', qr/P-521/, output('openssl ecparam -name secp521r1 -genkey') ],
	[ 'a key on secp256k1', qr/secp256k1/, output('openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1') ],
	[ 'a key on another curve', qr/not P-256/, output('openssl ecparam -name brainpoolP256r1 -genkey') ],
	[ 'the public key of another', qr/does not belong/, sec1_pem(der($sec1) =~ s/\x20\K./$& ^ "\x01"/ser) ],
	[ 'the number 0', qr/is 0 or/, sec1_pem(substr(der($sec1), 0, 7) . "\0" x 32 . substr(der($sec1), 39)) ],
	[ 'half a key', qr/damaged/, substr($rsa, 0, 900) ],
	[ '1024 bits', qr/2048 to 4096 bits/, output('openssl genrsa 1024') ],
	[ 'three primes', qr/two primes/, output('openssl genrsa -primes 3 2048') ])
{
	my ($name, $why, $pem) = @$_;
	my ($message, $detail, $hint) = refusal($pem, ++$count);

	like($message, qr/^22023: private key cannot be imported: .*$why/, "$name is refused");
	is($detail, qq(The refused key is "key-$count" of device "phone $count".), "$name: the row is named");
	like($hint, qr/\b(?:[Ll]eave (?:it )?out|Give)\b.*\.$/, "$name: the hint has nothing to follow");
}

$node->stop;
done_testing();

# ---- Importing -----------------------------------------------------------

# Import the PEM from a column, as key-<n>.  Return "imported", or message, detail and hint.
sub refusal
{
	my ($pem, $n) = @_;
	my ($stdout, $stderr);

	put('row', ($pem =~ s/\\/\\\\/gr =~ s/\n/\\n/gr =~ s/\r/\\r/gr =~ s/\t/\\t/gr) . "\n");
	$node->safe_psql('postgres', "TRUNCATE old; COPY old FROM '$dir/row'");
	$node->psql('postgres', "SELECT kms_import_key('phone $n', private_key, 'key-$n') FROM old",
		stdout => \$stdout, stderr => \$stderr, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return 'imported' if $stdout eq "key-$n";
	return map { $stderr =~ /^(?:psql:\S+ )?$_:  (.*)$/m ? $1 : undef } qw(ERROR DETAIL HINT);
}

# The column as the hint changes it.
sub evaluate
{
	my ($expression) = @_;
	$node->safe_psql('postgres', "UPDATE old SET private_key = $expression");
	return $node->safe_psql('postgres', 'SELECT private_key FROM old');
}

# Run the command of the hint.  A command that asks for a passphrase is given one.
sub follow
{
	my ($command, $pem) = @_;

	unlink "$dir/new.pem";
	put('old.pem', $pem);
	chmod 0600, "$dir/old.pem" or die "$dir/old.pem: $!";
	$command =~ s/^(openssl pkey)/$1 -passin pass:x/;
	output($command);
	return slurp_file(-e "$dir/new.pem" ? "$dir/new.pem" : "$dir/old.pem");
}

# ---- Making keys ---------------------------------------------------------

# Run a command with this input in the directory of the test, and return its output.
sub output
{
	my ($command, $input) = @_;
	my ($output, $errors);

	IPC::Run::run([ 'bash', '-c', "set -e; $command" ], '<', \($input // ''), '>', \$output, '2>', \$errors,
		init => sub { chdir $dir or die "$dir: $!" })
	  or die "$command: $errors";
	return $output;
}

sub put
{
	my ($name, $content) = @_;
	open my $file, '>', "$dir/$name" or die "$dir/$name: $!";
	print $file $content;
	close $file or die "$dir/$name: $!";
	return;
}

sub der
{
	my ($pem) = @_;
	return decode_base64(join '', $pem =~ /^([^-\n]+)$/mg);
}

sub tlv
{
	my ($first, $content) = @_;
	my $len = length $content;
	return pack('C', $first) . ($len < 128 ? pack('C', $len) : $len < 256 ? pack('CC', 0x81, $len) : pack('Cn', 0x82, $len)) . $content;
}

# PKCS#8 of this version, algorithm and key.
sub pkcs8
{
	my ($version, $oid, $key, $parameters, $rest) = @_;
	my $content = tlv(0x02, chr $version) . tlv(0x30, tlv(0x06, $oid) . ($parameters // '')) . tlv(0x04, $key) . ($rest // '');
	return "-----BEGIN PRIVATE KEY-----\n" . encode_base64(tlv(0x30, $content)) . "-----END PRIVATE KEY-----\n";
}

sub ec_version_2
{
	my ($key) = @_;
	my $point = substr(der(output('openssl pkey -pubout', $p256)), -65);
	return pkcs8(1, "\x2a\x86\x48\xce\x3d\x02\x01", $key, tlv(0x06, "\x2a\x86\x48\xce\x3d\x03\x01\x07"),
		$key =~ /\Q$point\E/ ? tlv(0x81, "\0$point") : '');
}

sub sec1_pem
{
	my ($der) = @_;
	return "-----BEGIN EC PRIVATE KEY-----\n" . encode_base64($der) . "-----END EC PRIVATE KEY-----\n";
}

sub public_der
{
	my ($pem) = @_;
	return der(output('openssl rsa -RSAPublicKey_out', $pem));
}

# The RSA key in a key for signatures.
sub rsa_of
{
	my ($pem) = @_;
	return $pem unless output('openssl asn1parse', $pem) =~ /^ *(\d+):d=2 .*rsassaPss\n(?:.*\n)*? *(\d+):d=1 .*OCTET STRING/m;
	put('pss', $pem);
	return output("openssl asn1parse -in pss -noout -out pss.der -strparse $2; openssl rsa -inform DER -in pss.der");
}

sub certificate
{
	my ($pem) = @_;
	put('key', $pem);
	return output('openssl req -x509 -new -key key -subj /CN=x');
}

# Undefined if the program is not there, as for a JWK.
sub openssh
{
	my ($options) = @_;
	return undef unless system('command -v ssh-keygen >/dev/null') == 0;
	unlink "$dir/openssh";
	output("ssh-keygen -q -N '' -C '' -f openssh $options");
	return slurp_file("$dir/openssh");
}

sub jwk
{
	my ($pem) = @_;
	return undef unless system('command -v node >/dev/null') == 0;
	put('key', $pem);
	return output(q{node -p "JSON.stringify(require('crypto').createPrivateKey(require('fs').readFileSync('key')).export({format: 'jwk'}))"});
}
