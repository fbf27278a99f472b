#!/usr/bin/env perl
# The programs of examples/clients encrypt what the database opens: with each
# pair of digests that their library has, up to the length that fits and not
# a byte more.  A client that cannot be run here is skipped by name.
use strict;
use warnings;

use Encode qw(decode);
use FindBin;
use lib "$FindBin::Bin/../perl";
use KmsCommand qw(last_line run write_file);
use KmsPage;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $examples = "$FindBin::Bin/../../examples/clients";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = KmsTest->node('clients');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');

my %digest_size = (sha1 => 20, sha256 => 32);
my %key = (
	sha1 => issue('sha1', 'RSA-2048', 256),
	sha256 => issue('sha256', 'RSA-3072', 384));

# The ways of clients to encrypt: the digests, the key, and the arguments of the
# call in the database.  This is the table of examples/clients/README.md.
my @ways = map {
	my %way;
	@way{qw(digest mgf1 key say)} = @$_;
	$way{key} = $key{ $way{key} };
	\%way;
} (
	[ 'sha1', 'sha1', 'sha1', '' ],
	[ 'sha1', 'sha1', 'sha256', ", oaep_hash => 'sha1'" ],
	[ 'sha256', 'sha256', 'sha1', ", oaep_hash => 'sha256'" ],
	[ 'sha256', 'sha256', 'sha256', '' ],
	[
		'sha256', 'sha1', 'sha1',
		", oaep_hash => 'sha256', mgf1_hash => 'sha1'"
	],
	[ 'sha256', 'sha1', 'sha256', ", mgf1_hash => 'sha1'" ]);

# Clients: what shows that they can be run here, how they are built and run;
# "one_digest" says why MGF1 has no other digest than OAEP.
my @clients = (
	{
		name => 'openssl',
		need => [ 'openssl', 'version' ],
		run => ["$examples/openssl/encrypt"]
	},
	{
		name => 'Node',
		need => [ 'node', '--version' ],
		run => [ 'node', "$examples/node/encrypt.js" ],
		one_digest => 'publicEncrypt has one digest'
	},
	{
		name => 'Python',
		need => [ 'python3', '-c', 'import cryptography' ],
		run => [ 'python3', "$examples/python/encrypt.py" ]
	},
	{
		name => 'Java',
		need => [ 'javac', '-version' ],
		build => [ 'javac', '-d', $dir, "$examples/java/Encrypt.java" ],
		run => [ 'java', '-cp', $dir, 'Encrypt' ]
	},
	{
		name => 'Go',
		need => [ 'go', 'version' ],
		build => [ 'go', 'build', '-buildvcs=false', '-o', "$dir/encrypt" ],
		build_in => "$examples/go",
		run => ["$dir/encrypt"],
		one_digest => 'EncryptOAEP has one digest'
	});

# Tools write to the home directory, and Go might ask the network.
local $ENV{HOME} = $dir;
local $ENV{GOCACHE} = "$dir/go-cache";
local $ENV{GOPROXY} = 'off';
local $ENV{GOTOOLCHAIN} = 'local';
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
		my ($status, undef, $errors) = run($client->{need});
		skip "$name: " . last_line($errors), 1 if $status != 0;

		if ($client->{build})
		{
			($status, undef, $errors) =
			  run($client->{build}, '', $client->{build_in});
			is($status, 0, "$name: it is built") or diag($errors), return;
		}
		test_trap() if $name eq 'Java';
		foreach my $way (@ways)
		{
			test_way($client, $way)
			  unless $client->{one_digest} && $way->{digest} ne $way->{mgf1};
		}
		return unless $client->{one_digest};

		refuses($client, 'sha256', 'sha1', $key{sha256}, '4711',
			qr/has one digest/, "$name: SHA-256 with MGF1-SHA-1 is refused");
		skip "$name: SHA-256 with MGF1-SHA-1: $client->{one_digest}", 1;
	}
}

sub test_way
{
	my ($client, $way) = @_;
	my @with = ($way->{digest}, $way->{mgf1}, $way->{key});
	my $name = name($client->{name}, $way);
	my $limit = limit($way);

	foreach my $secret (texts($limit),
		{ what => 'bytes that are no text', bytes => "\x00\xff\x80\r\n" })
	{
		my ($status, $output, $errors) =
		  encrypt($client, @with, $secret->{bytes});
		is_opened($way, $secret, $output, "$name: $secret->{what}")
		  or diag("status $status: $errors");
	}
	refuses($client, @with, 'a' x ($limit + 1),
		qr/too long|too large|not be longer/,
		"$name: a byte more is refused, and it is said why");
}

# Why Encrypt.java has a spec: what README says of those without.
sub test_trap
{
	write_file("$dir/Trap.java", <<'JAVA');
import java.security.*;
import java.security.spec.*;
import javax.crypto.*;
import javax.crypto.spec.*;

class Trap {
    public static void main(String[] args) throws Exception {
        var key = KeyPairGenerator.getInstance("RSA").generateKeyPair().getPublic();
        for (String padding : args) {
            Cipher cipher = Cipher.getInstance("RSA/ECB/" + padding);
            cipher.init(Cipher.ENCRYPT_MODE, key);
            var spec = cipher.getParameters().getParameterSpec(OAEPParameterSpec.class);
            var mgf1 = (MGF1ParameterSpec) spec.getMGFParameters();
            System.out.println(spec.getDigestAlgorithm() + " " + mgf1.getDigestAlgorithm());
        }
    }
}
JAVA
	my ($status, $output, $errors) = run(
		[
			'java', "$dir/Trap.java",
			'OAEPPadding', 'OAEPWithSHA-256AndMGF1Padding'
		]);
	is($output, "SHA-1 SHA-1\nSHA-256 SHA-1\n",
		'Java: whatever the padding is called, MGF1 is SHA-1 without a spec')
	  or diag("status $status: $errors");
}

