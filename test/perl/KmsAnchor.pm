# A server whose trail is signed each second, and what attackers do to it.
#
#   my $trail = KmsAnchor->new('anchored');
#   my $last = $trail->signed_events(5);
#   $trail->attack('DELETE FROM kms.event_checkpoint');
#   $trail->is_broken('no signature is left');
#   $trail->ends_by_acceptance('no signature is left');
package KmsAnchor;

use strict;
use warnings;

use KmsClient;
use KmsTest;
use parent 'KmsServer';
use Test::More;

sub new
{
	my ($class, $name, %opt) = @_;
	my $conf = delete $opt{conf} || '';
	my $self = bless {
		node => KmsTest->node($name, %opt,
			conf => "kms.maintenance = off\nkms.audit_checkpoint_interval = 1s\n$conf")
	}, $class;

	$self->sql('CREATE EXTENSION kms');
	$self->prepare;
	return $self;
}

# Return an object for a node that exists already.
sub of
{
	my ($class, $node) = @_;
	return bless { node => $node }, $class;
}

# Create the attacker, and functions with the format of crypto/chain.h for it.
sub prepare
{
	my $self = shift;

	$self->sql(<<'SQL');
CREATE ROLE writer LOGIN IN ROLE pg_read_all_data, pg_write_all_data;
CREATE SCHEMA tools AUTHORIZATION writer;
GRANT USAGE ON SCHEMA kms TO writer;
SET ROLE writer;
SET search_path = tools;
CREATE FUNCTION lp(t text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
	$$SELECT CASE WHEN t IS NULL THEN '\xffffffff'::bytea
		ELSE int4send(octet_length(t)) || convert_to(t, 'UTF8') END$$;
CREATE FUNCTION link(previous bytea, e kms.event) RETURNS bytea LANGUAGE sql IMMUTABLE
SET search_path = tools, pg_catalog AS $$
	SELECT sha256(lp('kms/audit-event/v1') || previous || int8send(e.epoch) || int8send(e.ticket)
		|| timestamptz_send(e.occurred_at) || lp(e.operation) || lp(e.status)
		|| lp(CASE WHEN e.status = 'failure' THEN e.reason END)
		|| CASE WHEN e.duration_ms IS NULL THEN '\x00' ELSE '\x01' || float8send(e.duration_ms) END
		|| lp(e.key_id) || lp(e.session_role) || lp(e.caller_role) || lp(e.effective_role)
		|| lp(e.application_name) || int8send(e.calls) || lp(e.form) || lp(e.app_version)
		|| sha256(lp('kms/audit-personal/v1') || e.salt || lp(e.device_id) || lp(e.client_addr)
			|| lp(e.context) || lp(e.audit_context)
			|| lp(CASE WHEN e.status <> 'failure' THEN e.reason END))) $$;
-- Compute the chain from this ticket on, and let the trail end at the last row.
CREATE PROCEDURE rechain(from_ticket bigint) LANGUAGE plpgsql
SET search_path = tools, pg_catalog AS $$
DECLARE
	previous bytea := (SELECT substr(hash, 2) FROM kms.event WHERE ticket < from_ticket ORDER BY ticket DESC LIMIT 1);
	last bigint;
	e kms.event;
BEGIN
	FOR e IN SELECT * FROM kms.event WHERE ticket >= from_ticket ORDER BY ticket LOOP
		previous := link(previous, e);
		last := e.ticket;
		UPDATE kms.event SET hash = '\x01' || previous WHERE ticket = e.ticket;
	END LOOP;
	UPDATE kms.event_epoch SET last_ticket = last, hash = previous
		WHERE last_ticket = (SELECT max(last_ticket) FROM kms.event_epoch);
END $$;
SQL
}

# Run statements as a role that may write all tables and nothing else.
sub attack
{
	my ($self, $sql) = @_;
	$self->sql("SET SESSION AUTHORIZATION writer; SET search_path = tools, pg_catalog; BEGIN; $sql; COMMIT");
}

# Record so many events, wait until they are written, and return the last
# ticket.
sub events
{
	my ($self, $count) = @_;
	$self->sql("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, $count);
		SELECT kms_flush_events()");
	return $self->sql('SELECT last_ticket FROM kms.event_epoch ORDER BY last_ticket DESC LIMIT 1');
}

# Like events(), but wait until they are signed.
sub signed_events
{
	my ($self, $count) = @_;
	my $last = $self->events($count);

	KmsTest::poll(
		sub {
			$self->sql("SELECT kms_flush_events();
				SELECT count(*) FROM kms.event_checkpoint WHERE ticket >= $last") > 0;
		}) or die "ticket $last is not signed";
	return $last;
}

sub signatures
{
	my $self = shift;
	return $self->sql('SELECT count(*) FROM kms.event_checkpoint');
}

sub verify
{
	my $self = shift;
	return $self->sql('SELECT intact, finding, anchored FROM kms_audit_verify()');
}

# Return the SQLSTATE of kms_audit_accept() by the owner.
sub accept
{
	my $self = shift;
	return KmsClient::sqlstate($self->{node}, 'postgres',
		"SELECT kms_audit_accept('because')");
}

# Test that the trail is reported as broken, that events are still written, and
# that nothing is signed.
sub is_broken
{
	my ($self, $name) = @_;
	my $count = q{SELECT count(*) FROM kms.event WHERE operation = 'decrypt'};
	my $before = $self->sql($count);

	like($self->verify, qr/^f\|.*\|t$/, "$name: not intact");
	like($self->findings, qr/^error: the trail was changed behind the server's back/m,
		"$name: an error of kms_check()");
	my $signatures = $self->signatures;
	$self->events(5);
	is($self->sql($count) - $before, 5,
		"$name: events are written");
	$self->events(5) foreach 1 .. 3;
	ok( KmsTest::poll(
			sub {
				# more than the interval of signatures has passed with a writer
				$self->events(1);
				$self->sql("SELECT max(occurred_at) - min(occurred_at) > interval '2 seconds'
					FROM (SELECT occurred_at FROM kms.event WHERE occurred_at < now() + interval '1 minute'
						ORDER BY occurred_at DESC LIMIT 60) AS e") eq 't';
			}),
		"$name: time passes");
	is($self->signatures, $signatures, "$name: nothing is signed");
	like($self->verify, qr/^f\|.*\|t$/, "$name: still not intact");
}

sub ends_by_acceptance
{
	my ($self, $name) = @_;
	my $gap = $self->sql("SELECT kms_audit_accept('it was $$')");

	is( $self->sql("SELECT operation, context, session_role = session_user FROM kms.event WHERE ticket = $gap"),
		"gap|it was $$|t", "$name: accepted, with a gap that says why and by whom");
	is($self->verify, 't||t', "$name: then it is intact");
	is($self->sql("SELECT signed_ticket FROM kms_audit_verify()"),
		$gap, "$name: the gap is signed");
	unlike($self->findings, qr/trail was changed/, "$name: and kms_check() is content");
	my $last = $self->signed_events(3);
	is($self->verify, 't||t', "$name: it goes on");
	is($self->sql("SELECT signed_ticket >= $last FROM kms_audit_verify()"),
		't', "$name: and is signed");
}

1;
