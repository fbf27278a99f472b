# Plaintext is UTF-8 outside and text of the database's encoding inside, and so
# are headers of a JWE.  If they cannot be converted, they are refused, and no
# message or log line shows them.
use strict;
use warnings;

use FindBin;
use MIME::Base64 ();
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('encodings', conf => 'log_min_messages = debug1');
my $canary = 'canary1717';

foreach my $encoding (qw(LATIN1 WIN1252 SQL_ASCII EUC_JP EUC_TW))
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
# A JWE of the same: the key is in two databases, one of which has the character.
my ($pem) = run_command([qw(openssl genpkey -algorithm X25519)]);
$node->safe_psql($_, "SELECT kms_import_key('latin', '$pem', 'both', deprecated => false)") foreach qw(LATIN1 WIN1252);
my $jwe = result('WIN1252', "SELECT kms_encrypt_jwe('both', '$canary' || convert_from('\\x80', 'WIN1252'))");
$error = result('LATIN1', "SELECT kms_decrypt_jwe('$jwe', 'latin')");
like($error, qr/22021: +\S.*HINT:  Use kms_decrypt_jwe_bytea\(\) for binary data\./s, 'the same of a JWE is refused');
unlike($error, qr/$canary|e2|82|ac/i, 'the error about a JWE shows no plaintext');
like(result('LATIN1', "SELECT kms_decrypt_jwe_bytea('$jwe', 'latin')"), qr/e282ac$/, 'kms_decrypt_jwe_bytea() returns the bytes');
like(
	result('LATIN1', "SELECT kms_decrypt_recover('both', '$jwe', 'test')"),
	qr/22021: +\S.*Pass convert_to\(ciphertext, 'UTF8'\) to kms_decrypt_recover_bytea/s,
	'the hint of kms_decrypt_recover for a JWE is right');
like(result('LATIN1', "SELECT kms_decrypt_recover_bytea('both', convert_to('$jwe', 'UTF8'), 'test')"),
	qr/e282ac$/, 'kms_decrypt_recover_bytea() returns the bytes');
