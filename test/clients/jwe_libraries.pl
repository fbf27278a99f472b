#!/usr/bin/env perl
# Libraries make JWE as docs/clients/jwe.md shows: the table of the page is true
# of each one, and the database opens whatever it makes with the algorithms that
# both have.  A library that cannot be had here is skipped by name.
#
# A block of the page that follows a line "<!-- file: … -->" is a program; one
# that follows "<!-- from: … -->" is part of a program of examples/clients.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use IPC::Run;
use JSON::PP;
use KmsCommand qw(last_line npm_install run write_file);
use KmsPage;
use KmsTest;
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $examples = "$top/examples/clients";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $page = slurp_file("$top/docs/clients/jwe.md");
my $node = KmsTest->node('jwe_libraries');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

my @algorithms = qw(RSA-2048 EC-P256 X25519);
my %key = map { $_ => issue($_) } @algorithms;
my @encs = qw(A128GCM A192GCM A256GCM A128CBC-HS256 A192CBC-HS384 A256CBC-HS512);
my @rsa = qw(RSA-OAEP RSA-OAEP-256 RSA-OAEP-384 RSA-OAEP-512);
my @ecdh = map { "ECDH-ES$_" } '', map { "+A${_}KW" } 128, 192, 256;

# Libraries, by their name in the table of the page: what shows that they can be
# run here, how they are built and run; the arguments, if it is not the JWK; and
# all alg and enc that they have and the database accepts, if they can be chosen,
# and the pairs that they lack.
my @libraries = (
	{
		name => 'jose',
		packages => { jose => '6' },
		need => [ 'node', '--version' ],
		run => [ 'node', copy_of("$examples/node/jwe.mjs") ],
		algs => [ @rsa, @ecdh ],
		encs => \@encs
	},
	{
		name => 'node-jose',
		packages => { 'node-jose' => '2' },
		need => [ 'node', '--version' ],
		run => [ 'node', "$dir/node-jose.js" ],
		algs => [ @rsa[ 0, 1 ], @ecdh ],
		encs => \@encs,
		lacks => [ 'ECDH-ES A192CBC-HS384', 'ECDH-ES A256CBC-HS512' ]
	},
	{
		name => 'jwcrypto',
		need => [ 'python3', '-c', 'import jwcrypto' ],
		run => [ 'python3', "$examples/python/jwe.py" ],
		algs => [ @rsa[ 0, 1 ], @ecdh ],
		encs => \@encs
	},
	{
		name => 'Authlib',
		drops_zeros => 1,
		need => [ 'python3', '-c', 'import authlib.jose' ],
		run => [ 'python3', "$dir/authlib_jwe.py" ],
		algs => [ @rsa[ 0, 1 ], @ecdh ],
		encs => \@encs,
		test => \&test_authlib
	},
	{
		name => 'python-jose',
		need => [ 'python3', '-c', 'import jose.jwe' ],
		run => [ 'python3', "$dir/python_jose.py" ],
		arguments => [ 'id', 'pem_file' ],
		algs => [ @rsa[ 0, 1 ] ],
		encs => [ @encs[ 3 .. 5 ] ],
		test => \&test_python_jose
	},
	{
		name => 'json-jwt',
		need => [ 'ruby', '-e', 'require "json/jwt"' ],
		run => [ 'ruby', "$dir/json_jwt.rb" ],
		algs => [ $rsa[0] ],
		encs => [ @encs[ 0, 2, 3, 5 ] ],
		test => \&test_json_jwt
	},
	{
		name => 'go-jose',
		need => [ 'go', 'list', 'gopkg.in/square/go-jose.v2' ],
		build => [ 'go', 'build', '-o', "$dir/jwe", "$examples/go/jwe/main.go" ],
		run => ["$dir/jwe"],
		algs => [ @rsa[ 0, 1 ], @ecdh ],
		encs => \@encs
	},
	{
		name => 'latchset jose',
		need => [ 'jose', 'alg' ],
		run => [ 'sh', "$dir/latchset.sh" ],
		algs => \@ecdh,
		encs => \@encs,
		test => \&test_latchset
	},
	{
		name => 'Java',
		need => [ 'javac', '-version' ],
		build => [ 'javac', '-d', $dir, "$examples/java/Jwe.java" ],
		run => [ 'java', '-cp', $dir, 'Jwe' ],
		arguments => [ 'id', 'algorithm', 'pem_file' ]
	},
	{
		name => 'Web Crypto',
		need => [ 'node', '--version' ],
		run => [ 'node', "$dir/run-webcrypto.mjs" ],
		test => \&test_web_crypto
	});

