# Field keys, and the events of calls with them.
#
#   KmsFields::create($node, 1000);
#   my $tag = KmsFields::run($node, "SELECT count($KmsFields::decrypt) FROM person");
#   is(KmsFields::events($node, $tag), 'decrypt_field tax/1: 1 999');
package KmsFields;

use strict;
use warnings;

use KmsTest;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

# The value of a row of person, decrypted.
our $decrypt = "kms_decrypt_field(tax, 'person.tax:' || id)";
our $try = "kms_try_decrypt_field(tax, 'person.tax:' || id)";

# Events of a case are known by their audit context, which is this number.
my $cases = 0;

# Create the extension, the field key "tax", and the table person with so many
# values.
sub create
{
	my ($node, $count) = @_;
	$node->safe_psql('postgres', "CREATE EXTENSION kms;
		SELECT kms_create_field_key('tax');
		CREATE TABLE person AS
			SELECT id, kms_encrypt_field('tax', 'DE' || id, 'person.tax:' || id) AS tax
			FROM generate_series(1, $count) AS id;
		VACUUM ANALYZE person");
	return;
}

# Run statements, whose errors are ignored, and return the audit context of
# their events.  A sum is recorded after a second; so if they take that long on
# a busy machine, run them again.
sub run
{
	my ($node, $sql) = @_;

	while (1)
	{
		my $tag = 'case ' . ++$cases;
		my $start = time;
		$node->psql('postgres', "SET kms.audit_context = '$tag';\n$sql", on_error_stop => 0);
		return $tag if time - $start < 0.9 || $cases > 500;
	}
}

# Return the calls of each event of an audit context, in the order of the trail,
# by operation, key and reason.
sub events
{
	my ($node, $tag) = @_;
	return $node->safe_psql('postgres', "SELECT kms_flush_events() \\gset
		SELECT string_agg(line, '; ' ORDER BY line COLLATE \"C\") FROM
		(SELECT operation || ' ' || coalesce(key_id, 'no key') || coalesce(' (' || reason || ')', '') ||
			': ' || string_agg(calls::text, ' ' ORDER BY ticket) AS line
		FROM kms.event WHERE audit_context = '$tag'
		GROUP BY operation, key_id, reason) AS e");
}

# Return the number of calls, and of events, of an audit context.
sub total
{
	my ($node, $tag) = @_;
	return $node->safe_psql('postgres', "SELECT kms_flush_events() \\gset
		SELECT coalesce(sum(calls), 0), count(*) FROM kms.event WHERE audit_context = '$tag'");
}

1;
