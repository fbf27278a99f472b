# A JOSE library reads the JWK and the JWK set as the same key as the PEM, and
# the database decrypts what it encrypts with them.  A standby returns the
# same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'python3-jwcrypto is not installed here (test/install-deps installs it, as root)'
  unless eval {
	IPC::Run::run([ 'python3', '-c', 'import jwcrypto.jwk, cryptography' ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
  };

# Print the thumbprint of each key of the set and of the PEM, the fields of the
# first key, and one block encrypted with it; then the parts of a JWE.
my $client = <<'END';
import base64, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from jwcrypto import jwe, jwk

given = json.load(sys.stdin)
key = jwk.JWK.from_json(given['jwk'])
keys = jwk.JWKSet.from_json(given['jwks'])
pem = jwk.JWK.from_pem(given['pem'].encode())
print(key.thumbprint() == pem.thumbprint())
print([k.thumbprint() for k in keys] == [pem.thumbprint()])
print(keys.get_key(given['key_id']) is not None)
print(key.export_to_pem().decode() == given['pem'])
print(key.has_private)

hashes_of = {'RSA-OAEP': hashes.SHA1(), 'RSA-OAEP-256': hashes.SHA256()}
digest = hashes_of[key.export(as_dict=True)['alg']]
oaep = padding.OAEP(padding.MGF1(digest), digest, None)
public = key.get_op_key('wrapKey')
print(base64.b64encode(public.encrypt('päss 4711'.encode(), oaep)).decode())

token = jwe.JWE(b'a longer secret', json.dumps({'alg': key.export(as_dict=True)['alg'],
    'enc': 'A256GCM', 'kid': key.export(as_dict=True)['kid']}))
token.add_recipient(key)
print(token.serialize(compact=True))
END

# Decrypt the content of a JWE with its content key.
my $opener = <<'END';
import base64, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

def decode(part):
    return base64.urlsafe_b64decode(part + '=' * (-len(part) % 4))

token, content_key = sys.stdin.read().split()
header, _, iv, ciphertext, tag = token.split('.')
print(AESGCM(bytes.fromhex(content_key)).decrypt(
    decode(iv), decode(ciphertext) + decode(tag), header.encode()).decode())
END

my $node = KmsTest->node('jose', init => [ allows_streaming => 1 ]);
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

foreach my $case (
	[ 'sha1', 'RSA-2048', 'RSA-OAEP' ],
	[ 'sha256', 'RSA-3072', 'RSA-OAEP-256' ])
{
	my ($digest, $algorithm, $alg) = @$case;
	my $key_id = $node->safe_psql('postgres',
		"SET kms.oaep_hash = '$digest'; SELECT key_id FROM kms_issue_key('$alg', NULL, '$algorithm')");

	# Make an older key, which must not be in the set.
	$key_id = $node->safe_psql('postgres',
		"SET kms.oaep_hash = '$digest'; SELECT key_id FROM kms_rotate_key('$alg', NULL, '$algorithm')");
	my $given = $node->safe_psql('postgres',
		"SELECT jsonb_build_object('key_id', '$key_id', 'pem', kms_public_key('$key_id'),
			'jwk', kms_jwk('$key_id')::text, 'jwks', kms_jwks('$alg')::text)");
	my ($same, $same_set, $by_id, $same_pem, $private, $block, $token) =
	  split /\n/, python($client, $given);

	is($same, 'True', "$alg: the JWK is the key of the PEM");
	is($same_set, 'True', "$alg: the set has only this key");
	is($by_id, 'True', "$alg: the JWK has its key id");
	is($same_pem, 'True', "$alg: the numbers are those of the PEM");
	is($private, 'False', "$alg: there is no private part");
	is($node->safe_psql('postgres', "SELECT kms_decrypt('$key_id', '$block')"),
		'päss 4711', "$alg: the database decrypts a block made with the JWK");

	my $wrapped = (split /\./, $token)[1];
	my $content_key = $node->safe_psql('postgres',
		"SELECT encode(kms_decrypt_bytea('$key_id',
			decode(translate('$wrapped', '-_', '+/') || repeat('=', -length('$wrapped') & 3), 'base64')), 'hex')");
	is(length $content_key, 64, "$alg: the database decrypts the key of a JWE");
	is(python($opener, "$token $content_key"),
		'a longer secret', "$alg: that key decrypts the JWE");
}

# ---- A standby -----------------------------------------------------------

my $standby = KmsTest->standby($node, 'standby');
$node->wait_for_catchup($standby);
my $both = q{SELECT kms_jwk(key_id), kms_jwks(device_id) FROM kms.keys WHERE state = 'active' ORDER BY key_id};
is($standby->safe_psql('postgres', $both), $node->safe_psql('postgres', $both),
	'a standby returns the same');

$standby->stop;
$node->stop;
done_testing();

sub python
{
	my ($program, $input) = @_;
	my ($output, $errors);

	IPC::Run::run([ 'python3', '-X', 'utf8', '-c', $program ],
		'<', \$input, '>', \$output, '2>', \$errors)
	  or die "python3: $errors";
	chomp $output;
	return $output;
}