like(
	result('LATIN1', "SELECT kms_decrypt_recover('$key', $euro, 'test')"),
	qr/22021: +\S.*kms_decrypt_recover_bytea/s, 'the hint of kms_decrypt_recover for a block is right');
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
is( result('WIN1252', 'SELECT kms_key_state(key_id), length(state_reason) FROM kms.keys WHERE state_reason IS NOT NULL'),
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

# Its characters of four bytes have three in UTF-8.
$key = $node->safe_psql('EUC_TW', "SELECT key_id FROM kms_issue_key('long', algorithm => 'RSA-4096')");
my $long = sub { "repeat(convert_from('\\x8ea2a1a1', 'EUC_TW'), $_[0])" };
is( result('EUC_TW',
		"SELECT octet_length(t), kms_decrypt('$key', kms_encrypt('$key', t)) = t FROM (SELECT " . $long->(156) . ' AS t) AS v'),
	'624|t',
	'text that fits in UTF-8 only is encrypted');
like(
	result('EUC_TW', "SELECT kms_encrypt('$key', " . $long->(157) . ')'),
	qr/22023.*too long.*\nDETAIL:  The plaintext has 471 bytes; .*470/s,
	'one more character is too long');

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
my $ec = $node->safe_psql('SQL_ASCII', "SELECT key_id FROM kms_issue_key('ascii', NULL, 'EC-P256')");
is( result('SQL_ASCII', "SELECT kms_decrypt_jwe_bytea(kms_encrypt_jwe('$ec', E'\\xc3\\xa9'), 'ascii')"),
	'\xc3a9',
	'UTF-8 is encrypted as it is');
foreach ([ kms_encrypt => $key, qr/kms_encrypt_bytea/ ], [ kms_encrypt_jwe => $ec, qr/^(?!.*HINT)/s ])
{
	my ($function, $id, $hint) = @$_;
	my $error = result('SQL_ASCII', "SELECT $function('$id', '$canary' || E'\\xe9')");
	like($error, qr/22023: +plaintext cannot be converted to UTF8/, "$function refuses text that is not UTF-8");
	like($error, $hint, "the hint of $function works");
	unlike($error, qr/$canary/, "$function does not show the text that it refuses");
}

# ---- Headers of a JWE ----------------------------------------------------

# The JSON form is text of the database; the protected header is UTF-8.
sub compact
{
	my $header = shift;
	return "'" . (MIME::Base64::encode_base64url($header)) . "....'";
}

sub header
{
	my ($db, $jwe, $path) = @_;
	return result($db,
		"SELECT convert_to(kms_jwe_header($jwe) #>> '{$path}', getdatabaseencoding())");
}

# In each encoding: é and kanji as the database has them.
foreach (
	[ 'LATIN1', "\xc3\xa9", '\u00e9', 'e9' ],
	[ 'EUC_JP', "\xe6\xbc\xa2", '\u6f22', 'b4c1' ],
	[ 'SQL_ASCII', "\xc3\xa9", '\u00e9', 'c3a9' ])
{
	my ($db, $utf8, $escape, $bytes) = @$_;
	my $text = $db eq 'SQL_ASCII' ? "'$utf8'" : "convert_from('\\x$bytes', '$db')";
	foreach my $character ($utf8, $escape)
	{
		is(header($db, compact(qq({"a":"$character"})), 'protected,a'),
			"\\x$bytes", "$db: the protected header is converted");
		my $error = result($db,
			'SELECT kms_jwe_header(' . compact(qq({"$character":"$canary","$escape":2})) . ')');
		like($error, qr/22023: +"protected" of the JWE contains a name twice/,
			"$db: names are compared without escapes");
		unlike($error, qr/$canary/, "$db: names that are the same are not shown");
	}
	foreach my $character ($text, "'$escape'")
	{
		is( header($db, qq('{"ciphertext":"","unprotected":{"a":"' || $character || '"}}'), 'unprotected,a'),
			"\\x$bytes", "$db: the JSON form is converted");
	}
}

# Characters that the database lacks, as such and escaped; bytes that are no text.
foreach (
	[ 'LATIN1', "\xe2\x82\xac", '\u20ac' ],
	[ 'EUC_JP', "\xf0\x9f\x98\x80", '\ud83d\ude00' ])
{
	my ($db, $utf8, $escape) = @$_;
	foreach (
		[ protected => compact(qq({"a":"$canary$utf8"})) ],
		[ protected => compact(qq({"a":"$canary$escape"})) ],
		[ protected => compact(qq({"$canary$escape":1})) ],
		[ header => qq('{"ciphertext":"","header":{"a":["$canary$escape"]}}') ])
	{
		my ($part, $jwe) = @$_;
		my $error = result($db, "SELECT kms_jwe_header($jwe)");
		like($error, qr/22023: +"$part" of the JWE contains a character that the database's encoding does not have/,
			"$db: a character that the database lacks cannot be shown");
		unlike($error, qr/$canary/, "$db: what cannot be shown is not in the error");
	}
}
foreach my $db (qw(LATIN1 EUC_JP SQL_ASCII))
{
	my $error = result($db, 'SELECT kms_jwe_header(' . compact(qq({"a":"$canary\xff"})) . ')');
	like($error, qr/22023: +"protected" of the JWE contains text that is not Unicode/,
		"$db: the protected header must be UTF-8");
	unlike($error, qr/$canary/, "$db: a header that is not UTF-8 is not shown");
}
$error = result('SQL_ASCII', qq(SELECT kms_jwe_header('{"header":{"a":"$canary' || E'\\377' || '"}}')));
like($error, qr/22023: +JWE contains text that is not Unicode/,
	'SQL_ASCII: the JSON form must be UTF-8');
unlike($error, qr/$canary/, 'SQL_ASCII: a form that is not UTF-8 is not shown');

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
