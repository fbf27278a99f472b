#!/usr/bin/env perl
# The programs of examples/clients that make a JWE: kms_decrypt_jwe opens it for
# a key of each type, and its protected header has what is needed and no more.
# A client that cannot be run here is skipped by name.
use strict;
use warnings;

use Encode qw(decode);
use File::Copy qw(copy);
use FindBin;
use lib "$FindBin::Bin/../perl";
use JSON::PP;
use KmsCommand qw(last_line npm_install run write_file);
use KmsPage;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $examples = "$FindBin::Bin/../../examples/clients";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = KmsTest->node('jwe');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

my @keys = (
	issue('RSA-2048', 'sha256'),
	issue('RSA-2048', 'sha1'),
	issue('RSA-2048', 'sha256', 'sha1'),
	issue('EC-P256'),
	issue('X25519'));

# Clients: what shows that they can be run here, how they are built and run, and
# the arguments for a key; "without" has the reason for each type that the
# library does not have.
my @clients = (
	{
		name => 'Node',
		packages => { jose => '6' },
		copy => "$examples/node/jwe.mjs",
		need => [ 'node', '--version' ],
		run => [ 'node', "$dir/jwe.mjs" ]
	},
	{
		name => 'Python',
		need => [ 'python3', '-c', 'import jwcrypto' ],
		run => [ 'python3', "$examples/python/jwe.py" ]
	},
	{
		name => 'Java',
		need => [ 'javac', '-version' ],
		build => [ 'javac', '-d', $dir, "$examples/java/Jwe.java" ],
		run => [ 'java', '-cp', $dir, 'Jwe' ],
		arguments => [ 'id', 'algorithm', 'pem_file' ],
		alg => 'RSA-OAEP-256'
	},
	{
		name => 'Go',
		need => [ 'go', 'list', 'gopkg.in/square/go-jose.v2' ],
		build => [ 'go', 'build', '-o', "$dir/jwe", "$examples/go/jwe/main.go" ],
		run => ["$dir/jwe"],
		without => { X25519 => qr/unknown curve X25519/ }
	});

# Tools write to the home directory, and Go might ask the network.
local $ENV{HOME} = $dir;
local $ENV{GO111MODULE} = 'off';
local $ENV{GOPATH} = '/usr/share/gocode';
local $ENV{GOCACHE} = "$dir/go-cache";
local $ENV{CGO_ENABLED} = 0;

test_program($_) foreach @clients;
test_page();

$node->stop;
done_testing();

# ---- Programs ------------------------------------------------------------

sub test_program
{
	my $client = shift;
	my $name = $client->{name};

  SKIP:
	{
		my ($status, undef, $why) = run($client->{need});
		($status, $why) = npm_install($dir, %{ $client->{packages} })
		  if $status == 0 && $client->{packages};
		skip "$name: " . last_line($why), 1 if $status != 0;

		copy($client->{copy}, $dir) or die "$client->{copy}: $!"
		  if $client->{copy};
		if ($client->{build})
		{
			($status, undef, $why) = run($client->{build});
			is($status, 0, "$name: it is built") or diag($why), return;
		}
		test_key($client, $_) foreach @keys;
	}
	return;
}

sub test_key
{
	my ($client, $key) = @_;
	my $name = "$client->{name}: $key->{what}";
	my $without = $client->{without}{ $key->{algorithm} };

	foreach my $secret (secrets())
	{
		my ($status, $output, $errors) = run(
			[
				@{ $client->{run} },
				map { $key->{$_} } @{ $client->{arguments} || ['jwk_file'] }
			],
			$secret->{bytes});
		if ($without)
		{
			ok( $status > 0 && $output eq '' && $errors =~ $without,
				"$name: it says that it does not have such keys")
			  or diag("status $status: $output$errors");
			last;
		}
		my $alg = $key->{algorithm} =~ /^RSA/ && $client->{alg}
		  || $key->{alg};
		is_opened($key, $alg, $secret, $output, "$name: $secret->{what}")
		  or diag("status $status: $errors");
	}
	return;
}

