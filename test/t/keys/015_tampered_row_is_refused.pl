# If a row was changed behind the extension's back, every session refuses it
# with XX001, even one that has the key open.  The refusal is recorded, and
# kms_check() finds the row.  After the row is restored, the key works again.
# Only kms_check() finds a complete old row.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('tampered', conf => 'kms.maintenance = off');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my ($other, $other_pem) = KmsClient::issue($node, 'postgres', 'other phone');
my ($rotated) = KmsClient::issue($node, 'postgres', 'rotated');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $other_ciphertext = KmsTest::encrypt_with_openssl($other_pem, 'other secret');
my $old_ciphertext = $node->safe_psql('postgres',
	"SELECT kms_encrypt('$rotated', 'old secret')");
$node->safe_psql('postgres', "SELECT kms_rotate_key('rotated')");

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE good_key AS SELECT * FROM kms.key;
CREATE TABLE good_secret AS SELECT key_id, public_key, wrapped_key FROM kms.key_secret;
SQL
my $put_back = <<'SQL';
DELETE FROM kms.key_secret;
DELETE FROM kms.key;
INSERT INTO kms.key SELECT * FROM good_key;
INSERT INTO kms.key_secret SELECT * FROM good_secret;
SQL

# This session has the keys open and authenticated throughout.
my $session = KmsClient->session($node, 'postgres');
$session->query("SELECT kms_decrypt('$key', '$ciphertext'),
	kms_decrypt('$other', '$other_ciphertext'), kms_decrypt('$rotated', '$old_ciphertext')");
is($session->{state}, '00000', 'the keys work as they are');
unlike(KmsClient::findings($node, 'postgres'), qr/authenticate|older/,
	'kms_check() finds nothing');

# Change a row or its secret, and require that decrypting and issuing refuse
# it. "device" is the device to which issue would return the key, undef if
# none.
sub refused
{
	my ($name, $sql, %opt) = @_;
	my $id = $opt{key} || $key;
	my $device = exists $opt{device} ? $opt{device} : 'phone';
	my $sent = $id eq $rotated ? $old_ciphertext : $ciphertext;
	my $asked = $opt{key_id} || $id;
	my $since = KmsTest::events($node, 'postgres');
	my %calls = (
		decrypt => "kms_decrypt('$asked', '$sent')",
		kms_public_key => "kms_public_key('$asked')",
		kms_jwk => "kms_jwk('$asked')",
		kms_diagnose => "kms_diagnose('$asked', '$sent')",
		recover => "kms_decrypt_recover('$asked', '$sent', 'test')");
	my $failures = 1 + keys %calls;

	$calls{issue} = "kms_issue_key('$device')" if defined $device;
	$calls{kms_jwks} = "kms_jwks('$device')" if defined $device;
	$node->safe_psql('postgres', $sql);
	foreach my $call (sort keys %calls)
	{
		like(KmsClient::error($node, 'postgres', "SELECT $calls{$call}"),
			qr/ERROR:  XX001: stored key "\Q$asked\E" does not authenticate\nHINT:  The row was changed/m,
			"$name: refused by $call");
	}
	$session->query("SELECT $calls{decrypt}");
	is($session->{state}, 'XX001', "$name: refused by a session that has the key open");
	is( $node->safe_psql('postgres',
			"SELECT kms_try_decrypt('$asked', '$sent') IS NULL"),
		't', "$name: NULL for kms_try_decrypt");
	is( KmsTest::events($node, 'postgres',
			"key_id = '$asked' AND operation = 'decrypt' AND status = 'failure'
			AND reason = 'Stored key does not authenticate' AND ticket > $since"),
		'3', "$name: recorded with its reason");
	like(KmsClient::findings($node, 'postgres'),
		qr/^error: .*do not authenticate[^(]*\Q$asked\E/m,
		"$name: found by kms_check()");
	$node->safe_psql('postgres', $put_back);
}

sub tampered
{
	my ($name, $change, %opt) = @_;
	my $id = $opt{key} || $key;
	return refused($name, "UPDATE kms.key SET $change WHERE key_id = '$id'", %opt);
}

sub tampered_secret
{
	my ($name, $change) = @_;
	return refused($name,
		"UPDATE kms.key_secret SET $change WHERE key_id = '$key'");
}

# ---- Columns -------------------------------------------------------------

tampered('device', "device_id = 'thief'", device => 'thief');
tampered('app version', "app_version = '6.6.6'");
tampered('later expiry', "expires_at = expires_at + '1 year'");
tampered('earlier expiry', "expires_at = now() - interval '1 s'", device => undef);
tampered('creation', "created_at = created_at - interval '1 us'");
tampered('digest', "oaep_hash = 'sha256'");
tampered('the digest of MGF1', "mgf1_hash = 'sha256'");
tampered('algorithm', "algorithm = 'RSA-4096'");
tampered('origin', "origin = 'imported'");
tampered('reason', "state_reason = 'because'");
tampered('time of change', "state_changed_at = state_changed_at + interval '1 us'");
tampered('time of deletion', "delete_at = now() + interval '1 year'");
tampered('prior state', "prior_state = 'active'");
tampered('version', 'row_version = row_version + 1');
tampered('no seal', 'seal = NULL');
tampered('empty seal', "seal = ''");
tampered('short seal', 'seal = substr(seal, 1, length(seal) - 1)');
tampered('long seal', 'seal = seal || seal');
tampered('bit in the seal',
	'seal = set_byte(seal, length(seal) - 1, get_byte(seal, length(seal) - 1) # 1)');
tampered('seal of another row',
	"seal = (SELECT seal FROM kms.key WHERE key_id = '$other')");

# A denied key stays denied, only with another error.
tampered('made deprecated', "state = 'deprecated'", device => undef);
tampered('made disabled', "state = 'disabled'", device => undef);
tampered('made revoked', "state = 'revoked'", device => undef);
tampered('deprecated made active', "state = 'active'",
	key => $rotated, device => undef);
tampered('deprecated made active, undated',
	"state = 'active', state_reason = NULL, row_version = 1, state_changed_at = created_at",
	key => $rotated, device => undef);

my $renamed = q{'{"key_id": "another_id"}'};
refused('another id', <<"SQL", key_id => 'another_id');
DELETE FROM kms.key_secret WHERE key_id = '$key';
DELETE FROM kms.key WHERE key_id = '$key';
INSERT INTO kms.key SELECT (jsonb_populate_record(g, $renamed)).*
	FROM good_key AS g WHERE key_id = '$key';
INSERT INTO kms.key_secret SELECT (jsonb_populate_record(g, $renamed)).*
	FROM good_secret AS g WHERE key_id = '$key';
SQL

# ---- Secrets -------------------------------------------------------------

my $of_other = "FROM kms.key_secret WHERE key_id = '$other'";
tampered_secret('public key of another', "public_key = (SELECT public_key $of_other)");
tampered_secret('bit in the public key',
	'public_key = set_byte(public_key, 100, get_byte(public_key, 100) # 1)');
tampered_secret('wrap of another', "wrapped_key = (SELECT wrapped_key $of_other)");
tampered_secret('both of another',
	"(public_key, wrapped_key) = (SELECT public_key, wrapped_key $of_other)");
foreach my $at ('0', '1', '9', '41', '200', 'length(wrapped_key) - 1')
{
	tampered_secret("bit in the wrap at $at",
		"wrapped_key = set_byte(wrapped_key, $at, get_byte(wrapped_key, $at) # 1)");
}
tampered_secret('empty wrap', "wrapped_key = ''");
tampered_secret('short wrap',
	'wrapped_key = substr(wrapped_key, 1, length(wrapped_key) - 1)');
tampered_secret('long wrap', "wrapped_key = wrapped_key || '\\x00'");
tampered_secret('huge wrap', "wrapped_key = decode(repeat('00', 100000), 'hex')");
tampered_secret('empty public key', "public_key = ''");
refused('no secret', "DELETE FROM kms.key_secret WHERE key_id = '$key'");

# ---- Two rows ------------------------------------------------------------

my $swap = "CASE k.key_id WHEN '$key' THEN '$other' ELSE '$key' END";
refused('secrets swapped', <<"SQL");
UPDATE kms.key_secret AS k SET (public_key, wrapped_key) =
	(SELECT g.public_key, g.wrapped_key FROM good_secret AS g WHERE g.key_id = $swap)
WHERE key_id IN ('$key', '$other');
SQL
refused('rows swapped', <<"SQL", device => undef);
UPDATE kms.key AS k SET (device_id, created_at, expires_at, state_changed_at, seal) =
	(SELECT g.device_id, g.created_at, g.expires_at, g.state_changed_at, g.seal
	FROM good_key AS g WHERE g.key_id = $swap)
WHERE key_id IN ('$key', '$other');
SQL

# ---- A state that denies, without a seal ----------------------------------

foreach my $state ('disabled', 'revoked', 'pending_deletion')
{
	$node->safe_psql('postgres',
		"UPDATE kms.key SET state = '$state', seal = NULL WHERE key_id = '$key'");
	like( KmsClient::sqlstate($node, 'postgres',
			"SELECT kms_decrypt('$key', '$ciphertext')"),
		qr/^(?:KM004|XX001)$/, "$state without a seal: refused");
	$session->query("SELECT kms_decrypt('$key', '$ciphertext')");
	like($session->{state}, qr/^(?:KM004|XX001)$/,
		"$state without a seal: refused by a session that has the key open");
	$node->safe_psql('postgres', $put_back);
}

# ---- A complete old row --------------------------------------------------

is($session->query("SELECT kms_decrypt('$key', '$ciphertext')"), 'secret',
	'after the row is restored, the key works');
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE before AS SELECT * FROM kms.key WHERE key_id = '$key';
SET kms.keygen_limit = 100;
SELECT kms_rotate_key('phone');
SELECT kms_flush_events();
SQL
unlike(KmsClient::findings($node, 'postgres'), qr/older/,
	'kms_check() does not report a rotation');
$node->safe_psql('postgres', <<"SQL");
DELETE FROM kms.key WHERE key_id = '$key';
INSERT INTO kms.key SELECT * FROM before;
DELETE FROM kms.key_secret WHERE key_id = '$key';
INSERT INTO kms.key_secret SELECT * FROM good_secret WHERE key_id = '$key';
SQL
like(KmsClient::findings($node, 'postgres'),
	qr/^error: keys are older than the trail says they should be: \Q$key\E \(/m,
	'kms_check() finds an old row that was restored');
$session->quit;

# Restore a row from a backup whose key was deleted since.
my ($gone) = KmsClient::issue($node, 'postgres', 'gone phone');
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE gone_key AS SELECT * FROM kms.key WHERE key_id = '$gone';
CREATE TABLE gone_secret AS SELECT key_id, public_key, wrapped_key FROM kms.key_secret WHERE key_id = '$gone';
SELECT kms_destroy_key('$gone', '$gone');
SELECT kms_flush_events();
INSERT INTO kms.key SELECT * FROM gone_key;
INSERT INTO kms.key_secret SELECT * FROM gone_secret;
SQL
like(KmsClient::findings($node, 'postgres'),
	qr/^error: keys are older than the trail says they should be: .*\Q$gone\E/m,
	'kms_check() finds the row of a destroyed key');

$node->stop;
done_testing();
