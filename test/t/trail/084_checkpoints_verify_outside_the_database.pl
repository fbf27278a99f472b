# The writer signs the trail: at intervals, each 10,000 tickets exactly, and
# later what was written without a master key.  The openssl command verifies that
# with the public key, and kms_audit_verify() finds a trail that was recomputed by
# a role that can write the tables.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('signed',
	conf => "kms.audit_checkpoint_interval = 1\nkms.maintenance = off");
my $dir = PostgreSQL::Test::Utils::tempdir();

# Junk, that many events of it.
sub events
{
	my $count = shift;
	while ($count > 0)
	{
		my $some = $count < 500 ? $count : 500;
		$node->sql("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, $some);
			SELECT kms_flush_events()");
		$count -= $some;
	}
}

# Wait for a signature of all that is there; returns the last ticket.
sub await_signature
{
	my $name = shift;
	$node->sql('SELECT kms_flush_events()');
	my $last = $node->sql('SELECT max(ticket) FROM kms.event');

	# an idle writer leaves the rest to the next round
	ok( KmsTest::poll(
			sub {
				$node->sql('SELECT FROM kms_maintain()');
				$node->sql("SELECT max(ticket) = $last FROM kms.event_checkpoint") eq 't';
			}),
		$name);
	return $last;
}

# Does the openssl command verify it?
sub verifies
{
	my ($message, $signature, $public_key) = @_;
	my %file = (message => $message, sig => decode_base64($signature), pem => $public_key);
	foreach my $name (keys %file)
	{
		open my $file, '>:raw', "$dir/$name" or die "$dir/$name: $!";
		print $file $file{$name};
		close $file or die "$dir/$name: $!";
	}
	return IPC::Run::run(
		[ qw(openssl pkeyutl -verify -pubin -inkey), "$dir/pem", '-rawin', '-in', "$dir/message",
			'-sigfile', "$dir/sig" ],
		'>', \my $out, '2>&1');
}

sub checkpoints
{
	my $since = shift;
	return map { [ split /;/, $_ ] } split /\n/, $node->sql(
		"SELECT ticket || ';' || kind || ';' || replace(message, E'\\n', '|') || ';' || signature
			|| ';' || replace(public_key, E'\\n', '|') FROM kms_audit_checkpoints($since)");
}

sub finding
{
	my $change = shift;
	return $node->sql("BEGIN; $change; SELECT bad_ticket, finding FROM kms_audit_verify(); ROLLBACK");
}

# ---- Outside of the database ---------------------------------------------

$node->sql('CREATE EXTENSION kms');
is($node->sql('SELECT count(*) FROM kms_audit_checkpoints()'), '0', 'nothing to sign yet');
KmsClient::issue($node, 'postgres', 'phone');
my @tickets = await_signature('the first events are signed');
foreach my $round (1 .. 2)
{
	events(3);
	push @tickets, await_signature("signed again: $round");
}

my @checkpoints = checkpoints(0);
cmp_ok(scalar(@checkpoints), '>=', 3, 'there are checkpoints');
my $previous = 0;
foreach (@checkpoints)
{
	my ($ticket, $kind, $message, $signature, $public_key) = @$_;
	s/\|/\n/g foreach $message, $public_key;
	my ($epoch, $hash) =
	  split /\|/, $node->sql("SELECT epoch, encode(substr(hash, 2), 'hex') FROM kms.event WHERE ticket = $ticket");
	like($message, qr/\Akms audit checkpoint v1\nepoch: $epoch\nticket: $ticket\nhash: $hash
previous: $previous\nsigned at: 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\nable since: 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\nkey: aud_[0-9a-f]{24}\n\z/,
		"$ticket: what is signed");
	ok(verifies($message, $signature, $public_key), "$ticket: openssl verifies it");
	my $forged = $message;
	$forged =~ s/previous: \d+/previous: 99/;
	ok(!verifies($forged, $signature, $public_key), "$ticket: and not what was changed");
	$previous = $ticket;
}
is($node->sql("SELECT count(*) FROM kms_audit_checkpoints($tickets[1]) WHERE ticket <= $tickets[1]"),
	'0', 'only later ones are given where they are asked for');
is($node->sql('SELECT intact, signed_ticket = last_ticket FROM kms_audit_verify()'),
	't|t', 'the trail is intact and signed');

# ---- Recomputed ------------------------------------------------------------

# The chain has no secret: a role that can write the tables can compute another.
$node->sql(<<'SQL');
CREATE FUNCTION lp(t text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
	$$SELECT CASE WHEN t IS NULL THEN '\xffffffff'::bytea
		ELSE int4send(octet_length(t)) || convert_to(t, 'UTF8') END$$;
CREATE PROCEDURE rechain(from_ticket bigint) LANGUAGE plpgsql AS $$
DECLARE
	previous bytea := (SELECT substr(hash, 2) FROM kms.event WHERE ticket = from_ticket - 1);
	e kms.event;
BEGIN
	FOR e IN SELECT * FROM kms.event WHERE ticket >= from_ticket ORDER BY ticket LOOP
		previous := sha256(lp('kms/audit-event/v1') || previous || int8send(e.epoch) || int8send(e.ticket)
			|| timestamptz_send(e.occurred_at) || lp(e.operation) || lp(e.status)
			|| lp(CASE WHEN e.status = 'failure' THEN e.reason END)
			|| CASE WHEN e.duration_ms IS NULL THEN '\x00' ELSE '\x01' || float8send(e.duration_ms) END
			|| lp(e.key_id) || lp(e.session_role) || lp(e.caller_role) || lp(e.effective_role)
		|| lp(e.application_name) || int8send(e.calls) || lp(e.form) || lp(e.app_version)
			|| sha256(lp('kms/audit-personal/v1') || e.salt || lp(e.device_id) || lp(e.client_addr)
				|| lp(e.context) || lp(e.audit_context)
				|| lp(CASE WHEN e.status <> 'failure' THEN e.reason END)));
		UPDATE kms.event SET hash = '\x01' || previous WHERE ticket = e.ticket;
	END LOOP;
	UPDATE kms.event_epoch SET hash = previous;
END $$;
SQL
my (undef, $second, $last) = @tickets;
my $first = $checkpoints[0][0];
my $edit = sub { "UPDATE kms.event SET operation = 'encrypt' WHERE ticket = $_[0]; CALL rechain($_[0])" };
my $at = $second + 1;
my $next = (grep { $_ >= $at } map { $_->[0] } @checkpoints)[0];
is(finding($edit->($at)), "$next|the rows up to here are not those that were signed",
	'a recomputed trail is found at the next checkpoint');
like(finding($edit->($at) . "; DELETE FROM kms.event_checkpoint WHERE ticket > $second"),
	qr/^\d+\|the trail does not end where the server ended it$/, 'if that is removed with all behind it, by the anchor');

my @cases = (
	[ "UPDATE kms.event_checkpoint SET hash = sha256('') WHERE ticket = $second",
		"$second|the checkpoint or its audit key was changed" ],
	[ "UPDATE kms.event_checkpoint SET signed_at = signed_at + interval '1 us' WHERE ticket = $second",
		"$second|the checkpoint or its audit key was changed" ],
	[ "UPDATE kms.event_checkpoint SET signed_at = 'infinity' WHERE ticket = $second",
		"$second|the checkpoint or its audit key was changed" ],
	[ "UPDATE kms.event_checkpoint SET signature = '\\x00' WHERE ticket = $second",
		"$second|the checkpoint or its audit key was changed" ],
	[ "UPDATE kms.event_checkpoint SET kind = 'start' WHERE ticket = $second",
		"$second|the start of the trail or its audit key was changed" ],
	[ "UPDATE kms.event_checkpoint SET ticket = 0 WHERE ticket = $second",
		"0|the checkpoint has no place in the trail" ],
	[ "UPDATE kms.event_checkpoint SET signing_key_id = 'other' WHERE ticket = $second",
		"$second|the key of the signature is not in kms.audit_key" ],
	[ "DELETE FROM kms.event_checkpoint WHERE ticket = $second",
		"$next|the checkpoint before this one is missing" ],
	[ "DELETE FROM kms.event WHERE ticket > $second; UPDATE kms.event_epoch SET last_ticket = $second,
		hash = (SELECT substr(hash, 2) FROM kms.event WHERE ticket = $second)",
		$second + 1 . '|the trail ends before what was signed' ],
	[ "UPDATE kms.audit_key SET public_key = set_byte(public_key, 20, get_byte(public_key, 20) # 1)",
		"$first|the checkpoint or its audit key was changed" ],
	[ "UPDATE kms.audit_key SET wrapped_key = set_byte(wrapped_key, 100, get_byte(wrapped_key, 100) # 1)",
		"$first|the checkpoint or its audit key was changed" ],
	[ "DELETE FROM kms.audit_key", "$first|the key of the signature is not in kms.audit_key" ],
	[ "DELETE FROM kms.audit_key; UPDATE kms.event SET operation = 'encrypt' WHERE ticket = $last",
		"$last|the row is not as it was written" ]);
is(finding($_->[0]), $_->[1], $_->[0]) foreach @cases;
like($node->sql("BEGIN; UPDATE kms.audit_key SET created_at = now(); SELECT finding FROM kms_check(); ROLLBACK"),
	qr/^audit keys that do not authenticate: aud_/m, 'kms_check() names an audit key that was changed');

# ---- Each 10,000 tickets --------------------------------------------------

$node->append_conf('postgresql.conf', 'kms.audit_checkpoint_interval = 1h');
$node->reload;
my $start = $node->sql('SELECT max(ticket) FROM kms.event_checkpoint');
events(20_500);
ok(KmsTest::poll(sub { $node->sql("SELECT count(*) FROM kms.event_checkpoint WHERE ticket > $start") >= 2 }),
	'the backlog is signed before the interval is over');
is($node->sql("SELECT count(*) FROM kms.event_checkpoint WHERE ticket > $start AND ticket - previous BETWEEN 10000 AND 11000"),
	2, 'at each 10,000 tickets, with a batch of the writer');
my $signed = $node->sql('SELECT max(ticket) FROM kms.event_checkpoint');
is($node->sql('SELECT intact, signed_ticket FROM kms_audit_verify()'), "t|$signed", 'the trail is intact up to the last signature');

# ---- Without a master key -------------------------------------------------

my $path = KmsTest::master_key_path($node);
rename $path, "$path.away" or die "$path: $!";
$node->append_conf('postgresql.conf', 'kms.audit_checkpoint_interval = 1s');
$node->restart;
events(2 * 500);
is($node->sql('SELECT intact, bad_ticket, finding FROM kms_audit_verify()'),
	"f|$first|the signature cannot be verified without the master key of its key",
	'without the master key no signature can be verified, and that is said of the first');
is($node->sql("SELECT max(ticket) FROM kms.event_checkpoint"), $signed, 'nothing is signed');
rename "$path.away", $path or die "$path: $!";
$node->reload;
await_signature('all of it is signed when the master key is back');
is($node->sql('SELECT intact, signed_ticket = last_ticket FROM kms_audit_verify()'),
	't|t', 'the trail that was signed later verifies');

# ---- Nobody waits ---------------------------------------------------------

my $lock = KmsClient->session($node, 'postgres');
$lock->query('BEGIN; LOCK TABLE kms.event_checkpoint');
my $before = $node->sql('SELECT max(ticket) FROM kms.event');
events(500);
is($node->sql('SELECT max(ticket) FROM kms.event'), $before + 500,
	'events are written while another has locked kms.event_checkpoint');
$lock->query('COMMIT');
$lock->quit;
$node->sql(q{ALTER TABLE kms.event_checkpoint ADD CONSTRAINT poison CHECK (ticket < 0) NOT VALID});
$node->restart;
events(500);
ok(KmsTest::poll(sub { slurp_file($node->logfile) =~ /the trail could not be signed, which is tried again/ }),
	'a failure is logged');
events(500);
is($node->sql("SELECT value FROM kms.status WHERE item = 'writer last error'"),
	'none', 'the failure to sign is no error of the writer');
$node->sql('ALTER TABLE kms.event_checkpoint DROP CONSTRAINT poison');
$node->restart;
await_signature('without the constraint the trail is signed');
is($node->sql('SELECT intact FROM kms_audit_verify()'), 't', 'the trail is intact after the failure to sign');

done_testing();
