# The row "peers": others that decrypt with the same key.
package BenchPeers;

use strict;
use warnings;

use BenchBatch;
use BenchFigures;
use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);

our @EXPORT = qw(peers);

sub peers
{
	my ($key_id, $ciphertext) = import_bare_key();
	my $node = start_node();
	my $go   = start_go();
	my $pgp  = start_pgp();
	my $box  = make_box();
	my $n    = 200;
	my (@bare, %us);
	my $batch = "EXECUTE batch ('$key_id', '$ciphertext', 100, 2)";

	# The code returns the microseconds of one decrypt.
	my @peers = ([ 'kms_decrypt', sub { sql_us($main, "EXECUTE warm ('$key_id', '$ciphertext', $n)") / $n } ]);
	foreach my $way (multi_buffer_ways())
	{
		push @peers,
		  [
			"kms_decrypt_batch, $way",
			sub { server_setting('kms.multi_buffer', $way); sql_us($main, $batch) / $n }
		  ];
	}
	push @peers, [ 'Node privateDecrypt, PEM in each call', sub { each_us($node, 'pem', 60) } ],
	  [ 'Node privateDecrypt, KeyObject kept', sub { each_us($node, 'kept', $n) } ]
	  if $node;
	push @peers, [ 'Go DecryptOAEP, PEM in each call', sub { each_us($go, 'pem', 60) } ],
	  [ 'Go DecryptOAEP, key kept', sub { each_us($go, 'kept', $n) } ]
	  if $go;
	push @peers, [ 'pgcrypto pgp_pub_decrypt_bytea', sub { sql_us($pgp, 'EXECUTE open (40)') / 40 } ]
	  if $pgp;
	push @peers, [ 'pgsodium crypto_box_seal_open (X25519)', sub { sql_us($main, "EXECUTE box ($n)") / $n } ]
	  if $box;
	push @peers, [ 'openssl speed', \&openssl_speed ];

	prepare_warm($main);
	sql($main, 'PREPARE batch (text, text, int, int) AS
		SELECT count(b.plaintext) FROM generate_series(1, $4) AS n,
		LATERAL kms_decrypt_batch(array_fill($1, ARRAY[$3 + n * 0]), array_fill($2, ARRAY[$3])) AS b');
	$_->[1]->() foreach @peers;
	for (1 .. 10)
	{
		push @bare, each_us(bare(), 'warm', $n);
		push @{ $us{ $_->[0] } }, $_->[1]->() foreach @peers;
	}
	foreach (@peers)
	{
		my ($what) = @$_;
		result(
			row         => 'peers',
			what        => "$what: decrypts/s on one core",
			result      => [ map { 1e6 / $_ } @{ $us{$what} } ],
			result_unit => '/s',
			measured    => $us{$what},
			unit        => 'µs',
			yardstick   => \@bare,
			name        => 'bare');
	}
	times_as_fast(\%us, 'blinded');
	times_as_fast(\%us, 'unblinded', 9, 3, 15);
	server_setting('kms.multi_buffer', 'blinded');
	sql($main, "DEALLOCATE $_") foreach qw(warm batch), $box ? 'box' : ();
	leave($_) foreach grep { $_ } $node, $go, $pgp;
}

# How many times as fast as others the lanes are, with these targets.
sub times_as_fast
{
	my ($us, $way, @targets) = @_;
	my $batch = $us->{"kms_decrypt_batch, $way"} or return;

	foreach my $peer ('Node privateDecrypt, PEM in each call',
		'Node privateDecrypt, KeyObject kept', 'pgcrypto pgp_pub_decrypt_bytea')
	{
		my $target = shift @targets;
		next unless $us->{$peer};
		result(
			row         => 'peers',
			what        => "kms_decrypt_batch, $way: times as fast as $peer",
			$target ? (target => ">= $target") : (),
			result      => ratios($us->{$peer}, $batch),
			result_unit => '×',
			measured    => $batch,
			unit        => 'µs',
			yardstick   => $us->{$peer},
			name        => 'peer');
	}
}

# Microseconds of a private operation by OpenSSL's own account.
sub openssl_speed
{
	my ($rate) = `openssl speed -mr -seconds 1 rsa$bits 2>/dev/null` =~ /^\+F2:\d+:$bits:([\d.]+)/m
	  or die "openssl speed\n";
	return 1e6 / $rate;
}

# Import the key of bare into kms, and make a ciphertext with openssl.  The file
# "block" has the ciphertext for Node.
sub import_bare_key
{
	my $key = key_file();
	system(
		"openssl rsa -in '$key' -pubout -out '$work/public.pem' 2>/dev/null &&
		printf %s $pin | openssl pkeyutl -encrypt -pubin -inkey '$work/public.pem' \\
		-pkeyopt rsa_padding_mode:oaep -out '$work/block' &&
		openssl base64 -A -in '$work/block' -out '$work/block.base64'") == 0
	  or die;
	sql($main, "CREATE TABLE peer AS SELECT pg_read_file('$key') AS pem");
	my $key_id = sql($main, "SELECT kms_import_key('peer', pem) FROM peer");
	my $ciphertext = sql($main, "SELECT pg_read_file('$work/block.base64')");
	die "the key of bare does not decrypt\n"
	  if sql($main, "SELECT kms_decrypt('$key_id', '$ciphertext')") ne $pin;
	return ($key_id, $ciphertext);
}

sub start_node
{
	if (system('command -v node >/dev/null') != 0)
	{
		note('peers: Node is not installed, so not measured');
		return;
	}
	my $node = command('node', 'bench/peer.js', key_file(), "$work/block");
	each_us($node, $_, 30) foreach qw(pem kept);
	return $node;
}

sub start_go
{
	if (system('command -v go >/dev/null') != 0)
	{
		note('peers: Go is not installed, so not measured');
		return;
	}
	system("GO111MODULE=off GOCACHE='$work/go' go build -o '$work/peer-go' bench/peer.go") == 0
	  or die "go build\n";
	my $go = command("$work/peer-go", key_file(), "$work/block");
	each_us($go, $_, 30) foreach qw(pem kept);
	return $go;
}

# A sealed box with the same plaintext, which is not RSA.
sub make_box
{
	return 0 unless available('peers', 'pgsodium');
	sql($main, 'CREATE SCHEMA IF NOT EXISTS pgsodium');
	sql($main, 'CREATE EXTENSION IF NOT EXISTS pgsodium');
	sql($main, "CREATE TABLE box AS SELECT public, secret, pgsodium.crypto_box_seal('$pin'::bytea, public) AS sealed
		FROM pgsodium.crypto_box_new_keypair()");
	sql($main, 'PREPARE box (int) AS SELECT count(pgsodium.crypto_box_seal_open(sealed, public, secret))
		FROM box, generate_series(1, $1)');
	return 1;
}

# Make a PGP key of the same size, and a message with the same plaintext.
sub start_pgp
{
	my $home = "$work/gnupg";
	return unless available('peers', 'pgcrypto');
	if (system('command -v gpg >/dev/null') != 0)
	{
		note('peers: gpg, which makes a key for pgcrypto, is not installed, so not measured');
		return;
	}
	mkdir $home, 0700;
	my $gpg =
	  "gpg --homedir '$home' --batch --quiet --passphrase '' --pinentry-mode loopback";
	system("$gpg --quick-gen-key bench rsa$bits sign never 2>/dev/null") == 0
	  or die "gpg";
	my ($id) = `$gpg --list-keys --with-colons` =~ /^fpr:+(\w+):/m
	  or die "gpg";
	system("$gpg --quick-add-key $id rsa$bits encrypt never 2>/dev/null") == 0
	  or die "gpg";
	my $secret = `$gpg --armor --export-secret-keys $id`;
	my $public = `$gpg --armor --export $id`;
	system("gpgconf --homedir '$home' --kill gpg-agent");
	my $session = session();
	sql($session, 'CREATE EXTENSION IF NOT EXISTS pgcrypto');
	sql($session, "CREATE TABLE pgp AS SELECT dearmor('$secret') AS secret,
		pgp_pub_encrypt_bytea('$pin'::bytea, dearmor('$public')) AS message");
	sql($session,
		'PREPARE open (int) AS SELECT count(pgp_pub_decrypt_bytea(message, secret))
		FROM pgp, generate_series(1, $1)');
	return $session;
}

1;
