# Plaintext is UTF-8 outside and text of the database's encoding inside.
# Plaintext that cannot be converted is refused, and no message or log line shows
# it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('encodings', conf => 'log_min_messages = debug1');
my $canary = 'canary1717';

foreach my $encoding (qw(LATIN1 WIN1252 SQL_ASCII EUC_JP))
{
	$node->safe_psql('postgres',
		"CREATE DATABASE \"$encoding\" ENCODING '$encoding' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
	);
	$node->safe_psql($encoding, 'CREATE EXTENSION kms');
}

# Run a statement and return its output, or its SQLSTATE, message, detail and hint.
sub result
{
	my ($db, $sql) = @_;
	my ($status, $out, $err) =
	  $node->psql($db, "SET client_encoding = sql_ascii; \\set VERBOSITY verbose\n$sql");
	return $out if $status == 0;
	$err =~ s/^(?:LOCATION|CONTEXT):.*\n?//mg;
	$err =~ s/^psql:\S+ //mg;
	return $err;
}

sub key
{
	my ($db, $device) = @_;
	return $node->safe_psql($db, "SELECT key_id FROM kms_issue_key('$device')");
}

# ---- LATIN1 --------------------------------------------------------------

my $key = key('LATIN1', 'latin');
is( result('LATIN1',
		"SELECT kms_decrypt_bytea('$key', decode(kms_encrypt('$key', chr(233)), 'base64'))"),
	'\xc3a9',
	'text of LATIN1 leaves as UTF-8');
is( result('LATIN1',
		"SELECT convert_to(kms_decrypt('$key', encode(kms_encrypt_bytea('$key', '\\xc3a9'), 'base64')), 'LATIN1')"),
	'\xe9',
	'UTF-8 becomes text of LATIN1');
is( result('LATIN1',
		"SELECT bool_and(kms_decrypt('$key', kms_encrypt('$key', chr(n))) = chr(n)) FROM generate_series(1, 255) AS n"),
	't',
	'each character of LATIN1 makes the round trip');
is( result('LATIN1',
		"SELECT length(kms_decrypt('$key', kms_encrypt('$key', repeat(chr(233), 107))))"),
	'107',
	'as many characters as fit in UTF-8 work');
like(
	result('LATIN1', "SELECT kms_encrypt('$key', repeat(chr(233), 108))"),
	qr/22023.*too long.*\nDETAIL:  The plaintext has 216 bytes; .*214/s,
	'one more character does not work');

my $euro = "encode(kms_encrypt_bytea('$key', convert_to('$canary', 'UTF8') || '\\xe282ac'), 'base64')";
my $error = result('LATIN1', "SELECT kms_decrypt('$key', $euro)");
like($error, qr/22021: +\S.*kms_decrypt_bytea/s,
	'a character that LATIN1 lacks is refused');
unlike($error, qr/$canary|e2|82|ac/i, 'the error shows no plaintext');
is(result('LATIN1', "SELECT kms_try_decrypt('$key', $euro) IS NULL"),
	't', 'kms_try_decrypt gives NULL');
like(
	result('LATIN1',
		"SELECT kms_decrypt_bytea('$key', decode($euro, 'base64'))"),
	qr/e282ac$/,
	'kms_decrypt_bytea() returns the bytes');
is( result('LATIN1',
		"SELECT (SELECT finding FROM kms_diagnose('$key', $euro) OFFSET 1)"),
	"the plaintext is not text in the database's encoding",
	'kms_diagnose says that a plaintext is not text');
is( result('LATIN1',
		"SELECT (SELECT finding FROM kms_diagnose('$key', kms_encrypt('$key', chr(233))) OFFSET 1)"),
	"the plaintext is text in the database's encoding",
	'kms_diagnose says that a character of LATIN1 is text');
foreach my $bytes ('00', 'ff', 'c3', 'e9', 'eda080', 'c0af')
{
	my $error = result('LATIN1',
		"SELECT kms_decrypt('$key', encode(kms_encrypt_bytea('$key', convert_to('$canary', 'UTF8') || '\\x$bytes'), 'base64'))"
	);
	like($error, qr/22021/, "$bytes is no text");
	unlike($error, qr/$canary/, "$bytes is not shown");
}

