# Many keys, and master keys that change, in tests.
#
#   my $ciphertext = KmsRotation::import_keys($node, 'postgres', 500);
#   my $new = KmsRotation::put_first($node, 'new');
#   is(KmsRotation::unopened($node, 'postgres', $ciphertext), '0');
package KmsRotation;

use strict;
use warnings;

use KmsTest;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;

my $numbers = 0;

# Import that many keys, each for a device of its own, all with the same
# private key; returns a ciphertext of "secret" that each of them opens.
sub import_keys
{
	my ($node, $db, $count) = @_;
	my $pem = PostgreSQL::Test::Utils::tempdir() . '/imported.pem';
	my $first = $numbers + 1;

	$numbers += $count;
	if (!-e $pem)
	{
		my $mask = umask 0077;
		PostgreSQL::Test::Utils::system_or_bail('openssl', 'genpkey', '-quiet',
			'-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', $pem);
		umask $mask;
	}
	$node->safe_psql($db, <<"SQL");
SELECT count(kms_import_key('imported ' || i, pg_read_file('$pem'), 'imported_' || i, deprecated => false))
FROM generate_series($first, $numbers) AS i
SQL
	return $node->safe_psql($db, "SELECT kms_encrypt('imported_1', 'secret')");
}

# Return how many of the keys do not decrypt the ciphertext.
sub unopened
{
	my ($node, $db, $ciphertext) = @_;
	return $node->safe_psql($db, <<"SQL");
SELECT count(*) FROM kms.key AS k WHERE k.key_id ~ '^imported_'
AND kms_decrypt(k.key_id, '$ciphertext') IS DISTINCT FROM 'secret'
SQL
}

# The lines of the master key file.
sub lines
{
	my $node = shift;
	return split /\n/, slurp_file(KmsTest::master_key_path($node));
}

# Write these lines to the master key file and wait until the server has read
# them.
sub put
{
	my ($node, @lines) = @_;
	my $before = read_at($node);

	KmsTest::write_master_key(KmsTest::master_key_path($node), @lines);
	$node->reload;
	KmsTest::poll(sub { read_at($node) ne $before })
	  or die 'the master key file is not read';
	die 'the master key file is refused' if read_at($node) =~ /refused/;
}

# Return the master keys of the server, by fingerprint, in its order.
sub read_at
{
	my $node = shift;
	return $node->safe_psql('postgres', <<'SQL');
SELECT string_agg(concat(master_key_id, label, status, detail), ' ')
FROM kms_master_key_status() WHERE status <> 'missing'
SQL
}

# Put a new master key on the first line, the others stay below it.
sub put_first
{
	my ($node, $label) = @_;
	my $line = "$label: " . KmsTest::random_master_key();

	put($node, $line, lines($node));
	return $line;
}

# Return the detail of kms_master_key_status() for the master key with this
# label.
sub detail
{
	my ($node, $label) = @_;
	return $node->safe_psql('postgres',
		"SELECT detail FROM kms_master_key_status() WHERE label = '$label'");
}

# Return the number of keys under each label, as "new 12, old 0"; "-" is a
# master key without a label.
sub keys_by_label
{
	my ($node, $db) = @_;
	return $node->safe_psql($db, <<'SQL');
SELECT string_agg(coalesce(label, '-') || ' ' || keys, ', ') FROM kms_master_key_status()
SQL
}

1;
