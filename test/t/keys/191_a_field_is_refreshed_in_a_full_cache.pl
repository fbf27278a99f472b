# The new key stays open while kms_refresh_field() opens the old one, also if the
# session's cache has room for no other key and both have to be read again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $node = KmsTest->node('refresh', conf => 'kms.key_cache_size = 1');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
$node->safe_psql('postgres', "SELECT kms_create_field_key(k) FROM unnest('{a,b,c}'::text[]) AS k");
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE value (k text, v bytea);
INSERT INTO value SELECT k, kms_encrypt_field(k, 'of ' || k, 'c') FROM unnest('{a,b,c}'::text[]) AS k;
SQL

# The cache has two keys, the one that is needed first is the older one, and
# what it knows is of an earlier statement.
my $session = KmsClient->session($node, 'postgres');
foreach my $order ([qw(a b c)], [qw(b a c)], [qw(c b a)])
{
	my ($new, $other, $old) = @$order;
	foreach (1 .. 3)
	{
		$session->query("SELECT kms_decrypt_field(v, 'c') FROM value WHERE k = '$_'") foreach $new, $other;
		is( $session->query("SELECT kms_field_key(r), kms_decrypt_field(r, 'd')
			FROM value, kms_refresh_field(v, 'c', 'd', '$new') AS r WHERE k = '$old'"),
			"$new|of $old", "$old becomes $new");
	}
}

# the same for a value after another in one statement
is( $session->query("SELECT count(*), count(DISTINCT kms_field_key(r)), bool_and(kms_decrypt_field(r, 'd') = 'of ' || k)
		FROM value, generate_series(1, 100), unnest('{a,b,c}'::text[]) AS n, kms_refresh_field(v, 'c', 'd', n) AS r"),
	'900|3|t', 'many values become others');
$session->quit;

$node->stop;
done_testing();