# Tools write to the home directory, and Go might ask the network.
local $ENV{HOME} = $dir;
local $ENV{GO111MODULE} = 'off';
local $ENV{GOPATH} = '/usr/share/gocode';
local $ENV{GOCACHE} = "$dir/go-cache";
local $ENV{CGO_ENABLED} = 0;

write_programs();
my %row = read_table();
is_deeply([ sort keys %row ], [ sort map { $_->{name} } @libraries ],
	'the table of the page has each library');
test_library($_) foreach @libraries;
test_opening();

$node->stop;
done_testing();

# ---- The page ------------------------------------------------------------

sub write_programs
{
	my $blocks = () = $page =~ /^<!-- (?:file|from): /gm;

	while ($page =~ /^<!-- (file|from): (\S+) -->\n```\w+\n(.*?)^```$/gms)
	{
		my ($is, $path, $block) = ($1, $2, $3);
		$blocks--;
		if ($is eq 'file')
		{
			write_file("$dir/$path", $block);
			next;
		}
		ok(index(slurp_file("$examples/$path"), $block) >= 0,
			"the page shows what is in examples/clients/$path");
	}
	is($blocks, 0, 'each mark stands before a block');
	write_file("$dir/run-webcrypto.mjs", <<'END');
import { readFileSync } from 'node:fs';
import { encrypt } from './webcrypto.mjs';
console.log(await encrypt(JSON.parse(readFileSync(process.argv[2], 'utf8')),
  readFileSync(0, 'utf8')));
END
	return;
}