# ---- The page ------------------------------------------------------------

sub test_page
{
  SKIP:
	{
		my ($status, undef, $why) = run(KmsPage::NEED);
		($status, $why) = npm_install($dir, jose => '6') if $status == 0;
		skip 'Web page: ' . last_line($why), 1 if $status != 0;

		my @cases;
		foreach my $key (@keys)
		{
			push @cases, map { { key => $key, secret => $_ } }
			  grep { $_->{text} } secrets();
		}
		my @results = KmsPage::results(
			$dir,
			map {
				{
					jwk => $_->{key}{jwk},
					secret => decode('UTF-8', $_->{secret}{bytes}),
					asJwe => JSON::PP::true
				}
			} @cases);
		is(scalar(@results), scalar(@cases), 'Web page: Chromium runs it');
		foreach my $case (@cases)
		{
			my ($key, $secret) = @$case{qw(key secret)};
			my $result = shift @results // '';
			my ($jwe) =
			  $result =~ /^SELECT kms_decrypt_jwe\('(.*)', 'browser-1'\);$/;
			is_opened($key, $key->{alg}, $secret, ($jwe // '') . "\n",
				"Web page: $key->{what}: $secret->{what}")
			  or diag($result);
		}
	}
	return;
}

# ---- Keys, secrets, and what the database makes of them ------------------

# Issue a key of "browser-1", as the page says.
sub issue
{
	my ($algorithm, @digests) = @_;
	my $what = join ' ', $algorithm, @digests;
	my $path = "$dir/" . $what =~ tr/ /-/r;
	my ($id, $pem) = split /\|/, $node->safe_psql('postgres',
		"SELECT key_id, public_key FROM kms_issue_key('browser-1', NULL, "
		  . join(', ', map { "'$_'" } $algorithm, @digests) . ')'), 2;
	my %key = (
		what => $what,
		algorithm => $algorithm,
		id => $id,
		jwk => $node->safe_psql('postgres', "SELECT kms_jwk('$id')"),
		jwk_file => "$path.jwk",
		pem_file => "$path.pem");

	write_file($key{jwk_file}, $key{jwk});
	write_file($key{pem_file}, "$pem\n");
	# Of different digests there is no alg.
	$key{alg} = $node->safe_psql('postgres',
		"SELECT coalesce(kms_jwk('$id') ->> 'alg', 'RSA-OAEP-256')");
	return \%key;
}

sub secrets
{
	return (
		{ what => 'nothing', bytes => '', text => 1 },
		{ what => 'one byte', bytes => '4', text => 1 },
		{
			what => 'German, Chinese and an emoji',
			bytes => 'Größe, Übermaß; 密码; 🔑',
			text => 1
		},
		{
			what => 'more than fits into a block',
			bytes => 'ä' x 5000,
			text => 1
		},
		{ what => 'bytes that are no text', bytes => "\x00\xff\x80\r\n" });
}

# Check that a client printed a JWE with the key's id and this alg, and nothing
# else in its header, and that the database opens it.
sub is_opened
{
	my ($key, $alg, $secret, $output, $name) = @_;
	my ($jwe) = $output =~ /\A((?:[\w-]*\.){4}[\w-]*)\n\z/;
	return fail($name) unless defined $jwe;

	my $call = "('$jwe', 'browser-1')";
	my (undef, $found, $errors) = $node->psql('postgres',
		"SELECT header - 'epk', header ? 'epk', "
		  . (
			$secret->{text}
			? "convert_to(kms_decrypt_jwe$call, 'UTF8')"
			: "kms_decrypt_jwe_bytea$call")
		  . " FROM (SELECT kms_jwe_header('$jwe') -> 'protected' AS header) AS j");
	my $epk = $alg =~ /^ECDH/ ? 't' : 'f';
	return is($found,
		qq({"alg": "$alg", "enc": "A256GCM", "kid": "$key->{id}"}|$epk|\\x)
		  . unpack('H*', $secret->{bytes}),
		$name) || diag($errors);
}
