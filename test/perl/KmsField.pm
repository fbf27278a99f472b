# The secrets of field keys, and values of fields, without the library: Perl and
# the openssl command do what docs/design/ describes byte by byte.
#
#   my %secret = KmsField::secrets($node, 'postgres');
#   is(KmsField::decrypt($secret{'tax/1'}, $value, 'person.tax:1'), 'DE123');
package KmsField;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use IPC::Run;
use KmsTest;
use PostgreSQL::Test::Utils;

use constant TAG => 16;    # bytes

# Unwrap the secrets of all field keys under the node's master key.  Returns
# pairs of "name/version" or "name/index" and 32 bytes.
sub secrets
{
	my ($node, $db) = @_;
	my ($master) = slurp_file(KmsTest::master_key_path($node)) =~ /([0-9a-f]{64})\s*$/m;
	my %secret;

	foreach (split /\n/, $node->safe_psql($db,
		"SELECT field_key, version, encode(field_key_id, 'hex'), encode(wrapped_key, 'hex') FROM kms.field_key WHERE wrapped_key IS NOT NULL"))
	{
		my ($name, $version, $id, $wrapped) = split /\|/;
		my $purpose = $version == 0 ? 'blind-index' : 'field';
		my ($salt, $nonce, $content) = unpack 'x9 a32 a12 x32 a32', pack 'H*', $wrapped;
		my $key = hkdf(pack('H*', $master), $salt, lp('kms/wrap/v1') . lp($purpose) . lp($id));
		$secret{"$name/" . ($version == 0 ? 'index' : $version)} = ctr($key, $nonce, $content);
	}
	return %secret;
}

# Decrypt a value with XAES-256-GCM.  The tag is not checked.
sub decrypt
{
	my ($key, $value) = @_;
	my ($nonce, $content) = unpack 'x13 a24 a*', $value;
	my $l = ecb($key, "\0" x 16);
	my $bits = unpack('B*', $l);
	my $k1 = pack('B*', substr($bits, 1) . '0');
	$k1 ^= ("\0" x 15) . "\x87" if substr($bits, 0, 1);
	my ($half, $iv) = unpack 'a12 a12', $nonce;
	my $derived = join '', map { ecb($key, (pack('C2 a C', 0, $_, 'X', 0) . $half) ^ $k1) } 1, 2;
	return ctr($derived, $iv, substr $content, 0, -TAG);
}

# The blind index of a text that is not folded, with all bits.
sub blind_index
{
	my ($key, $id, $scope, $text) = @_;
	return substr hmac_sha256(lp('kms/blind-index/v1') . $id . lp($scope) . lp('none') . lp($text), $key), 0, 16;
}

sub lp
{
	my ($bytes) = @_;
	return pack('N', length $bytes) . $bytes;
}

# The first 32 bytes (RFC 5869).
sub hkdf
{
	my ($key, $salt, $info) = @_;
	return hmac_sha256("$info\x01", hmac_sha256($key, $salt));
}

# GCM without its tag is CTR from 2 on.
sub ctr
{
	my ($key, $nonce, $in) = @_;
	return cipher('aes-256-ctr', $key, $in, '-iv', unpack('H*', $nonce) . '00000002');
}

sub ecb
{
	my ($key, $in) = @_;
	return cipher('aes-256-ecb', $key, $in, '-nopad');
}

sub cipher
{
	my ($name, $key, $in, @options) = @_;
	my ($out, $errors);

	IPC::Run::run([ qw(openssl enc), "-$name", '-K', unpack('H*', $key), @options ],
		'<', \$in, '>', \$out, '2>', \$errors)
	  or die "openssl enc: $errors";
	return $out;
}

1;
