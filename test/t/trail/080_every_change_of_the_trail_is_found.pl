# Every change, removal, insertion or move in the trail is found, with the epoch
# and ticket of the first row that is not as it was written.  The test makes
# 10,000 random changes and undoes each of them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $changes = 10_000;
my $node = KmsTest->node('trail',
	conf => "kms.maintenance = off\nkms.audit_checkpoint_interval = 1s");

# ---- A small trail of each kind of row -----------------------------------

$node->sql('CREATE EXTENSION kms');
$node->is_sql('SELECT * FROM kms_audit_verify()', 't|0|||||||f',
	'a trail that has not begun is intact');
$node->is_sql('SELECT kms_audit_head()', '0:' . '0' x 64, 'its head is of ticket 0');

my ($key, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
sub some_events
{
	$node->sql("SET kms.audit_context = 'request 7';
		SELECT count(kms_decrypt('$key', '$ciphertext')) FROM generate_series(1, 6);
		SELECT kms_try_decrypt('$key', 'AAAA'), kms_try_decrypt('other', 'AAAA');
		SELECT kms_disable_key('$key'); SELECT kms_enable_key('$key');
		SELECT kms_flush_events()");
}
some_events();

# Two that cannot be written, one of the ring and one of a change.
$node->sql(q{ALTER TABLE kms.event ADD CONSTRAINT poison CHECK (audit_context <> 'poison')});
$node->sql("SET kms.audit_context = 'poison';
	SELECT kms_decrypt('$key', '$ciphertext'); SELECT kms_disable_key('$key');
	SELECT kms_enable_key('$key'); SELECT kms_flush_events()");
$node->sql('ALTER TABLE kms.event DROP CONSTRAINT poison');

# A ring of another epoch, behind a gap.
$node->stop('immediate');
unlink glob $node->data_dir . '/pg_stat_tmp/kms.*' or die 'no ring';
$node->start;
some_events();
$node->is_sql('SELECT count(*) FROM kms.event_quarantine', '3',
	'some events were quarantined');
$node->is_sql("SELECT count(*) > 0 FROM kms.event WHERE operation = 'gap'",
	't', 'there is a gap');
$node->is_sql('SELECT count(DISTINCT epoch) FROM kms.event', '2',
	'there are two epochs');
my $last = $node->sql('SELECT max(ticket) FROM kms.event');
ok( KmsTest::poll(
		sub {
			$node->sql("SELECT count(*) FROM kms.event_checkpoint WHERE ticket = $last");
		}),
	'its end is signed');
$node->is_sql('SELECT * FROM kms_audit_verify()', "t|$last|1|$last|$last||||t",
	'the trail is intact');
my $head = $node->sql('SELECT kms_audit_head()');
$node->is_sql("SELECT intact FROM kms_audit_verify('$head')",
	't', 'the trail ends with its head');

# ---- One finding of each kind ---------------------------------------------

# Each change in a transaction that is rolled back; verify's last columns.
sub finding
{
	my ($change, $head) = @_;
	$head = $head ? "'$head'" : 'NULL';
	my $result = $node->safe_psql('postgres',
		"BEGIN; $change; SELECT intact, bad_ticket, finding FROM kms_audit_verify($head); ROLLBACK");
	return $result;
}
my $next = $last + 1;
my @cases = (
	[ "UPDATE kms.event SET key_id = NULL WHERE ticket = 3", 'f|3|the row is not as it was written' ],
	[ "UPDATE kms.event SET hash = NULL WHERE ticket = 3", 'f|3|the row has no hash' ],
	[ "UPDATE kms.event SET hash = hash || '\\x00' WHERE ticket = 3", 'f|3|the row is not as it was written' ],
	[ "UPDATE kms.event SET hash = set_byte(hash, 0, 2) WHERE ticket = 3", 'f|3|the row is not as it was written' ],
	[ "UPDATE kms.event SET caller_role = 'another' WHERE ticket = 3", 'f|3|the row is not as it was written' ],
	[ "UPDATE kms.event SET calls = 2 WHERE ticket = 3", 'f|3|the row is not as it was written' ],
	[ "UPDATE kms.event SET form = 'block' WHERE ticket = 3", 'f|3|the row is not as it was written' ],
	[ "UPDATE kms.event SET salt = NULL, device_id = NULL, context = NULL, audit_context = NULL WHERE ticket = 3",
		'f|3|the row is not as it was written' ],
	[ "UPDATE kms.event SET forgotten = '\\x00' WHERE ticket = 3", 'f|3|the row is not as it was written' ],
	[ "DELETE FROM kms.event WHERE ticket = 3", 'f|3|the row is missing' ],
	[ "DELETE FROM kms.event WHERE ticket < 3", 'f|1|the row is missing' ],
	[ "DELETE FROM kms.event WHERE ticket = $last", "f|$last|the row is missing" ],
	[ "TRUNCATE kms.event, kms.event_quarantine", 'f|1|the row is missing' ],
	[ "TRUNCATE kms.event_epoch", 'f|1|the row has no place in the trail' ],
	[ "UPDATE kms.event_epoch SET hash = '\\x00'",
		"f|$last|the trail does not end with the hash in kms.event_epoch" ],
	[ "INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status) VALUES (1, $next, now(), 'decrypt', 'success')",
		"f|$next|the row has no place in the trail" ],
	[ "INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status) VALUES (1, 0, now(), 'decrypt', 'success')",
		'f|0|the row has no place in the trail' ]);
is(finding($_->[0]), $_->[1], $_->[0]) foreach @cases;
my $branch = '; that may have been noted on a branch of the trail that was lost: see the gap with ticket '
  . $node->sql("SELECT max(ticket) FROM kms.event WHERE operation = 'gap'");
is(finding('', "$last:" . '0' x 64),
	"f|$last|the row does not have the hash of the head that was given$branch", 'a wrong head');
is(finding('', "$next:" . '0' x 64),
	"f|$next|the trail ends before the head that was given$branch", 'a later head');
is(finding('', '1:' . '0' x 64),
	'f|1|the row does not have the hash of the head that was given', 'a wrong head of before the gap');
is(finding('', '0:' . '0' x 64), 't||', 'the head of the beginning');
is(finding('', '0:' . '1' x 64),
	'f|0|the row does not have the hash of the head that was given', 'a wrong head of the beginning');
foreach my $change ('DROP COLUMN client_addr', 'ALTER COLUMN client_addr TYPE bigint USING 1',
	'ALTER COLUMN epoch TYPE text')
{
	my $state = KmsClient::sqlstate($node, 'postgres',
		"BEGIN; ALTER TABLE kms.event $change; SELECT kms_audit_verify(); ROLLBACK");
	is($state, '55000', "a table with other columns is not read: $change");
}
foreach my $bad ('', '1', '1:', ':' . '0' x 64, '1:' . '0' x 63, '1:' . 'g' x 64,
	'-1:' . '0' x 64, '9' x 19 . ':' . '0' x 64, "1:$head")
{
	my ($rc, undef, $stderr) = $node->psql('postgres',
		"\\set VERBOSITY sqlstate\nSELECT kms_audit_verify('$bad')",
		on_error_stop => 1);
	like($stderr, qr/22023/, "\"$bad\" is no head");
}

# ---- An attacker who can write the tables can forge the chain, but neither its
# signatures nor a head that was noted -------------------------------------

# The format again, as chain.h has it, in SQL.
$node->sql(<<'SQL');
CREATE FUNCTION lp(t text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
	$$SELECT CASE WHEN t IS NULL THEN '\xffffffff'::bytea
		ELSE int4send(octet_length(t)) || convert_to(t, 'UTF8') END$$;
CREATE FUNCTION usec(t timestamptz) RETURNS bytea LANGUAGE sql IMMUTABLE AS
	$$SELECT timestamptz_send(t)$$;
CREATE FUNCTION link(previous bytea, e kms.event) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT sha256(lp('kms/audit-event/v1') || previous || int8send(e.epoch) || int8send(e.ticket)
		|| usec(e.occurred_at) || lp(e.operation) || lp(e.status)
		|| lp(CASE WHEN e.status = 'failure' THEN e.reason END)
		|| CASE WHEN e.duration_ms IS NULL THEN '\x00' ELSE '\x01' || float8send(e.duration_ms) END
		|| lp(e.key_id) || lp(e.session_role) || lp(e.caller_role) || lp(e.effective_role)
		|| lp(e.application_name) || int8send(e.calls) || lp(e.form) || lp(e.app_version)
		|| sha256(lp('kms/audit-personal/v1') || e.salt || lp(e.device_id) || lp(e.client_addr)
			|| lp(e.context) || lp(e.audit_context)
			|| lp(CASE WHEN e.status <> 'failure' THEN e.reason END))) $$;
CREATE FUNCTION link(previous bytea, a kms.event_quarantine) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
	SELECT sha256(lp('kms/audit-aside/v1') || previous || int8send(a.epoch) || int8send(a.ticket)
		|| usec(a.set_aside_at) || lp(a.error)
		|| sha256(lp('kms/audit-aside-personal/v1') || a.salt || int4send(32) || sha256(a.event))) $$;
CREATE PROCEDURE rechain() LANGUAGE plpgsql AS $$
DECLARE
	previous bytea := decode(repeat('00', 32), 'hex');
	t bigint; n bigint := 0;
	e kms.event; a kms.event_quarantine;
BEGIN
	FOR t IN SELECT ticket FROM kms.event UNION SELECT ticket FROM kms.event_quarantine ORDER BY 1 LOOP
		n := n + 1;
		UPDATE kms.event SET ticket = n WHERE ticket = t RETURNING * INTO e;
		IF FOUND THEN
			previous := link(previous, e);
			UPDATE kms.event SET hash = '\x01' || previous WHERE ticket = n;
		ELSE
			UPDATE kms.event_quarantine SET ticket = n WHERE ticket = t RETURNING * INTO a;
			previous := link(previous, a);
			UPDATE kms.event_quarantine SET hash = '\x01' || previous WHERE ticket = n;
		END IF;
	END LOOP;
	UPDATE kms.event_epoch SET last_ticket = n, hash = previous
		WHERE last_ticket = (SELECT max(last_ticket) FROM kms.event_epoch);
END $$;
SQL
is(finding('CALL rechain(); SELECT kms_audit_head()'),
	"$head\nt||", 'the chain is the one that the manual describes');
my $forged = 'DELETE FROM kms.event WHERE ticket = 3; CALL rechain()';
my $signed = $node->sql('SELECT min(ticket) FROM kms.event_checkpoint WHERE ticket >= 3');
is( finding("UPDATE kms.event SET key_id = 'another' WHERE ticket = 3; CALL rechain()"),
	"f|$signed|the rows up to here are not those that were signed",
	'a recomputed chain is not the chain that was signed');
my $unsigned = "$forged; TRUNCATE kms.event_checkpoint";
is(finding($unsigned), "f|$last|the trail does not end where the server ended it",
	'a trail without signatures does not end where the server noted it');
is(finding("$unsigned; DELETE FROM kms.event"), 'f|1|the row is missing',
	'deleting the whole trail is found');
like(finding($unsigned, $head), qr/^f\|\d+\|the trail ends before the head/,
	'a trail that was cut does not reach a head that was noted elsewhere');
is( finding("UPDATE kms.event SET key_id = 'another' WHERE ticket = 3; CALL rechain();
		TRUNCATE kms.event_checkpoint", $head),
	"f|$last|the row does not have the hash of the head that was given$branch",
	'a trail of the same length does not have that head either');

# ---- At random ------------------------------------------------------------

# "change" makes one change and returns where it must be found: the lowest ticket
# that it touches, and the epoch of the row with that ticket or, if there is none,
# of the row that had it before.
$node->sql(<<'SQL');
CREATE TABLE link AS
	SELECT ticket, epoch, false AS aside FROM kms.event
	UNION ALL SELECT ticket, epoch, true FROM kms.event_quarantine;
CREATE FUNCTION other_value(type text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT CASE type
		WHEN 'bytea' THEN (ARRAY['\x', '\x00', '\x' || repeat(md5(random()::text), 1),
			'\x' || repeat(md5(random()::text), 2), NULL])[1 + floor(random() * 5)]
		WHEN 'text' THEN (ARRAY['', 'success', 'failure', 'decrypt', md5(random()::text), NULL])[1 + floor(random() * 6)]
		WHEN 'bigint' THEN floor((random() - 0.5) * 1e18)::bigint::text
		WHEN 'double precision' THEN (ARRAY['0', '-0', 'NaN', random()::text, NULL])[1 + floor(random() * 5)]
		WHEN 'timestamp with time zone' THEN (now() + random() * interval '1 year')::text
	END $$;
CREATE FUNCTION change(OUT kind text, OUT bad_epoch bigint, OUT bad_ticket bigint)
LANGUAGE plpgsql AS $$
DECLARE
	last bigint := (SELECT max(ticket) FROM link);
	l link; m link; c record; changed bigint; value text; name text;
BEGIN
	kind := (ARRAY['edit', 'edit', 'edit', 'flip', 'swap', 'remove', 'cut', 'insert', 'push', 'append', 'move'])
		[1 + floor(random() * 11)];
	SELECT * INTO l FROM link ORDER BY random() LIMIT 1;
	name := CASE WHEN l.aside THEN 'event_quarantine' ELSE 'event' END;
	bad_epoch := l.epoch;
	bad_ticket := l.ticket;
	CASE kind
	WHEN 'edit' THEN			-- any column but the ticket
		LOOP
			SELECT a.attname, format_type(a.atttypid, -1) AS type, a.attnotnull INTO c FROM pg_attribute AS a
				WHERE attrelid = ('kms.' || name)::regclass AND attnum > 0 AND attname <> 'ticket'
				ORDER BY random() LIMIT 1;
			value := other_value(c.type);
			CONTINUE WHEN value IS NULL AND c.attnotnull;
			EXECUTE format('UPDATE kms.%I SET %I = %L WHERE ticket = $1'
				' AND %I::text IS DISTINCT FROM %L::%s::text',
				name, c.attname, value, c.attname, value, c.type) USING l.ticket;
			GET DIAGNOSTICS changed = ROW_COUNT;
			EXIT WHEN changed > 0;
		END LOOP;
		kind := kind || ' ' || c.attname;
		IF c.attname = 'epoch' THEN bad_epoch := value; END IF;
	WHEN 'flip' THEN			-- one bit
		value := (ARRAY['hash', 'salt'])[1 + floor(random() * 2)];
		EXECUTE format('UPDATE kms.%I SET %I = set_bit(%I, $2, 1 - get_bit(%I, $2)) WHERE ticket = $1',
			name, value, value, value) USING l.ticket, floor(random() * 128)::bigint;
	WHEN 'swap' THEN			-- two rows change places
		SELECT * INTO m FROM link WHERE aside = l.aside AND ticket <> l.ticket ORDER BY random() LIMIT 1;
		EXECUTE format('UPDATE kms.%I SET ticket = -1 WHERE ticket = $1', name) USING l.ticket;
		EXECUTE format('UPDATE kms.%I SET ticket = $1 WHERE ticket = $2', name) USING l.ticket, m.ticket;
		EXECUTE format('UPDATE kms.%I SET ticket = $1 WHERE ticket = -1', name) USING m.ticket;
		bad_ticket := least(l.ticket, m.ticket);
		bad_epoch := CASE WHEN l.ticket < m.ticket THEN m.epoch ELSE l.epoch END;
	WHEN 'remove' THEN
		EXECUTE format('DELETE FROM kms.%I WHERE ticket = $1', name) USING l.ticket;
	WHEN 'cut' THEN				-- all from here on
		DELETE FROM kms.event WHERE ticket >= l.ticket;
		DELETE FROM kms.event_quarantine WHERE ticket >= l.ticket;
	WHEN 'insert' THEN			-- a row, changed in nothing but its epoch, beside the true one
		bad_epoch := other_value('bigint');
		INSERT INTO kms.event SELECT (jsonb_populate_record(e, jsonb_build_object('epoch', bad_epoch))).*
			FROM (SELECT e FROM kms.event AS e WHERE ticket <= l.ticket ORDER BY ticket DESC LIMIT 1) AS s
			RETURNING ticket INTO bad_ticket;
	WHEN 'push' THEN			-- a row put in; those behind it make room
		UPDATE kms.event SET ticket = -ticket - 1 WHERE ticket >= l.ticket;
		UPDATE kms.event_quarantine SET ticket = -ticket - 1 WHERE ticket >= l.ticket;
		UPDATE kms.event SET ticket = -ticket WHERE ticket < 0;
		UPDATE kms.event_quarantine SET ticket = -ticket WHERE ticket < 0;
		INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status, salt, hash)
			VALUES (l.epoch, l.ticket, now(), 'decrypt', 'success', decode(md5('a'), 'hex'), '\x01' || sha256('a'));
	WHEN 'append' THEN			-- behind the end
		bad_ticket := last + 1;
		INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status, salt, hash)
			VALUES (l.epoch, last + 1, now(), 'decrypt', 'success', decode(md5('a'), 'hex'), '\x01' || sha256('a'));
	WHEN 'move' THEN			-- to another ticket, behind the end
		EXECUTE format('UPDATE kms.%I SET ticket = $2 WHERE ticket = $1', name)
			USING l.ticket, last + 1 + floor(random() * 100)::bigint;
	END CASE;
END $$;
CREATE TABLE tried (kind text, bad_epoch bigint, bad_ticket bigint, intact boolean, epoch bigint, ticket bigint, finding text);
CREATE PROCEDURE try(n int) LANGUAGE plpgsql AS $$
DECLARE c record; v record;
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			c := change();
			v := kms_audit_verify();
			RAISE EXCEPTION 'undo' USING ERRCODE = 'P0999';
		EXCEPTION WHEN SQLSTATE 'P0999' THEN NULL;
		END;
		INSERT INTO tried VALUES (c.kind, c.bad_epoch, c.bad_ticket, v.intact, v.bad_epoch, v.bad_ticket, v.finding);
		IF i % 200 = 0 THEN COMMIT; END IF;
	END LOOP;
END $$;
SQL
my $seed = $ENV{KMS_TEST_SEED} || time;
note "KMS_TEST_SEED=$seed";
$node->sql("SELECT setseed(($seed % 1000) / 1000.0); CALL try($changes)");
$node->is_sql('SELECT count(*) FROM tried', $changes, "$changes random changes");
$node->is_sql('SELECT count(*) FROM tried WHERE intact IS NOT FALSE', '0', 'all changes are found');
$node->is_sql('SELECT count(*) FROM tried WHERE ticket IS DISTINCT FROM bad_ticket',
	'0', 'with the ticket');
$node->is_sql('SELECT count(*) FROM tried WHERE epoch IS DISTINCT FROM bad_epoch',
	'0', 'the finding has the epoch')
  or note $node->sql("SELECT * FROM tried WHERE epoch IS DISTINCT FROM bad_epoch LIMIT 20");
note $node->sql('SELECT kind, count(*), string_agg(DISTINCT finding, $$, $$) FROM tried GROUP BY 1 ORDER BY 1');
$node->is_sql("SELECT intact FROM kms_audit_verify('$head')", 't', 'the unchanged trail is intact');
$node->stop;
done_testing();
