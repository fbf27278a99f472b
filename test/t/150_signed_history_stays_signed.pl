# Whoever can write all tables (pg_write_all_data) changes a row of the signed
# trail, computes the chain anew and deletes the signatures behind it, in each
# order and place that he likes: nothing is signed any more, retention deletes
# nothing, kms_audit_verify() and kms_check() say so, and events are still
# written.  Only the owner ends that, with a gap that is signed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use KmsAnchor;
use KmsClient;
use KmsTest;
use Test::More;

my $trail = KmsAnchor->new('anchored');

# ---- As it is ------------------------------------------------------------

my $last = $trail->signed_events(5);
is($trail->verify, 't||t', 'the trail is intact, and anchored');
unlike($trail->findings, qr/trail was changed/, 'kms_check() has no complaint');
is($trail->accept, '55000', 'there is nothing to accept');

# ---- Attacks ---------------------------------------------------------------

# What a role with pg_write_all_data does to the trail, of which rows up to
# "first" were signed long ago and up to "last" just now.
my %attacks = (
	'a signed row is changed, the chain computed anew, later signatures deleted' =>
	  "UPDATE kms.event SET key_id = NULL, reason = 'nothing' WHERE ticket = FIRST + 1;
		DELETE FROM kms.event_checkpoint WHERE ticket > FIRST; CALL rechain(FIRST + 1)",
	'the same, with the signatures kept' =>
	  "UPDATE kms.event SET key_id = NULL, reason = 'nothing' WHERE ticket = FIRST + 1; CALL rechain(FIRST + 1)",
	'rows are deleted, and the end moved back to what is signed' =>
	  "DELETE FROM kms.event WHERE ticket > FIRST; DELETE FROM kms.event_checkpoint WHERE ticket > FIRST;
		UPDATE kms.event_epoch SET last_ticket = FIRST, hash = (SELECT hash FROM kms.event_checkpoint WHERE ticket = FIRST LIMIT 1)",
	'a row is put in, and the chain computed anew' =>
	  "UPDATE kms.event SET ticket = -ticket - 1 WHERE ticket > LAST - 2; UPDATE kms.event SET ticket = -ticket WHERE ticket < 0;
		INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status, salt, hash)
			SELECT epoch, LAST - 1, occurred_at, operation, status, salt, hash FROM kms.event WHERE ticket = FIRST;
		DELETE FROM kms.event_checkpoint WHERE ticket > FIRST; CALL rechain(FIRST + 1)",
	'rows are put behind the end' =>
	  "INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status, salt, hash)
			SELECT epoch, LAST + 1, now(), operation, status, salt, hash FROM kms.event WHERE ticket = LAST; CALL rechain(LAST + 1)",
	'two rows change places' =>
	  "UPDATE kms.event SET ticket = -1 WHERE ticket = LAST; UPDATE kms.event SET ticket = LAST WHERE ticket = LAST - 1;
		UPDATE kms.event SET ticket = LAST - 1 WHERE ticket = -1; DELETE FROM kms.event_checkpoint WHERE ticket > FIRST; CALL rechain(FIRST + 1)",
	'all of it is deleted' =>
	  'DELETE FROM kms.event; DELETE FROM kms.event_quarantine; DELETE FROM kms.event_epoch; DELETE FROM kms.event_checkpoint',
	'only the rows are deleted' => 'DELETE FROM kms.event',
	'the signatures are deleted' => 'DELETE FROM kms.event_checkpoint WHERE ticket > FIRST',
	'the keys of the signatures are deleted with them' =>
	  'DELETE FROM kms.event_checkpoint; DELETE FROM kms.audit_key',
	'the end is far away' =>
	  "UPDATE kms.event_epoch SET last_ticket = 9223372036854775807",
	'another epoch is made up' =>
	  "INSERT INTO kms.event_epoch (epoch, started_at, position, last_ticket, hash)
		SELECT 4711, now(), 0, LAST + 1000000, hash FROM kms.event_epoch ORDER BY last_ticket DESC LIMIT 1",
	'rows are in the way of those that come' =>
	  "INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
		SELECT epoch, LAST + n, now(), 'decrypt', 'success'
		FROM (SELECT epoch FROM kms.event_epoch ORDER BY last_ticket DESC LIMIT 1) AS e, generate_series(1, 2000) AS n");

foreach my $restart (0, 1)
{
	foreach my $name (sort keys %attacks)
	{
		my $first = $trail->signed_events(5);
		$last = $trail->signed_events(5);
		my $sql = $attacks{$name};
		$sql =~ s/FIRST/$first/g;
		$sql =~ s/LAST/$last/g;
		my $title = $restart ? "$name, then a restart" : $name;

		$trail->attack($sql);
		$trail->{node}->restart if $restart;
		$trail->is_broken($title);
		$trail->ends_by_acceptance($title);
	}
}
$trail->{node}->stop;
done_testing();
