# Each hint of kms_diagnose(), followed literally, leads to the plaintext or says
# that nothing can be done.
#
# Ciphertexts are sent in each form of crypto/looks_list.h and in forms of forms.
# In a database of each kind of encoding, the SQL of each hint is run: the SQL
# of a form yields a text of which kms_diagnose() finds the rest, and the SQL of
# the last findings yields the plaintext.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use JSON::PP;
use KmsTest;
use MIME::Base64 qw(encode_base64 decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('hints');
my %plain = (text => '4711', bytes => "\xff\x00\xc3\x28");

# ---- What is sent --------------------------------------------------------

sub base64 { return encode_base64($_[0], '') }
sub hex_of { return unpack 'H*', $_[0] }
sub json { return JSON::PP->new->canonical->encode($_[0]) }
sub bytes_of { return unpack 'C*', $_[0] }

# The bytes of a text that was read as Latin-1 and written as UTF-8.
sub latin1
{
	my $bytes = shift;
	utf8::encode($bytes);
	return $bytes;
}

sub utf16 { return pack 'v*', unpack 'C*', $_[0] }

sub percent
{
	my $text = shift;
	$text =~ s{([^A-Za-z0-9])}{sprintf '%%%02X', ord $1}ge;
	return $text;
}

sub html
{
	my $text = shift;
	my %entity = ('+' => '&#43;', '/' => '&#x2F;', '=' => '&#x3D;', '"' => '&quot;', '&' => '&amp;');
	$text =~ s{([+/="&])}{$entity{$1}}g;
	return $text;
}

sub escape_json { return substr(json([ $_[0] ]), 2, -2) =~ s{/}{\\/}gr =~ s{\+}{\\u002b}gr }
sub add_slashes { return $_[0] =~ s{(['"\\])}{\\$1}gr }

sub python
{
	my $bytes = shift;
	my %short = ("\t" => '\t', "\n" => '\n', "\r" => '\r', '\\' => '\\\\', "'" => "\\'");
	$bytes =~ s{([^ -~]|[\\'])}{$short{$1} // sprintf '\\x%02x', ord $1}gse;
	return "b'$bytes'";
}

sub octal
{
	my $bytes = shift;
	$bytes =~ s{\\}{\\\\}g;
	$bytes =~ s{([^ -~])}{sprintf '\\%03o', ord $1}ge;
	return $bytes;
}

sub serialized { return sprintf 's:%d:"%s";', length $_[0], $_[0] }
sub pem { return "-----BEGIN MESSAGE-----\n" . encode_base64($_[0]) . "-----END MESSAGE-----\n" }

# Digits that decode to the same bytes and more bits.
sub other_bits
{
	my $text = base64($_[0]);
	$text =~ s{([A-Za-z0-9+/])(=+)$}{ chr(ord($1) + 1) . $2 }e;
	return $text;
}

my $zero_width = "\xe2\x80\x8b";

# Name of the form => how a client makes it of the bytes of a block; and what
# the block must be like, if not any one serves.
my @repaired = (
	[ 'base64' => \&base64 ],
	[ 'base64 in lines' => sub { encode_base64($_[0]) =~ s/\n/\r\n/gr } ],
	[ 'base64 with form feeds' => sub { base64($_[0]) =~ s/(.{64})/$1\f/gr } ],
	[ 'URL-safe base64' => sub { base64($_[0]) =~ tr{+/=}{-_}dr } ],
	[ 'base64 without padding' => sub { base64($_[0]) =~ tr/=//dr } ],
	[ 'blanks for plus signs' => sub { base64($_[0]) =~ tr/+/ /r }, sub { base64($_[0]) =~ /\+/ } ],
	[ 'bytes as Latin-1' => \&latin1, sub { $_[0] !~ /\0/ && $_[0] !~ /^\s|\s$/ } ],
	[ 'a byte order mark' => sub { "\xef\xbb\xbf" . base64($_[0]) } ],
	[ 'invisible characters' => sub { base64($_[0]) =~ s/(.{50})/$1$zero_width\xc2\xad\xe2\x80\xaa\xc2\xa0/gr } ],
	[ 'an escape of a terminal' => sub { "\x1b" . base64($_[0]) } ],
	[ 'PEM' => \&pem ],
	[ 'PEM without its end' => sub { pem($_[0]) =~ s/-----END.*//sr } ],
	[ 'a data URL' => sub { 'data:application/octet-stream;base64,' . base64($_[0]) } ],
	[ 'base64:' => sub { 'base64:' . base64($_[0]) } ],
	[ 'Vault' => sub { 'vault:v1:' . base64($_[0]) } ],
	[ 'Spring' => sub { '{cipher}{key:a}' . base64($_[0]) } ],
	[ 'Jasypt' => sub { 'ENC(' . base64($_[0]) . ')' } ],
	[ 'a Buffer of Node' => sub { '<Buffer ' . (hex_of($_[0]) =~ s/(..)(?=.)/$1 /gr) . '>' } ],
	[ 'NSData' => sub { '<' . (hex_of($_[0]) =~ s/(.{8})(?=.)/$1 /gr) . '>' } ],
	[ 'base64 of Python' => sub { "b'" . base64($_[0]) . "'" } ],
	[ 'bytes of Python' => \&python ],
	[ 'a bytearray of Python' => sub { 'bytearray(' . python($_[0]) . ')' } ],
	[ 'numbers' => sub { join ',', bytes_of($_[0]) } ],
	[ 'numbers in brackets' => sub { '[' . join(', ', bytes_of($_[0])) . ']' } ],
	[ 'numbers of Go' => sub { '[' . join(' ', bytes_of($_[0])) . ']' } ],
	[ 'numbers with a sign' => sub { '[' . join(', ', unpack 'c*', $_[0]) . ']' } ],
	[ 'a Uint8Array as Node prints it' => sub { 'Uint8Array(' . length($_[0]) . ") [\n  " . join(', ', bytes_of($_[0])) . "\n]" } ],
	[ 'hexadecimal numbers' => sub { '[]byte{' . join(', ', map { sprintf '0x%x', $_ } bytes_of($_[0])) . '}' } ],
	[ 'a Buffer in JSON' => sub { '{"type":"Buffer","data":[' . join(',', bytes_of($_[0])) . ']}' } ],
	[   'a Buffer among others in JSON' =>
		  sub { json({ id => 12, of => [ 1, 2, 3 ], pin => { type => 'Buffer', data => [ bytes_of($_[0]) ] } }) } ],
	[   'a Uint8Array in JSON' => sub {
			my @bytes = bytes_of($_[0]);
			return '{"pin":{' . join(',', map { "\"$_\":$bytes[$_]" } 0 .. $#bytes) . '}}';
		} ],
	[ 'a value in JSON' => sub { json({ pin => base64($_[0]) }) } ],
	[ 'a value in JSON with other values' => sub { json({ id => 5, pin => base64($_[0]), iv => 'AAAA', data => 'x' x 200 }) } ],
	[ 'a value in nested JSON with escapes' => sub { json({ a => [ { b => base64($_[0]) } ] }) =~ s{/}{\\/}gr =~ s{\+}{\\u002B}gr } ],
	[ 'a dictionary of Python' => sub { "{'pin': '" . base64($_[0]) . "'}" } ],
	[ 'a string in JSON with escapes' => sub { '"' . escape_json(encode_base64($_[0])) . '"' } ],
	[ 'double quotes' => sub { '"' . base64($_[0]) . '"' } ],
	[ 'single quotes' => sub { "'" . base64($_[0]) . "'\n" } ],
	[ 'backquotes' => sub { '`' . base64($_[0]) . '`' } ],
	[ 'serialize() of PHP' => sub { serialized(base64($_[0])) } ],
	[ 'serialize() of an array' => sub { 'a:1:{s:3:"pin";' . serialized(base64($_[0])) . '}' } ],
	[ 'bytea in octal' => \&octal, sub { $_[0] !~ /^[ \t\n\r]|[ \t\n\r]$/ } ],
	[ 'escapes of JSON' => sub { escape_json(encode_base64($_[0])) } ],
	[ 'escapes of JSON in lines' => sub { escape_json(base64($_[0])) =~ s/^(.{100})/$1\n/r }, sub { base64($_[0]) =~ m{^.{102}.*/} } ],
	[ 'addslashes()' => sub { add_slashes("{'pin': '" . base64($_[0]) . "'}") } ],
	[ 'percent encoding' => sub { percent(base64($_[0])) }, sub { base64($_[0]) =~ m{[+/=]} } ],
	[ 'percent encoding, twice' => sub { percent(percent(base64($_[0]))) }, sub { base64($_[0]) =~ m{[+/=]} } ],
	[ 'percent encoding of all' => sub { percent(json({ "n\xc3\xa4me" => base64($_[0]) })) } ],
	[ 'HTML' => sub { html(base64($_[0])) }, sub { base64($_[0]) =~ m{[+/=]} } ],
	[ 'JSON in HTML' => sub { html(json({ pin => base64($_[0]) })) } ],
	[ 'JSON in JSON' => sub { json({ body => json({ pin => base64($_[0]) }) }) } ],
	[ 'JSON with backslashes' => sub { add_slashes(json({ pin => base64($_[0]) })) } ],
	[ 'bytea' => sub { '\x' . hex_of($_[0]) } ],
	[ 'bytea in lines' => sub { '\x' . hex_of($_[0]) . "\n" } ],
	[ 'hexadecimal' => \&hex_of ],
	[ 'hexadecimal in upper case' => sub { uc hex_of($_[0]) } ],
	[ 'hexadecimal in lines' => sub { hex_of($_[0]) =~ s/(.{64})/$1\n/gr } ],
	[ 'hexadecimal after 0x' => sub { '0x' . hex_of($_[0]) } ],
	[ 'hexadecimal with colons' => sub { join ':', map { sprintf '%02X', $_ } bytes_of($_[0]) } ],
	[ 'hexadecimal of .NET' => sub { join '-', map { sprintf '%02X', $_ } bytes_of($_[0]) } ],
	[ 'hexadecimal of C' => sub { join '', map { sprintf '\\x%02x', $_ } bytes_of($_[0]) } ],
	[ 'hexadecimal without a zero' => sub { hex_of($_[0]) =~ s/^0//r }, sub { $_[0] =~ /^[\x01-\x0f]/ } ],
	[ 'hexadecimal without a zero, after 0x' => sub { '0x' . (hex_of($_[0]) =~ s/^0//r) }, sub { $_[0] =~ /^[\x01-\x0f]/ } ],
	[ 'base64 of both alphabets' => sub { base64($_[0]) =~ tr{+}{-}r }, sub { base64($_[0]) =~ m{\+.*/|/.*\+} } ],
	[ 'too much padding' => sub { base64($_[0]) . "==\n=" } ],
	[ 'other bits at the end' => \&other_bits, sub { base64($_[0]) =~ /=/ } ],
	[ 'base64 of base64' => sub { base64(encode_base64($_[0])) } ],
	[ 'base64 of base64 of base64' => sub { base64(base64(base64($_[0]))) } ],
	[ 'base64 of hexadecimal' => sub { base64(hex_of($_[0])) } ],
	[ 'base64 of hexadecimal and a newline' => sub { base64(hex_of($_[0]) . "\n") } ],
	[ 'URL-safe base64 of bytea' => sub { base64('\x' . hex_of($_[0])) =~ tr{+/=}{-_}dr } ],
	[ 'base64 of JSON' => sub { base64(json({ pin => base64($_[0]) })) } ],
	[ 'base64 of a text with a byte order mark' => sub { base64("\xef\xbb\xbf" . base64($_[0])) } ],
	[ 'base64 of bytes as Latin-1' => sub { base64(latin1($_[0])) } ],
	[ 'base64 of a text in UTF-16' => sub { base64(utf16(base64($_[0]))) } ],
	[ 'base64 of a text in UTF-16 with a mark' => sub { base64("\xff\xfe" . utf16(base64($_[0]))) } ],
	[ 'hexadecimal of base64' => sub { hex_of(base64($_[0])) } ],
	[ 'quotes around percent encoding of URL-safe base64' => sub { '"' . percent(base64($_[0]) =~ tr{+/}{-_}r) . '"' } ],
	[ 'a newline that was encoded' => sub { base64("$_[0]\n") } ],
	[ 'a carriage return and a newline that were encoded' => sub { hex_of("$_[0]\r\n") } ],
	[ 'a zero byte before it' => sub { base64("\0$_[0]") } ],
	[ 'no leading zero' => sub { base64(substr $_[0], 1) }, sub { $_[0] =~ /^\0/ } ],
	[ 'the other byte order' => sub { base64(scalar reverse $_[0]) } ],
	[ 'the other byte order in hexadecimal' => sub { hex_of(scalar reverse $_[0]) } ],
	[ 'a hybrid scheme' => sub { base64($_[0] . 'data' x 10) } ]);

# The same of three blocks, which hold the first, second and last of the plaintext.
my @rows = (
	[ 'blocks in a row' => sub { base64(join '', @_) } ],
	[ 'blocks in a row in hexadecimal' => sub { hex_of(join '', @_) } ],
	[ 'texts of base64 in a row' => sub { join '', map { base64($_) } @_ }, sub { base64($_[0]) =~ /=$/ } ],
	[ 'texts of URL-safe base64 with commas' => sub { join ",\n", map { base64($_) =~ tr{+/=}{-_}dr } @_ } ]);

# Forms that cannot be undone, and blocks that do not open.
my @lost = (
	[ 'nothing' => sub { '' } ],
	[ 'replacement characters' => sub { latin1($_[0]) =~ s/[\x80-\xff]+/\xef\xbf\xbd/gr =~ s/\0//gr } ],
	[ 'question marks' => sub { $_[0] =~ s/[\x80-\xff]/?/gr =~ s/\0/x/gr } ],
	[ 'a key' => sub { "-----BEGIN PUBLIC KEY-----\n" . base64($_[0]) } ],
	[ 'Ansible' => sub { "\$ANSIBLE_VAULT;1.1;AES256\n" . hex_of($_[0]) } ],
	[ 'eyaml' => sub { 'ENC[PKCS7,' . base64($_[0]) . ']' } ],
	[ 'SOPS' => sub { 'ENC[AES256_GCM,data:' . base64($_[0]) . ',type:str]' } ],
	[ 'age' => sub { "-----BEGIN AGE ENCRYPTED FILE-----\n" . base64($_[0]) } ],
	[ 'OpenPGP' => sub { "-----BEGIN PGP MESSAGE-----\n\n" . base64($_[0]) } ],
	[ 'a reference' => sub { 'sm://pin' } ],
	[ 'a hash' => sub { '$2b$12$' . substr(base64($_[0]), 0, 53) } ],
	[ 'a key id' => sub { 'key_0000000000000_000000000000000000000000' } ],
	[ 'a JWS' => sub { 'eyJhbGciOiJIUzI1NiJ9.' . (base64($_[0]) =~ tr{+/=}{-_}dr) . '.AAAA' } ],
	[ 'a plain JWT' => sub { 'eyJhbGciOiJub25lIn0.' . (base64($_[0]) =~ tr{+/=}{-_}dr) . '.' } ],
	[ 'a JWE of another algorithm' => sub { 'eyJhbGciOiJIUzI1NiJ9.' . (base64($_[0]) =~ tr{+/=}{-_}dr) . '.AAAA.AAAA.AAAA' } ],
	[ 'an object' => sub { '[object Object]' } ],
	[ 'no value' => sub { 'undefined' } ],
	[ 'JSON without a value' => sub { '{"pin": "4711"}' } ],
	[ 'JSON that is not' => sub { '{"pin": ' . base64($_[0]) . '}' } ],
	[ 'half of hexadecimal' => sub { substr hex_of($_[0]), 0, -3 } ],
	[ 'a decimal number' => sub { '1' x 617 } ],
	[ 'a shortened text' => sub { substr(base64($_[0]), 0, 100) . '...' } ],
	[ 'base64 of replacement characters' => sub { base64(latin1($_[0]) =~ s/[\x80-\xff]+/\xef\xbf\xbd/gr) } ],
	[ 'DER' => sub { base64(pack('H4n', '3082', length $_[0]) . $_[0]) } ],
	[ 'openssl enc' => sub { base64("Salted__$_[0]") } ],
	[ 'AWS KMS' => sub { 'AQICAHgAAAAAAA' . base64($_[0]) =~ tr/=//dr } ],
	[ 'Google Cloud KMS' => sub { base64("\x0a\x24\x00$_[0]") } ],
	[ 'Fernet' => sub { base64("\x80" . "\0" x 4 . substr($_[0], 0, 4 + 16 + 64 + 32)) } ],
	[ 'the data protection of Windows' => sub { base64(pack('H*', '01000000d08c9ddf0115d1118c7a00c04fc297eb') . $_[0]) } ],
	[ 'another character' => sub { base64($_[0]) =~ s/^(.{9})./$1!/r } ],
	[ 'a character too few' => sub { base64($_[0]) =~ tr/=//dr =~ s/.(...)$/$1/r =~ s/.{1}$//r . 'AA' } ],
	[ 'half a block' => sub { base64(substr $_[0], 0, 150) } ],
	[ 'a few bytes' => sub { base64(substr $_[0], 0, 30) } ],
	[ 'another block' => sub { base64(scalar $_[0] =~ s/^(.)/chr(ord($1) ^ 1)/esr) } ],
	[ 'another block in JSON' => sub { json({ pin => base64($_[0] =~ s/^(.)/chr(ord($1) ^ 1)/esr) }) } ]);

# The same of a JWE in compact form.
my @jwes = (
	[ 'a JWE' => sub { $_[0] } ],
	[ 'a JWE with white space around it' => sub { " \n$_[0]\r\n" } ],
	[ 'a JWE in lines' => \&lines ],
	[ 'a JWE in standard base64' => \&standard ],
	[ 'a JWE in standard base64 in lines' => sub { lines(standard($_[0])) } ],
	[ 'a JWE in standard base64, percent-encoded' => sub { standard($_[0]) =~ s{([+/=])}{sprintf '%%%02X', ord $1}ger } ],
	[ 'a JWE with a byte order mark' => sub { "\xef\xbb\xbf$_[0]" } ],
	[ 'a JWE after Bearer' => sub { "Bearer $_[0]" } ],
	[ 'a JWE in a header of HTTP' => sub { "authorization: bearer  $_[0]\r\n" } ],
	[ 'a JWE in double quotes' => sub { "\"$_[0]\"" } ],
	[ 'a JWE in single quotes in lines' => sub { q{'} . lines($_[0]) . q{'} } ],
	[ 'a JWE in base64' => \&base64 ],
	[ 'a JWE in hexadecimal' => \&hex_of ],
	[ 'a JWE in JSON' => sub { json({ pin => $_[0], id => 7 }) } ],
	[ 'a JWE in a dictionary of Python' => sub { "{'pin': '$_[0]'}" } ],
	[ 'a JWE of JSON' => \&flattened ],
	[ 'a JWE of JSON with recipients' => \&general ],
	[ 'a JWE of JSON in a string' => sub { '"' . add_slashes(flattened($_[0])) . '"' } ],
	[ 'a JWE of JSON in JSON' => sub { '{"id":7,"pin":' . general($_[0]) . '}' } ],
	[ 'a JWE of JSON as a value of JSON' => sub { json([ flattened($_[0]) ]) } ],
	[ 'a JWE of JSON, percent-encoded' => sub { percent(flattened($_[0])) } ],
	[ 'a JWE of JSON in HTML' => sub { html(general($_[0])) } ],
	[ 'a JWE of JSON in base64' => sub { base64(flattened($_[0])) } ]);

# Of these, nothing is left to open.
my @lost_jwes = (
	[ 'half a JWE' => sub { substr $_[0], 0, 3 * length($_[0]) / 4 } ],
	[ 'a JWE that was cut off in its IV' => sub { $_[0] =~ s/^[^.]+\.[^.]*\...\K.*//r } ],
	[ 'a JWE without its last character' => sub { substr $_[0], 0, -1 } ],
	[ 'a JWE without its last two characters' => sub { substr $_[0], 0, -2 } ],
	[ 'a JWK' => sub { '{"kty":"RSA","e":"AQAB","n":"' . 'A' x 342 . '"}' } ],
	[ 'a shortened JWE' => sub { substr($_[0], 0, 100) . '...' } ],
	[ 'a JWE with another character' => sub { $_[0] =~ s/.$/!/r } ],
	[ 'a JWE without an IV' => sub { flattened($_[0]) =~ s/"iv"/"nonce"/r } ],
	[ 'a JWS of JSON' => sub { json({ payload => 'AAAA', protected => 'e30', signature => 'AAAA' }) } ],
	[ 'a JWE that is too long' => sub { $_[0] . 'A' x 65536 } ]);

# Of these, the content does not open.
my @changed_jwes = (
	[ 'a JWE with another tag' => sub { $_[0] =~ s/\.[^.]+$/'.' . 'A' x 22/er } ],
	[ 'a JWE with additional data' => sub { flattened($_[0]) =~ s/^\{/{"aad":"AAAA",/r } ],
	[ 'a JWE with another tag in quotes' => sub { '"' . ($_[0] =~ s/\.[^.]+$/'.' . 'A' x 22/er) . '"' } ]);

sub lines { return $_[0] =~ s/(.{60})/$1\n/gr }
sub standard { return join '.', map { tr{-_}{+/}r . '=' x (-length($_) % 4) } split /\./, $_[0], -1 }

sub flattened
{
	my ($protected, $key, $iv, $ciphertext, $tag) = split /\./, $_[0], -1;
	return json({ protected => $protected, encrypted_key => $key, iv => $iv, ciphertext => $ciphertext, tag => $tag });
}

sub general
{
	my ($protected, $key, $iv, $ciphertext, $tag) = split /\./, $_[0], -1;
	return json({ protected => $protected, recipients => [ { encrypted_key => $key } ], iv => $iv, ciphertext => $ciphertext, tag => $tag });
}

# ---- Following a hint ----------------------------------------------------

my $functions = <<'SQL';
CREATE TABLE sent (n serial PRIMARY KEY, name text, key_id text, c text, plain bytea);

-- Follow each hint, and say what comes of it: "plaintext", "leads to plaintext", "nothing", or what goes wrong.
CREATE FUNCTION follow(key text, sent text, plain bytea) RETURNS TABLE (finding text, outcome text) LANGUAGE plpgsql AS $$
DECLARE
	found record;
	expression text;
	result text;
	parts text[];
	first bytea := substr(plain, 1, 1); -- of blocks in a row, the first holds this
BEGIN
	FOR found IN SELECT * FROM kms_diagnose(key, sent) LOOP
		finding := found.finding;
		expression := substring(found.hint FROM ' SQL: (.*)$');
		IF expression IS NULL THEN
			outcome := CASE WHEN found.hint LIKE '% kms can do nothing with it.' THEN 'nothing' ELSE 'no way to follow it' END;
			RETURN NEXT;
			CONTINUE;
		END IF;
		BEGIN
			parts := regexp_match(expression, '^kms_diagnose\((key_id|''[^'']*''), (.*)\)$');
			IF parts IS NOT NULL THEN
				SELECT coalesce(max(f.outcome), 'nowhere') INTO outcome
				FROM evaluate(key, sent, parts[1]) AS k, evaluate(key, sent, parts[2]) AS c,
					LATERAL follow(k, c, plain) AS f WHERE f.outcome ~ 'plaintext';
				outcome := regexp_replace(outcome, '^(leads to )?', 'leads to ');
			ELSE
				SELECT * INTO STRICT result FROM evaluate(key, sent, expression);
				IF result IN (plain::text, encode(plain, 'escape')) THEN
					outcome := 'plaintext';
				ELSIF expression ~ '^kms_decrypt' THEN
					outcome := 'another plaintext';
				ELSE
					SELECT coalesce(max(f.outcome), 'nowhere') INTO outcome
					FROM follow(key, result, CASE WHEN found.finding ~ 'blocks of RSA-OAEP in a row' THEN first ELSE plain END) AS f
					WHERE f.outcome ~ 'plaintext$|nothing$|^fails: KM001';
					outcome := regexp_replace(outcome, '^(leads to )?', 'leads to ');
				END IF;
			END IF;
		EXCEPTION WHEN OTHERS THEN
			outcome := 'fails: ' || SQLSTATE || ' ' || SQLERRM;
		END;
		RETURN NEXT;
	END LOOP;
END $$;

CREATE FUNCTION evaluate(key text, sent text, expression text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT CAST((%s) AS text) FROM (SELECT $1 AS key_id, $2 AS ciphertext) AS given', expression)
		USING key, sent;
END $$;

-- Return blocks of the key in hexadecimal: some that begin with a zero digit or a zero byte, and any others.
CREATE FUNCTION blocks(key text, plain bytea) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c text;
	wanted text[] := '{^0[1-9a-f],^00}';
BEGIN
	FOR n IN 1 .. 10000 LOOP
		c := encode(kms_encrypt_bytea(key, plain), 'hex');
		CONTINUE WHEN n > 60 AND c !~ wanted[1];
		RETURN NEXT c;
		IF c ~ wanted[1] THEN
			wanted := wanted[2:];
		END IF;
		EXIT WHEN n >= 60 AND wanted = '{}';
	END LOOP;
END $$;
SQL

my %found;

sub literal { return "convert_from('\\x" . unpack('H*', $_[0]) . "', 'UTF8')" }

# Return blocks of a key that hold a plaintext.
sub blocks
{
	my ($db, $key, $plain) = @_;
	my $hex = unpack 'H*', $plain;
	return map { pack 'H*', $_ } split /\n/, $node->safe_psql($db, "SELECT blocks('$key', '\\x$hex')");
}

# Return the first block that fits a case.
sub fitting
{
	my ($fits, @blocks) = @_;
	my ($block) = grep { !$fits || $fits->($_) } @blocks;
	return $block;
}

sub store
{
	my ($db, $name, $key, $sent, $plain) = @_;
	return "INSERT INTO sent (name, key_id, c, plain) VALUES ("
	  . literal($name) . ", '$key', " . literal($sent) . ", '\\x" . unpack('H*', $plain) . "');\n";
}

# Follow the hints for all that is stored and return the findings with their outcomes,
# by name.
sub follow_all
{
	my $db = shift;
	my %outcomes;
	foreach my $row (split /\n/, $node->safe_psql($db,
			"SELECT concat_ws(E'\\t', name, finding, outcome) FROM sent, LATERAL follow(key_id, c, plain) ORDER BY n"))
	{
		my ($name, $finding, $outcome) = split /\t/, $row;
		push @{ $outcomes{$name} }, [ $finding, $outcome ];
		$found{ $finding =~ s/^the ciphertext(, once decoded,)? //r =~ s/\d+/<n>/gr } = 1;
	}
	$node->safe_psql($db, 'TRUNCATE sent');
	return %outcomes;
}

# Test that each finding's hint leads to the plaintext, or that nothing can be done.
sub test_outcomes
{
	my ($db, $last, $allowed, %outcomes) = @_;
	foreach my $name (sort keys %outcomes)
	{
		my @outcomes = @{ $outcomes{$name} };
		my @bad = grep { $_->[1] !~ $allowed } @outcomes;
		ok(@bad == 0 && $outcomes[-1][1] eq $last, "$db: the hints for $name")
		  or diag(join "\n", map { "$_->[0]: $_->[1]" } @outcomes);
	}
}

# Send a key's blocks in each form whose name matches, in a database.
sub test_forms
{
	my ($db, $bits, $of) = @_;
	my $key = $node->safe_psql($db, "SELECT key_id FROM kms_issue_key('phone-$bits', NULL, 'RSA-$bits')");
	my %blocks = map { $_ => [ blocks($db, $key, $plain{$_}) ] } keys %plain;
	my @parts = map { [ blocks($db, $key, $_) ] } 'a', 'bc', 'd';
	my $sql = '';

	# each form holds text in one database, and bytes in another
	my $n = $db eq 'UTF8' ? 0 : 1;
	foreach my $case (@repaired)
	{
		my ($name, $make, $fits) = @$case;
		my $kind = ('text', 'bytes')[ $n++ % 2 ];
		next if $name !~ $of;
		my $block = fitting($fits, @{ $blocks{$kind} });
		defined $block or fail("$db: a block of $bits bits for $name"), next;
		$sql .= store($db, "$name, $kind, $bits bits", $key, $make->($block), $plain{$kind});
	}
	foreach my $case (grep { $_->[0] =~ $of } @rows)
	{
		my ($name, $make, $fits) = @$case;
		$sql .= store($db, "$name, $bits bits", $key, $make->(map { fitting($fits, @$_) } @parts), 'abcd');
	}
	$node->safe_psql($db, $sql);
	test_outcomes($db, 'plaintext', qr/^(?:leads to )?plaintext$|^nothing$/, follow_all($db));

	$sql = '';
	foreach my $case (grep { $_->[0] =~ $of } @lost)
	{
		my ($name, $make) = @$case;
		$sql .= store($db, "$name, $bits bits", $key, $make->($blocks{text}[0]), $plain{text});
	}
	$node->safe_psql($db, $sql);
	test_outcomes($db, 'nothing', qr/^(?:leads to )?nothing$/, follow_all($db));
	return;
}

# Send a JWE for a key of its own in each form, in a database.
sub test_jwes
{
	my ($db, $algorithm) = @_;
	my ($key, $jwe) = split /\|/, $node->safe_psql($db,
		"SELECT key_id, kms_encrypt_jwe(key_id, '4711') FROM kms_issue_key('tag-$algorithm', NULL, '$algorithm')");

	$node->safe_psql($db, join '', map { store($db, "$_->[0], $algorithm", $key, $_->[1]->($jwe), '4711') }
		  grep { $db eq 'UTF8' || $_->[0] !~ /byte order/ } @jwes);
	test_outcomes($db, 'plaintext', qr/^(?:leads to )?plaintext$/, follow_all($db));
	$node->safe_psql($db, join '', map { store($db, "$_->[0], $algorithm", $key, $_->[1]->($jwe), '4711') } @lost_jwes);
	test_outcomes($db, 'nothing', qr/^(?:leads to )?nothing$/, follow_all($db));

	# with an RSA key, only decrypting tells
	my ($last) = $algorithm =~ /RSA/ ? 'fails: KM001 failed to decrypt data' : 'nothing';
	$node->safe_psql($db, join '', map { store($db, "$_->[0], $algorithm", $key, $_->[1]->($jwe), '4711') } @changed_jwes);
	test_outcomes($db, $last, qr/^(?:leads to )?$last$/, follow_all($db));
	return;
}

# ---- In each kind of encoding --------------------------------------------

# LATIN1 does not have all characters, and SQL_ASCII matters only if there are others than those of ASCII.
my %forms = (
	UTF8 => qr//,
	LATIN1 => qr/^(?!a byte order|invisible|replacement|base64 of a text with)/,
	SQL_ASCII => qr/^base64$|Latin-1|a byte order|invisible|replacement|base64 of a text|percent|JSON/);
foreach my $db (sort keys %forms)
{
	$node->safe_psql('postgres',
		"CREATE DATABASE \"$db\" ENCODING '$db' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($db, "CREATE EXTENSION kms; $functions");
	test_forms($db, 2048, $forms{$db});
}

# Blocks that need no padding in base64, and some that are longer in other forms than a ciphertext may be.
test_forms('UTF8', 3072, qr/^base64|^URL-safe|^blanks|^numbers$|^a value|^blocks|^texts of URL|order$|newline that|zero/);
test_forms('UTF8', 4096, qr/^numbers$|^bytes of Python|^a value in nested|in hexadecimal/);

test_jwes('UTF8', $_) foreach qw(RSA-2048 EC-P256 X25519);
test_jwes('LATIN1', 'X25519');

# A key of two databases: in one it has another id than "kid" says, and the
# plaintext is not text.
my ($pem) = run_command([ qw(openssl genpkey -algorithm X25519) ]);
my %id = map { $_ => $node->safe_psql($_, "SELECT kms_import_key('tag', '$pem', deprecated => false)") } qw(LATIN1 UTF8);
foreach my $plain ('4711', "\xe2\x82\xac")
{
	my $jwe = $node->safe_psql('UTF8', "SELECT kms_encrypt_jwe('$id{UTF8}', '" . $plain . "')");
	$node->safe_psql('LATIN1', store('LATIN1', "another kid of $jwe", $id{LATIN1}, $jwe, $plain));
	my %outcomes = follow_all('LATIN1');
	is(scalar @{ (values %outcomes)[0] }, 3, 'a kid is reported');
	test_outcomes('LATIN1', 'plaintext', qr/^plaintext$/, %outcomes);
}

# ---- Other calls than of kms_decrypt -------------------------------------

# Two values that may be it: each is diagnosed.
my $key = $node->safe_psql('UTF8', "SELECT key_id FROM kms_issue_key('phone-2048')");
my ($block) = blocks('UTF8', $key, '4711');
my $other = base64(scalar reverse $block);
$node->safe_psql('UTF8',
	    store('UTF8', 'two values in JSON', $key, json([ $other, base64($block) ]), '4711')
	  . store('UTF8', 'two values in base64 of JSON', $key, base64(json([ base64($block), base64($block) ])), '4711'));
test_outcomes('UTF8', 'leads to plaintext', qr/^leads to plaintext$/, follow_all('UTF8'));

# A key that the device had before opens it.
my $new = $node->safe_psql('UTF8', "SELECT key_id FROM kms_rotate_key('phone-2048')");
$node->safe_psql('UTF8', store('UTF8', 'the wrong key', $new, hex_of($block), '4711'));
test_outcomes('UTF8', 'leads to plaintext', qr/^leads to plaintext$|^nothing$|^leads to nothing$/, follow_all('UTF8'));

# So does the key that a JWE names, and for a key of another type the key that
# the device has.
my $jwe = $node->safe_psql('UTF8', "SELECT kms_encrypt_jwe('$new', '4711')");
my $curve = $node->safe_psql('UTF8', "SELECT key_id FROM kms_issue_key('phone-2048', NULL, 'X25519')");
$node->safe_psql('UTF8', store('UTF8', 'a JWE for another key', $key, $jwe, '4711')
	  . store('UTF8', 'a JWE for a key of another type', $curve, $jwe, '4711')
	  . store('UTF8', 'a block for a key of another type', $curve, base64($block), '4711'));
test_outcomes('UTF8', 'leads to plaintext', qr/^leads to plaintext$|^nothing$/, follow_all('UTF8'));

# A key that its state refuses: a call makes it serve again, or kms_decrypt_recover() opens it.
my %refused = (
	"kms_disable_key('$key')" => 'is disabled',
	"kms_schedule_key_deletion('$key')" => 'is pending deletion',
	"kms_revoke_key('$key', 'test')" => 'is revoked');
foreach my $call (sort { $refused{$a} cmp $refused{$b} } keys %refused)
{
	$node->safe_psql('UTF8', "SELECT $call");
	my ($finding, $expression) = split /\t/, $node->safe_psql('UTF8',
		"SELECT finding || E'\\t' || substring(hint FROM ' SQL: (.*)\$')
		FROM kms_diagnose('$key', " . literal('"' . base64($block) . '"') . ') LIMIT 1');
	is($finding, "the encryption key $refused{$call}", "the state that refuses a key: $refused{$call}");
	my $result = $node->safe_psql('UTF8',
		"SELECT * FROM evaluate('$key', " . literal('"' . base64($block) . '"') . ", \$\$$expression\$\$)");
	is($result, $call =~ /revoke/ ? '4711' : $call =~ /disable/ ? 'deprecated' : 'disabled',
		"the hint for a key that $refused{$call} works");
}

is( $node->safe_psql('UTF8',
		"SELECT kms_revoke_key('$new', 'test'); SELECT e FROM kms_diagnose('$new', '$jwe') AS d, evaluate('$new', '$jwe', substring(d.hint FROM ' SQL: (.*)\$')) AS e"),
	"revoked\n4711", 'the hint for a JWE of a revoked key works');

ok(exists $found{$_}, "a hint was followed: $_") foreach findings_of_forms();

# The findings of the forms, from the source.
sub findings_of_forms
{
	my $list = slurp_file("$FindBin::Bin/../../../src/crypto/looks_list.h");
	my @findings = $list =~ /^\tKMS_LOOKS\(\w+, \w+, \\\n\s*"((?:[^"\\]|\\.)*)"/gm;
	return map { s/\\(.)/$1/gr =~ s/\d+/<n>/gr } @findings;
}

done_testing();