# The cells behind the name, by the name.
sub read_table
{
	my %cells;
	while ($page =~ /^\| \[([^\]]+)\]\(#\S+\)[^|]*\| (.*) ?\|$/gm)
	{
		my ($name, $rest) = ($1, $2);
		$cells{$name} = [ map { s/^\s+|\s+$//gr } split /\|/, $rest, -1 ];
	}
	return %cells;
}

sub copy_of
{
	my $path = shift;
	my ($name) = $path =~ m{([^/]+)\z};
	write_file("$dir/$name", slurp_file($path));
	return "$dir/$name";
}

# ---- Libraries -----------------------------------------------------------

sub test_library
{
	my $library = shift;
	my $name = $library->{name};

  SKIP:
	{
		my ($status, undef, $why) = run($library->{need});
		($status, $why) = npm_install($dir, %{ $library->{packages} })
		  if $status == 0 && $library->{packages};
		skip "$name: " . last_line($why), 1 if $status != 0;

		if ($library->{build})
		{
			($status, undef, $why) = run($library->{build});
			is($status, 0, "$name: it is built") or diag($why), return;
		}
		test_row($library);
		test_algorithms($library) if $library->{algs};
		$library->{test}->($library) if $library->{test};
	}
	return;
}

# Test what the table says.
sub test_row
{
	my $library = shift;
	my $name = $library->{name};
	my @cells = @{ $row{$name} };

	foreach my $algorithm (@algorithms)
	{
		my $key = $key{$algorithm};
		my $jwe = encrypt($library, $key, 'jwk_file');
		my $cell = shift @cells;
		is(defined $jwe ? sent($jwe) : 'no',
			$cell, "$name: $algorithm: it sends what the table says");
		is(opened($jwe), '4711|', "$name: $algorithm: the database opens it")
		  if defined $jwe;
	}
	return unless $library->{algs};

	my $ec = grep { /^ECDH/ } @{ $library->{algs} };
	my $jwe = encrypt($library, $key{ $ec ? 'EC-P256' : 'RSA-2048' },
		'jwk_file', $ec ? 'ECDH-ES+A256KW' : 'RSA-OAEP');
	is(defined $jwe ? 'works' : 'is refused',
		shift @cells, "$name: another alg does what the table says");
	return;
}

# Test each alg with one enc, and each enc with one alg, with JWK that have no
# alg.  An algorithm that the library does not have gives an error and no output.
sub test_algorithms
{
	my $library = shift;
	my %has = map { $_ => 1 } @{ $library->{algs} }, @{ $library->{encs} };
	my %lacks = map { $_ => 1 } @{ $library->{lacks} || [] };
	my $enc = $library->{encs}[-1];

	foreach my $algorithm (@algorithms)
	{
		next if !has_type($library, $algorithm);
		my @fitting = $algorithm =~ /^RSA/ ? @rsa : @ecdh;
		my (%jwe, @expected);
		foreach my $pair ((map { [ $_, $enc ] } @fitting),
			map { [ $fitting[0], $_ ] } @encs)
		{
			my $what = "@$pair";
			next if exists $jwe{$what};
			$jwe{$what} =
			  encrypt($library, $key{$algorithm}, 'plain_file', @$pair);
			push @expected, $what
			  if $has{ $pair->[0] } && $has{ $pair->[1] } && !$lacks{$what};
		}
		my @works = opened_of($key{$algorithm}, grep { defined } values %jwe);
		is_deeply([ sort @works ], [ sort @expected ],
			"$library->{name}: $algorithm: each alg and enc of both is opened");
	}
	return;
}

sub has_type
{
	my ($library, $algorithm) = @_;
	my ($n) = grep { $algorithms[$_] eq $algorithm } 0 .. $#algorithms;
	return $row{ $library->{name} }[$n] ne 'no';
}

# The leading zeros of a coordinate: encrypt until there is one.
sub test_authlib
{
	my $library = shift;
	my ($status, $jwe, $errors) = run(
		[
			'python3', '-c', <<'END', $key{'EC-P256'}{jwk_file}, $dir ]);
import base64, json, sys
sys.path.insert(0, sys.argv[2])
from authlib_jwe import encrypt
jwk = json.load(open(sys.argv[1]))
for _ in range(10000):
    jwe = encrypt(jwk, b'4711')
    header = jwe.split('.')[0]
    epk = json.loads(base64.urlsafe_b64decode(header + '=='))['epk']
    if len(epk['x']) < 43:
        print(jwe, end='')
        break
END
	is($status, 0, 'Authlib: it encrypts') or diag($errors);
	like(
		opened($jwe),
		qr/22023: "epk\.x" of the JWE has 3[01] bytes instead of 32/,
		'Authlib: a coordinate without its leading zero is refused');
	return;
}

sub test_python_jose
{
	my $library = shift;
	my $jwe =
	  encrypt($library, $key{'RSA-2048'}, undef, 'RSA-OAEP-256', 'A256GCM');
	like(
		opened($jwe),
		qr/22023: "iv" of the JWE has 16 bytes, but AES-GCM takes 12\n.*python-jose always makes 16 bytes: use "A256CBC-HS512" there/,
		'python-jose: its AES-GCM is refused, and it is said what to use');
	return;
}

sub test_json_jwt
{
	my ($status, $jwe, $errors) = run(
		[
			'ruby', '-rjson/jwt', '-e',
			'jwk = JSON::JWK.new(JSON.parse(File.read(ARGV[0])));'
			  . 'print JSON::JWT.new(pin: "4711").encrypt(jwk)',
			$key{'RSA-2048'}{jwk_file}
		]);
	is($status, 0, 'json-jwt: it encrypts') or diag($errors);
	is_rsa1_5($jwe, 'json-jwt');
	return;
}

sub test_latchset
{
	my $library = shift;
	my $jwe = encrypt($library, $key{'EC-P256'}, 'plain_file');
	is(sent($jwe), 'ECDH-ES+A128KW A128CBC-HS256',
		'latchset jose: its default without alg in the JWK');
	is(opened($jwe), '4711|', 'latchset jose: it is opened');
	is_rsa1_5(encrypt($library, $key{'RSA-2048'}, 'plain_file'),
		'latchset jose');
	return;
}

sub is_rsa1_5
{
	my ($jwe, $name) = @_;
	like(
		opened($jwe),
		qr/22023: "alg" of the JWE is "RSA1_5", which is not supported\n.*Encrypt with "RSA-OAEP-256" or "RSA-OAEP"/,
		"$name: its default is refused, and it is said what to use");
	return;
}

sub test_web_crypto
{
	my @results;
  SKIP:
	{
		my ($status, undef, $why) = run(KmsPage::NEED);
		skip 'Web Crypto in Chromium: ' . last_line($why), 1 if $status != 0;

		my $jwks = join ', ', map { $key{$_}{jwk} } @algorithms;
		write_file("$dir/webcrypto.html", <<"END");
<!DOCTYPE html>
<meta charset="utf-8">
<body>
<script>
const frame = document.body.appendChild(document.createElement('iframe'));
frame.contentDocument.open();
</script>
<script type="module">
const output = document.body.appendChild(document.createElement('pre'));
output.id = 'results';
try {
  const { encrypt } = await import('./webcrypto.mjs');
  const made = [];
  for (const jwk of [$jwks]) made.push(await encrypt(jwk, '4711'));
  output.textContent = made.join('\\n');
} catch (error) {
  output.textContent = String(error);
}
frame.contentDocument.close();
</script>
END
		@results = KmsPage::open_page($dir, "$dir/webcrypto.html");
		is(join(' ', map { opened($_) } @results), '4711| 4711| 4711|',
			'Web Crypto: the database opens what Chromium makes for each type')
		  or diag("@results");
	}
	return;
}

# ---- The other direction -------------------------------------------------

# Libraries that have the private key open what the database makes.
sub test_opening
{
	my ($status, $pem, $errors) =
	  run([ 'openssl', 'genpkey', '-algorithm', 'RSA' ]);
	is($status, 0, 'openssl makes a key') or diag($errors);
	write_file("$dir/private.pem", $pem);
	my $id = $node->safe_psql('postgres',
		"SELECT kms_import_key('imported', '$pem', deprecated => false)");
	my $jwe = $node->safe_psql('postgres',
		"SELECT kms_encrypt_jwe('$id', 'Größe 4711')");

	foreach my $opener (
		{
			name => 'jose',
			need => [ 'node', '--version' ],
			packages => { jose => '6' },
			run => [ 'node', '--input-type=module', '-e', <<'END' ] },
import { readFileSync } from 'node:fs';
import { compactDecrypt, decodeProtectedHeader, importPKCS8 } from 'jose';
const jwe = readFileSync(0, 'utf8');
const key = await importPKCS8(readFileSync('private.pem', 'utf8'),
  decodeProtectedHeader(jwe).alg);
process.stdout.write((await compactDecrypt(jwe, key)).plaintext);
END
		{
			name => 'jwcrypto',
			need => [ 'python3', '-c', 'import jwcrypto' ],
			run => [ 'python3', '-c', <<'END' ] })
import sys
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
key = JWK.from_pem(open('private.pem', 'rb').read())
jwe = JWE()
jwe.deserialize(sys.stdin.read(), key)
sys.stdout.buffer.write(jwe.payload)
END
	{
	  SKIP:
		{
			my ($failed, $output, $why) = run($opener->{need});
			($failed, $why) = npm_install($dir, %{ $opener->{packages} })
			  if $failed == 0 && $opener->{packages};
			skip "$opener->{name}: " . last_line($why), 1 if $failed != 0;

			($status, $output, $errors) = run($opener->{run}, $jwe, $dir);
			is($output, 'Größe 4711',
				"$opener->{name} opens what the database made")
			  or diag("status $status: $errors");
		}
	}
	return;
}

# ---- Keys, and what the database makes of a JWE --------------------------

sub issue
{
	my $algorithm = shift;
	my $digest = $algorithm =~ /^RSA/ ? "'sha256'" : 'NULL';
	my ($id, $pem) = split /\|/, $node->safe_psql('postgres',
		"SELECT key_id, public_key FROM kms_issue_key('phone-1', NULL,
			'$algorithm', $digest)"), 2;
	my %issued = (
		algorithm => $algorithm,
		id => $id,
		jwk => $node->safe_psql('postgres', "SELECT kms_jwk('$id')"),
		jwk_file => "$dir/$algorithm.jwk",
		plain_file => "$dir/$algorithm-plain.jwk",
		pem_file => "$dir/$algorithm.pem");

	write_file($issued{jwk_file}, $issued{jwk});
	write_file($issued{plain_file},
		$node->safe_psql('postgres', "SELECT kms_jwk('$id') - 'alg'"));
	write_file($issued{pem_file}, "$pem\n");
	return \%issued;
}

# Encrypt 4711 for a key, with the file that is named unless the library takes
# other arguments, and with alg and enc if given.  Return the JWE or undef.
sub encrypt
{
	my ($library, $key, $file, @algorithm) = @_;
	my ($status, $output, $errors) = run(
		[
			@{ $library->{run} },
			(map { $key->{$_} } @{ $library->{arguments} || [$file] }),
			@algorithm
		],
		'4711');
	note("$library->{name} @algorithm: " . last_line($errors))
	  if $status != 0;
	my ($jwe) = $output =~ /\A(\S+)\s*\z/;
	return encrypt(@_) if $library->{drops_zeros} && defined $jwe && lacks_zeros($jwe);
	return $jwe;
}

# A JWE of 128 for EC-P256 is refused, as the page says, so encrypt again.
sub lacks_zeros
{
	my $header = decode_base64((split /\./, shift)[0] =~ tr{-_}{+/}r);
	return scalar grep { length != 43 } $header =~ /"[xy]": *"([\w-]+)"/g;
}

sub sent
{
	my $jwe = shift;
	return $node->safe_psql('postgres',
		"SELECT concat_ws(' ', h ->> 'alg', h ->> 'enc')
		FROM (SELECT kms_jwe_header('$jwe') -> 'protected' AS h) AS j");
}

# Return the alg and enc of each JWE that the database opens.
sub opened_of
{
	my ($key, @jwes) = @_;
	my $array = 'ARRAY[' . join(', ', map { "'$_'" } @jwes) . ']';
	return split /\n/, $node->safe_psql('postgres',
		"SELECT concat_ws(' ', h ->> 'alg', h ->> 'enc')
		FROM unnest($array) WITH ORDINALITY AS j (jwe, position)
		JOIN kms_decrypt_batch(array_fill('$key->{id}'::text, ARRAY[@{[ scalar @jwes ]}]),
			$array) AS b USING (position),
			LATERAL (SELECT kms_jwe_header(jwe) -> 'protected' AS h) AS l
		WHERE b.plaintext = '4711'");
}

# Return the plaintext, a bar, and the error with its detail.
sub opened
{
	my $jwe = shift // '';
	my (undef, $output, $errors) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT kms_decrypt_jwe('$jwe', 'phone-1')");
	return "$output|$errors";
}