# Returns the status, stdout and stderr.
sub encrypt
{
	my ($client, $digest, $mgf1, $key, $plaintext) = @_;
	return run(
		[ @{ $client->{run} }, $digest, $mgf1, $key->{pem_file} ],
		$plaintext);
}

# A client that does not encrypt says why, and prints nothing that might be
# taken for a ciphertext.
sub refuses
{
	my $name = pop;
	my $why = pop;
	my ($status, $output, $errors) = encrypt(@_);

	ok($status > 0 && $output eq '' && $errors =~ $why, $name)
	  or diag("status $status: $output$errors");
}

# ---- The page ------------------------------------------------------------

sub test_page
{
	my @cases;

  SKIP:
	{
		my ($status, $output, $errors) =
		  run(KmsPage::NEED);
		skip 'Web page: ' . last_line($errors), 1 if $status != 0;

		# The JWK says the digest.
		foreach my $way (grep { $_->{say} eq '' } @ways)
		{
			my $limit = limit($way);
			push @cases, map { { way => $way, secret => $_ } } texts($limit);
			push @cases, { way => $way, bytes_too_many => 1,
				secret => { what => 'a byte more is refused, and it is said why',
					bytes => 'a' x ($limit + 1) } };
		}
		my @results = KmsPage::results(
			$dir,
			map {
				{
					jwk => $_->{way}{key}{jwk},
					secret => decode('UTF-8', $_->{secret}{bytes})
				}
			} @cases);
		is(scalar(@results), scalar(@cases), 'Web page: Chromium runs it');

		foreach my $case (@cases)
		{
			my ($way, $secret) = @$case{qw(way secret)};
			my $name = name('Web page', $way) . ": $secret->{what}";
			my $result = shift @results;
			$result = '' unless defined $result;
			if ($case->{bytes_too_many})
			{
				like($result, qr/too long/, $name);
				next;
			}
			my ($ciphertext) = $result =~
			  /^SELECT kms_decrypt\('\Q$way->{key}{id}\E', '(.*)'\);$/;
			$ciphertext = '' unless defined $ciphertext;
			is_opened($way, $secret, "$ciphertext\n", $name) or diag($result);
		}
		skip 'Web page: SHA-256 with MGF1-SHA-1: Web Crypto has one digest', 1;
	}
}

# ---- Keys, secrets, and what the database makes of them ------------------

# Issue a key with this OAEP digest.
sub issue
{
	my ($hash, $algorithm, $bytes) = @_;
	my $id = $node->safe_psql('postgres', "SET kms.oaep_hash = '$hash';
		SELECT key_id FROM kms_issue_key('$hash', algorithm => '$algorithm')");
	my $pem_file = "$dir/$hash.pem";

	write_file($pem_file,
		$node->safe_psql('postgres', "SELECT kms_public_key('$id')") . "\n");
	return {
		id => $id,
		hash => $hash,
		bytes => $bytes,
		pem_file => $pem_file,
		jwk => $node->safe_psql('postgres', "SELECT kms_jwk('$id')")
	};
}

# Return the length of the longest plaintext of a key (RFC 8017, 7.1.1).
sub limit
{
	my $way = shift;
	return $way->{key}{bytes} - 2 * $digest_size{ $way->{digest} } - 2;
}

# Secrets in UTF-8; the longest one has fewer characters than bytes.
sub texts
{
	my $limit = shift;
	return (
		{ what => 'nothing', bytes => '', text => 1 },
		{ what => 'one byte', bytes => '4', text => 1 },
		{
			what => 'German, Chinese and an emoji',
			bytes => 'Größe, Übermaß; 密码; 🔑',
			text => 1
		},
		{
			what => 'as much as fits',
			bytes => 'ä' x int($limit / 2) . 'a' x ($limit % 2),
			text => 1
		});
}

sub name
{
	my ($client, $way) = @_;
	return "$client: $way->{digest}, MGF1 $way->{mgf1}, key $way->{key}{hash}";
}

# Check that a client printed a line of base64 that the database opens.
sub is_opened
{
	my ($way, $secret, $output, $name) = @_;
	my ($ciphertext) = $output =~ m{\A([A-Za-z0-9+/]+={0,2})\n\z};
	return fail($name) unless defined $ciphertext;

	my $arguments =
	  $secret->{text} ? "'$ciphertext'" : "decode('$ciphertext', 'base64')";
	my $call = "('$way->{key}{id}', $arguments$way->{say})";
	my (undef, $opened, $errors) = $node->psql('postgres',
		$secret->{text}
		? "SELECT convert_to(kms_decrypt$call, 'UTF8')"
		: "SELECT kms_decrypt_bytea$call");
	return is($opened, '\x' . unpack('H*', $secret->{bytes}), $name)
	  || diag($errors);
}
