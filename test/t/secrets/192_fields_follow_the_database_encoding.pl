# The text of a field, its context and the scope of a blind index are UTF-8 for
# the cryptography and text of the database's encoding in SQL.  So values and
# indexes of one database are good in another one with the same field key.  Text
# that cannot be converted is refused at once, and no message or log line shows it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('encodings', conf => 'log_min_messages = debug1');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $canary = 'canary1717';
my @databases = qw(UTF8 LATIN1 EUC_JIS_2004 EUC_TW SQL_ASCII);

# ---- Databases with the same keys -----------------------------------------

my $columns = 'field_key, version, field_key_id, created_at, state, state_changed_at, row_version, rotate_after, rotate_at, wrapped_key, wrapped_under, seal';
my ($pem) = run_command([qw(openssl genpkey -algorithm X25519)]);
foreach my $db (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE \"$db\" ENCODING '$db' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($db, 'CREATE EXTENSION kms');
	$node->safe_psql($db, "SELECT kms_import_key('phone', '$pem', 'phone', deprecated => false)");
	$node->safe_psql($db,
		$db eq 'UTF8'
		? "SELECT kms_create_field_key('tax'), kms_rotate_field_key('tax'); COPY kms.field_key ($columns) TO '$dir/keys'"
		: "COPY kms.field_key ($columns) FROM '$dir/keys'");
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

# The SQL of a text in a database, from UTF-8 in hexadecimal.
sub text
{
	my ($db, $hex) = @_;
	return "E'" . ($hex =~ s/(..)/\\x$1/gr) . "'" if $db eq 'SQL_ASCII';
	my $bytes = $node->safe_psql('UTF8', "SELECT encode(convert_to(convert_from('\\x$hex', 'UTF8'), '$db'), 'hex')");
	return "convert_from('\\x$bytes', '$db')";
}

# ---- From each database to each other --------------------------------------

# é; a kanji; kana with a combining mark, which is one character there; one that
# EUC_TW writes with four bytes
my %shared = (
	c3a9 => [qw(UTF8 LATIN1 EUC_JIS_2004 SQL_ASCII)],
	e6bca2 => [qw(UTF8 EUC_JIS_2004 EUC_TW SQL_ASCII)],
	e3818be3829a => [qw(UTF8 EUC_JIS_2004 SQL_ASCII)],
	e4b982 => [qw(UTF8 EUC_TW SQL_ASCII)]);
foreach my $hex (sort keys %shared)
{
	my %made;
	foreach my $db (@{ $shared{$hex} })
	{
		my $text = text($db, $hex);
		$made{$db} = [
			split /\|/, result($db,
				"SELECT kms_encrypt_field('tax', 'x' || $text, 'person.' || $text),
				kms_blind_index('tax', 'x' || $text, 's' || $text), kms_blind_index('tax', 'x' || $text, 's' || $text, 'alnum'),
				kms_decrypt_to_field('phone', kms_encrypt_jwe('phone', 'x' || $text), 'tax', 'person.' || $text, 'phone'),
				kms_decrypt_to_index('phone', kms_encrypt_jwe('phone', 'x' || $text), 'tax', 's' || $text, 'phone')") ];
	}
	foreach my $from (@{ $shared{$hex} })
	{
		my ($value, $index, $folded, $sent, $sent_index) = @{ $made{$from} };
		foreach my $to (@{ $shared{$hex} })
		{
			my $text = text($to, $hex);
			is( result($to,
					"SELECT bool_and(kms_decrypt_field(v, 'person.' || $text) = 'x' || $text
						AND kms_decrypt_field_bytea(v, 'person.' || $text) = '\\x78$hex'
						AND kms_decrypt_field(kms_refresh_field(v, 'person.' || $text, $text), $text) = 'x' || $text)
					FROM unnest(ARRAY['$value', '$sent']::bytea[]) AS v"),
				't', "$hex: values of $from open in $to");
			is(join(' ', @{ $made{$to} }[ 1, 2, 4 ]), "$index $folded $index", "$hex: indexes of $from and $to are equal");
		}
	}
}
is( result('LATIN1',
		"SELECT bool_and(kms_decrypt_field(kms_encrypt_field('tax', chr(n), chr(n)), chr(n)) = chr(n)),
		count(DISTINCT kms_blind_index('tax', chr(n), 's')) FROM generate_series(1, 255) AS n"),
	't|255', 'each character of LATIN1 makes the round trip');

# ---- Lengths are those of UTF-8 --------------------------------------------

my $e = text('LATIN1', 'c3a9');
is(result('LATIN1', "SELECT octet_length(kms_encrypt_field('tax', repeat($e, 10), repeat($e, 512)))"),
	20 + 53, 'the longest context of LATIN1');
like(result('LATIN1', "SELECT kms_encrypt_field('tax', 'x', repeat($e, 513))"),
	qr/22023: +invalid context\nDETAIL: .* 1024 bytes in UTF8/, 'one character more');
my $four = text('EUC_TW', 'e4b982');
my $value = result('UTF8', "SELECT kms_encrypt_field('tax', 'x', repeat(" . text('UTF8', 'e4b982') . ", 341))");
is(result('EUC_TW', "SELECT octet_length(repeat($four, 341)), kms_decrypt_field('$value', repeat($four, 341))"),
	'1364|x', 'a context that is longer in the database than in UTF-8');

# ---- What a database does not have ------------------------------------------

my $euro = "convert_to('$canary', 'UTF8') || '\\xe282ac'";
$value = result('UTF8', "SELECT kms_encrypt_field_bytea('tax', $euro, 'c')");
my $jwe = result('UTF8', "SELECT kms_encrypt_jwe('phone', convert_from($euro, 'UTF8'))");
my $broken = result('UTF8', "SELECT kms_encrypt_field_bytea('tax', convert_to('$canary', 'UTF8') || '\\xff', 'c')");
foreach my $db (qw(LATIN1 EUC_TW))
{
	refused($db, "kms_decrypt_field('$value', 'c')", qr/22021: .*\nHINT: .*kms_decrypt_field_bytea/, 'a stored value');
	is(result($db, "SELECT kms_try_decrypt_field('$value', 'c') IS NULL"), 't', "$db: kms_try_decrypt_field() gives NULL");
	like(result($db, "SELECT kms_decrypt_field_bytea('$value', 'c')"), qr/e282ac$/, "$db: the bytes can be had");
	refused($db, "kms_decrypt_to_field('phone', '$jwe', 'tax', 'c', 'phone')", qr/22021: .*\nHINT: .*"bytes"/, 'what is to be stored');
	refused($db, "kms_decrypt_to_index('phone', '$jwe', 'tax', 's', 'phone')", qr/22021: /, 'what is to be indexed');
	like(
		result($db, "SELECT kms_decrypt_field_bytea(kms_decrypt_to_field('phone', '$jwe', 'tax', 'c', 'phone', bytes => true), 'c')"),
		qr/e282ac$/, "$db: bytes can be stored");
}
foreach my $db (@databases)
{
	refused($db, "kms_decrypt_field('$broken', 'c')", qr/22021: /, 'bytes that are no text');
}

# ---- What is not UTF-8 -------------------------------------------------------

# In SQL_ASCII any bytes are text; in EUC_JIS_2004, also those of no character.
$node->safe_psql('EUC_JIS_2004', <<'SQL');
CREATE FUNCTION unassigned() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c text;
BEGIN
	FOR n IN 161 .. 254 LOOP
		c := convert_from(decode(to_hex(n) || 'fe', 'hex'), 'EUC_JIS_2004');
		BEGIN
			PERFORM convert_to(c, 'UTF8');
		EXCEPTION WHEN untranslatable_character THEN
			RETURN c;
		END;
	END LOOP;
END $$;
SQL
my $nothing = 'unassigned()';
like(result('EUC_JIS_2004', "SELECT convert_to($nothing, 'UTF8')"), qr/22P05: .*0x/, 'PostgreSQL shows what it cannot convert');
foreach ([ SQL_ASCII => "'$canary' || E'\\xe9'" ], [ EUC_JIS_2004 => "'$canary' || $nothing" ])
{
	my ($db, $bad) = @$_;
	foreach (
		[ context => "kms_encrypt_field('tax', 'x', $bad)" ],
		[ context => "kms_decrypt_field('$value', $bad)" ],
		[ context => "kms_try_decrypt_field('$value', $bad)" ],
		[ context => "kms_refresh_field('$value', $bad)" ],
		[ context => "kms_refresh_field('$value', 'c', $bad)" ],
		[ context => "kms_decrypt_to_field('phone', '$jwe', 'tax', $bad, 'phone')" ],
		[ plaintext => "kms_encrypt_field('tax', $bad, 'c')" ],
		[ plaintext => "kms_blind_index('tax', $bad, 's')" ],
		[ scope => "kms_blind_index('tax', 'x', $bad)" ],
		[ scope => "kms_decrypt_to_index('phone', '$jwe', 'tax', $bad, 'phone')" ])
	{
		my ($name, $call) = @$_;
		refused($db, $call, qr/22023: +$name cannot be converted to UTF8$/m, $call =~ s/\(.*//sr . ": $name");
	}
	refused($db, "kms_encrypt_field($bad, 'x', 'c')", qr/KM002: +field key not found$/m, 'a name');
}

sub refused
{
	my ($db, $call, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $error = result($db, "SELECT $call");
	like($error, $expected, "$db: refused: $name");
	unlike($error =~ s/^LINE 1:.*\n//mr, qr/$canary|0x|e282ac|fefe/i, "$db: not shown: $name");
}

# ---- Events and log ----------------------------------------------------------

foreach my $db (@databases)
{
	cmp_ok(KmsTest::events($node, $db, "reason = 'Plaintext is not text'"), '>', 0, "$db: failures are recorded");
	is($node->safe_psql($db, "SELECT count(*) FROM kms.event AS e WHERE e::text LIKE '%$canary%'"), '0', "$db: without plaintext");
}
unlike(slurp_file($node->logfile), qr/(?:ERROR|DETAIL|HINT):[^\n]*$canary/, 'no error in the log shows plaintext');

$node->stop;
done_testing();
