# An attacker who can write all tables (pg_write_all_data) changes a row of the
# signed trail, recomputes the chain and deletes the signatures behind it, in any
# order and place.  After that nothing is signed any more, retention deletes
# nothing, kms_audit_verify() and kms_check() say so, and events are still
# written.  Only the owner can end that, with a gap that is signed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
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

# Changes by a role with pg_write_all_data.  Rows of the trail up to "first" were
# signed long ago, and rows up to "last" just now.
my %attacks = (
	'a signed row is changed, the chain recomputed, later signatures deleted' =>
	  "UPDATE kms.event SET key_id = NULL, reason = 'nothing' WHERE ticket = FIRST + 1;
		DELETE FROM kms.event_checkpoint WHERE ticket > FIRST; CALL rechain(FIRST + 1)",
	'the same, with the signatures kept' =>
	  "UPDATE kms.event SET key_id = NULL, reason = 'nothing' WHERE ticket = FIRST + 1; CALL rechain(FIRST + 1)",
	'rows are deleted, and the end moved back to what is signed' =>
	  "DELETE FROM kms.event WHERE ticket > FIRST; DELETE FROM kms.event_checkpoint WHERE ticket > FIRST;
		UPDATE kms.event_epoch SET last_ticket = FIRST, hash = (SELECT hash FROM kms.event_checkpoint WHERE ticket = FIRST LIMIT 1)",
	'a row is inserted, and the chain recomputed' =>
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
	'no end is left but a row at the end of all numbers' =>
	  "DELETE FROM kms.event_epoch; INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
		VALUES (4711, 4611686018427387903, now(), 'decrypt', 'success')",
	'the end is a row at the end of all numbers' =>
	  "UPDATE kms.event_epoch SET last_ticket = 4611686018427387903; INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
		VALUES (4711, 4611686018427387903, now(), 'decrypt', 'success')",
	'rows of another epoch have the next numbers' =>
	  "INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
		SELECT 4711, LAST + n, now(), 'decrypt', 'success' FROM generate_series(1, 20, 2) AS n",
	'a row is far behind the end' =>
	  "INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
		VALUES (4711, LAST + 1000000, now(), 'decrypt', 'success')",
	'all rows seem to be deleted by retention, with a start under a master key that is not here' =>
	  "INSERT INTO kms.audit_key SELECT 'aud_ffffffffffffffffffffffff', now(), overlay(wrapped_key PLACING '\\x0102030405060708' FROM 2 FOR 8), public_key
			FROM kms.audit_key LIMIT 1 ON CONFLICT DO NOTHING;
		DELETE FROM kms.event_checkpoint; INSERT INTO kms.event_checkpoint
			SELECT LAST, 'start', epoch, substr(hash, 2), 0, now(), 'aud_ffffffffffffffffffffffff', decode(repeat('00', 64), 'hex'), now()
			FROM kms.event WHERE ticket = LAST; DELETE FROM kms.event WHERE ticket <= LAST",
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
		is($trail->sql("SELECT count(*) FROM (SELECT FROM kms.event WHERE ticket > $last GROUP BY ticket HAVING count(*) > 1) AS t"),
			0, "$title: no number is given twice");
		$trail->ends_by_acceptance($title);
		cmp_ok($trail->events(1) - $last, '<', 1 << 41, "$title: numbers are left");
	}
}
# ---- Again and again --------------------------------------------------------

$last = $trail->signed_events(5);
foreach my $restart (0, 1)
{
	foreach my $n (1 .. 5)
	{
		$trail->attack("UPDATE kms.event_epoch SET last_ticket = last_ticket + (1::bigint << 40) - 1
			WHERE last_ticket = (SELECT max(last_ticket) FROM kms.event_epoch)");
		$trail->{node}->restart if $restart;
		$trail->events(3);
	}
}
is($trail->sql("SELECT count(*) FROM kms.event WHERE ticket > $last AND operation = 'decrypt'"),
	30, 'events are written wherever the end is said to be');
$trail->ends_by_acceptance('the end is moved on again and again');
cmp_ok($trail->events(1) - $last, '<', 1 << 41, 'tickets are left');

# ---- Many rows ----------------------------------------------------------------

$last = $trail->signed_events(5);
$trail->attack("INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
	SELECT 4711, $last + n, now(), 'decrypt', 'success' FROM generate_series(1, 20000) AS n");
cmp_ok($trail->events(5), '>', $last + 20000, 'events go on behind 20,000 rows of others');
$trail->ends_by_acceptance('20,000 rows are behind the end');
cmp_ok($trail->events(1) - $last, '<', 1 << 24, 'few tickets are used up by that');
$trail->{node}->stop;
done_testing();
