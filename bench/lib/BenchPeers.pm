# The row "peers": others that decrypt with the same key.
package BenchPeers;

use strict;
use warnings;

use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);

our @EXPORT = qw(peers);

sub peers
{
	my ($node, $pgp, @bare, @ours, @pem, @kept, @pgp);
	my ($key_id, $ciphertext) = import_bare_key();
	my $ours = "EXECUTE warm ('$key_id', '$ciphertext', 200)";

	$node = start_node();
	$pgp  = start_pgp();
	prepare_warm($main);
	sql($main, $ours);
	for (1 .. 10)
	{
		push @bare, each_us(bare(), 'warm', 200);
		push @ours, sql_us($main, $ours) / 200;
		push @pem,  each_us($node, 'pem',  60)  if $node;
		push @kept, each_us($node, 'kept', 200) if $node;
		push @pgp,  sql_us($pgp, 'EXECUTE open (40)') / 40 if $pgp;
	}
	foreach (
		[ 'kms_decrypt',                           \@ours ],
		[ 'Node privateDecrypt, PEM in each call', \@pem ],
		[ 'Node privateDecrypt, KeyObject kept',   \@kept ],
		[ 'pgcrypto pgp_pub_decrypt_bytea',        \@pgp ])
	{
		my ($what, $measured) = @$_;
		next unless @$measured;
		result(
			row         => 'peers',
			what        => "$what: decrypts/s on one core",
			result      => [ map { 1e6 / $_ } @$measured ],
			result_unit => '/s',
			measured    => $measured,
			unit        => 'µs',
			yardstick   => \@bare,
			name        => 'bare');
	}
	sql($main, 'DEALLOCATE warm');
	leave($_) foreach grep { $_ } $node, $pgp;
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

# Make a PGP key of the same size, and a message with the same plaintext.
sub start_pgp
{
	my $home = "$work/gnupg";
	if (system('command -v gpg >/dev/null') != 0
		|| !sql(
			$main,
			"SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'"
		))
	{
		note(
			'peers: pgcrypto, or gpg to make a key for it, is not installed, so not measured'
		);
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
	sql($session, 'CREATE EXTENSION pgcrypto');
	sql($session, "CREATE TABLE pgp AS SELECT dearmor('$secret') AS secret,
		pgp_pub_encrypt_bytea('$pin'::bytea, dearmor('$public')) AS message");
	sql($session,
		'PREPARE open (int) AS SELECT count(pgp_pub_decrypt_bytea(message, secret))
		FROM pgp, generate_series(1, $1)');
	return $session;
}

1;