# Device ids are text of the database; they are sealed in UTF-8.
is( result('LATIN1',
		"SELECT kms_decrypt(k, kms_encrypt(k, 'x'), 'd' || chr(252)) FROM (SELECT key_id AS k FROM kms_issue_key('d' || chr(252), chr(233))) AS i"),
	'x',
	'a device id of LATIN1 works');

# The longest of them, of characters that take three bytes there.
is( result('WIN1252',
		"SELECT kms_decrypt(k, kms_encrypt(k, 'x')), kms_revoke_key(k, repeat(chr(128), 255)) FROM
		(SELECT key_id AS k FROM kms_issue_key(repeat(chr(128), 255), repeat(chr(128), 64))) AS i"),
	'x|revoked',
	'the longest device id, app version and reason of WIN1252 work');
is( result('WIN1252', 'SELECT kms_key_state(key_id), length(state_reason) FROM kms.keys'),
	'revoked|255', 'these texts are sealed');

# Control characters are recognised by the character and not by the byte: 0x80 is
# a C1 control in LATIN1, and a euro sign in WIN1252.
like(result('LATIN1', "SELECT kms_rate_limit_status('d' || chr(128))"),
	qr/22023: +invalid device id\nDETAIL:  .*bidirectional/, 'C1 controls of LATIN1 are refused');
like(
	result('LATIN1', "SELECT set_config('kms.audit_context', 'd' || chr(128), false)"),
	qr/22023: +invalid value for parameter "kms.audit_context"\n/,
	'a C1 control in kms.audit_context is refused, and not shown');

# ---- A multi-byte encoding -----------------------------------------------

$key = key('EUC_JP', 'kanji');
is( result('EUC_JP',
		"SELECT convert_to(kms_decrypt('$key', encode(kms_encrypt_bytea('$key', '\\xe6bca2e5ad97'), 'base64')), 'UTF8')"),
	'\xe6bca2e5ad97',
	'kanji are converted');
is( result('EUC_JP',
		"SELECT kms_decrypt_bytea('$key', decode(kms_encrypt('$key', convert_from('\\xb4c1bbfa', 'EUC_JP')), 'base64'))"),
	'\xe6bca2e5ad97',
	'kanji are converted in both directions');
like(
	result('EUC_JP',
		"SELECT kms_decrypt('$key', encode(kms_encrypt_bytea('$key', '\\xf09f9491'), 'base64'))"),
	qr/22021/,
	'a character that EUC_JP lacks is refused');

# ---- SQL_ASCII -----------------------------------------------------------

$key = key('SQL_ASCII', 'ascii');
is( result('SQL_ASCII',
		"SELECT kms_decrypt_bytea('$key', decode(kms_encrypt('$key', 'abc'), 'base64'))"),
	'\x616263',
	'ASCII is ASCII');
is( result('SQL_ASCII',
		"SELECT decode(encode(kms_decrypt('$key', encode(kms_encrypt_bytea('$key', '\\xc3a9'), 'base64'))::bytea, 'escape'), 'escape')"),
	'\xc3a9',
	'UTF-8 is taken as it is');
$error = result('SQL_ASCII',
	"SELECT kms_decrypt('$key', encode(kms_encrypt_bytea('$key', convert_to('$canary', 'UTF8') || '\\xff'), 'base64'))"
);
like($error, qr/22021/, 'plaintext that is not UTF-8 is refused');
unlike($error, qr/$canary/, 'plaintext that is not UTF-8 is not shown');

# ---- Events and log ------------------------------------------------------

foreach my $db (qw(LATIN1 SQL_ASCII EUC_JP))
{
	cmp_ok(KmsTest::events($node, $db, "reason = 'Plaintext is not text'"),
		'>', 0, "$db: failures are recorded");
	is( $node->safe_psql($db,
			"SELECT count(*) FROM kms.event AS e WHERE e::text LIKE '%$canary%'"),
		'0', "$db: without plaintext");
}
# The log line of our errors hides the statement, so the canary is not in it.
unlike(slurp_file($node->logfile), qr/ERROR:[^\n]*$canary/,
	'no error in the log shows plaintext');

$node->stop;
done_testing();
