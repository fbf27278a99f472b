# The pool of ready-made keys, as tests look at it.
#
#   ok(KmsPool::filled($node, 'postgres', 3), 'the pool is full');
#   my ($key_id, $pool_key_id) = KmsPool::issue($node, 'postgres', 'phone');
package KmsPool;

use strict;
use warnings;

use KmsTest;

# Return the ids of the rows of the pool, in order.
sub ids
{
	my ($node, $db) = @_;
	return split /\n/, $node->safe_psql($db,
		'SELECT pool_key_id FROM kms.pool_key ORDER BY pool_key_id');
}

# Return whether no worker generates keys for this database, or for any.
sub idle
{
	my ($node, $db) = @_;
	my $where = defined $db ? "datname = '$db'" : 'true';
	return $node->safe_psql('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity
		WHERE backend_type = 'kms key generation' AND $where") eq 't';
}

# Wait until the pool has exactly this size and no worker makes more keys.  On a
# busy machine, a worker may get a hundredth of a core, so wait three times as
# long as for anything else.
sub filled
{
	my ($node, $db, $size) = @_;
	foreach (1 .. 3)
	{
		return 1
		  if KmsTest::poll(
			sub {
				$node->safe_psql($db, "SELECT count(*) = $size AND NOT EXISTS
					(SELECT FROM pg_stat_activity WHERE backend_type = 'kms key generation' AND datname = '$db')
					FROM kms.pool_key") eq 't';
			});
	}
	return 0;
}

# Return how many keys were ever put into the pool.  No worker may be making
# more.
sub made
{
	my ($node, $db) = @_;
	return $node->safe_psql($db,
		"SELECT n_tup_ins FROM pg_stat_all_tables WHERE relid = 'kms.pool_key'::regclass");
}

# Return the id of the row of the pool that the newest key of this device comes
# from, or "none".  $keys is what keys() returned before the key was issued.
sub origin
{
	my ($node, $db, $device, $keys) = @_;
	return $keys->{ $node->safe_psql($db,
			"SELECT translate(encode(s.public_key, 'base64'), E'\\n', '')
			FROM kms.key_secret AS s JOIN kms.key USING (key_id)
			WHERE device_id = '$device' ORDER BY key_id DESC LIMIT 1")
	} || 'none';
}

# Return the keys in the pool: public key, in base64 => id.
sub keys
{
	my ($node, $db) = @_;
	return {
		map { split /\|/ } split /\n/, $node->safe_psql($db,
			"SELECT translate(encode(public_key, 'base64'), E'\\n', ''), pool_key_id
			FROM kms.pool_key")
	};
}

1;
