# Retention deletes whole prefixes of the trail that end at an old checkpoint, and
# signs where the trail begins, so that deletions by maintenance can be told from
# others.  Without the master key, without a checkpoint, or if another transaction
# has locked a row of the prefix, nothing is deleted, and kms_check() says so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('retained', conf => <<'CONF');
kms.audit_checkpoint_interval = 1s
kms.event_retention = 90d
kms.maintenance = off
kms.maintenance_interval = 1s
CONF

# Record some events, and wait until they are signed and more than a second old.
sub signed_events
{
	$node->sql("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 20);
		SELECT kms_flush_events()");
	my $last = $node->sql('SELECT max(ticket) FROM kms.event');
	KmsTest::poll(
		sub {
			$node->sql('SELECT FROM kms_maintain()');
			$node->sql("SELECT count(*) FROM kms.event_checkpoint WHERE ticket = $last
				AND kind = 'checkpoint' AND signed_at < now() - interval '1.5 seconds'");
		}) or die 'not signed';
	return $last;
}

sub trim
{
	return $node->sql("SELECT done, skipped FROM kms_maintain() WHERE task = 'delete old events'");
}

sub verify
{
	return $node->sql('SELECT intact, first_ticket, last_ticket, signed_ticket, bad_ticket, finding FROM kms_audit_verify()');
}

# Make a change, run a query, undo the change, and return the result.
sub undone
{
	my ($change, $query) = @_;
	return $node->sql("BEGIN; $change; $query; ROLLBACK");
}

sub finding
{
	return undone(shift, 'SELECT bad_ticket, finding FROM kms_audit_verify()');
}

$node->sql('CREATE EXTENSION kms');
my $first = signed_events();
my $second = signed_events();
is(trim(), '0|0', 'nothing is old');

# ---- What is not deleted --------------------------------------------------

# The rows say that they are old, but that is not signed.
is(undone("UPDATE kms.event SET occurred_at = occurred_at - interval '1 year'",
		"SELECT done FROM kms_maintain() WHERE task = 'delete old events'"),
	'0', 'events without an old checkpoint');
is(undone("UPDATE kms.event SET occurred_at = occurred_at - interval '1 year';
		UPDATE kms.event_checkpoint SET signed_at = signed_at - interval '1 year'",
		"SELECT done FROM kms_maintain() WHERE task = 'delete old events'"),
	'0', 'or with one that was made old by hand');
like(undone("UPDATE kms.event SET occurred_at = occurred_at - interval '1 year'",
		'SELECT finding FROM kms_check()'),
	qr/^events are older than kms.event_retention: the oldest is of/m,
	'kms_check() tells of old events');
like(undone("DELETE FROM kms.event_checkpoint; UPDATE kms.event SET occurred_at = occurred_at - interval '1 minute'",
		'SELECT finding FROM kms_check()'),
	qr/^events since .* are not signed/m, 'kms_check() reports events that are not signed');

$node->set('kms.event_retention' => '1s');
my $other = KmsClient->session($node, 'postgres');
$other->query("BEGIN; SELECT FROM kms.event WHERE ticket = $second FOR SHARE");
is(trim(), '0|1', 'a row that another transaction has');
$other->query('ROLLBACK');
my $path = KmsTest::master_key_path($node);
rename $path, "$path.away" or die "$path: $!";
$node->restart;
is(trim(), '0|0', 'without the master key retention deletes nothing');
is($node->sql('SELECT min(ticket) FROM kms.event'), '1', 'without the master key no event is deleted');
rename "$path.away", $path or die "$path: $!";
$node->reload;
KmsTest::poll(sub { $node->sql("SELECT count(*) FROM kms_master_key_status() WHERE status = 'current'") });
foreach my $table ('event', 'event_quarantine', 'event_checkpoint')
{
	my $key = $table eq 'event_checkpoint' ? '(ticket, kind)' : '(ticket, epoch)';
	my $types = $table eq 'event_checkpoint' ? 'a bigint, b text' : 'a bigint, b bigint';
	# refused now, but may be there from before
	my $member = "WHERE objid = 'kms.$table'::regclass AND refclassid = 'pg_extension'::regclass";
	$node->sql("UPDATE pg_depend SET deptype = 'n' $member;
		CREATE TABLE acts ($types, FOREIGN KEY (a, b) REFERENCES kms.$table $key ON DELETE CASCADE);
		UPDATE pg_depend SET deptype = 'e' $member");
	is(trim(), '0|0', "with a foreign key to kms.$table that acts");
	like($node->sql('SELECT finding FROM kms_check()'), qr/^nothing is deleted from kms.$table because/m,
		'kms_check() names the foreign key or trigger');
	$node->sql('DROP TABLE acts');
}

# ---- What is --------------------------------------------------------------

is(trim(), "$second|0", 'retention deletes a prefix of the trail');
is($node->sql("SELECT string_agg(ticket || ' ' || kind, ', ' ORDER BY ticket, kind) FROM kms.event_checkpoint WHERE ticket <= $second"),
	"$second checkpoint, $second start", 'the start is signed, and what was before is gone');
is(verify(), "t|||$second||", 'the trail is intact where no row is left');
$node->set('kms.event_retention' => '90d');
my $third = signed_events();
my $fourth = signed_events();
is(verify(), 't|' . ($second + 1) . "|$fourth|$fourth||", 'the trail is intact with rows behind the start');
like($node->sql("SELECT message FROM kms_audit_checkpoints() WHERE kind = 'start'"),
	qr/\Akms audit start v1\nepoch: \d+\nticket: $second\nhash: [0-9a-f]{64}\nprevious: 0\nsigned at: /,
	'the signed message of a start');

# ---- What somebody else did ----------------------------------------------

my $next = $second + 1;
my @cases = (
	[ "DELETE FROM kms.event WHERE ticket = $next", "$next|the row is missing" ],
	[ "DELETE FROM kms.event WHERE ticket <= $third", "$next|the row is missing" ],
	[ "DELETE FROM kms.event_checkpoint WHERE kind = 'start'", '1|the row is missing' ],
	[ "DELETE FROM kms.event WHERE ticket <= $third;
		DELETE FROM kms.event_checkpoint WHERE ticket < $third;
		UPDATE kms.event_checkpoint SET kind = 'start' WHERE ticket = $third",
		"$third|the start of the trail or its audit key was changed" ],
	[ "DELETE FROM kms.event WHERE ticket <= $third; UPDATE kms.event_checkpoint AS c
		SET ticket = o.ticket, hash = o.hash, epoch = o.epoch FROM kms.event_checkpoint AS o
		WHERE c.kind = 'start' AND o.ticket = $third",
		"$third|the start of the trail or its audit key was changed" ],
	[ "INSERT INTO kms.event_checkpoint SELECT ticket - 1, kind, epoch, hash, previous, signed_at,
		signing_key_id, signature, able_since FROM kms.event_checkpoint WHERE kind = 'start'",
		$second - 1 . '|the checkpoint has no place in the trail' ],
	[ "INSERT INTO kms.event (epoch, ticket, occurred_at, operation, status)
		VALUES (1, $second, now(), 'decrypt', 'success')",
		"$second|the row has no place in the trail" ]);
is(finding($_->[0]), $_->[1], $_->[0]) foreach @cases;

# ---- Again, and elsewhere -------------------------------------------------

$node->set('kms.event_retention' => '1s');
KmsTest::poll(sub { trim(); $node->sql('SELECT count(*) FROM kms.event') eq '0' });
like($node->sql("SELECT message FROM kms_audit_checkpoints() WHERE kind = 'start'"),
	qr/\nticket: $fourth\n.*\nprevious: \d+\n/s, 'a start follows a start');
is($node->sql("SELECT count(*) FROM kms.event_checkpoint WHERE kind = 'start'"), '1', 'the new start takes the place of the old one');
$node->set('kms.event_retention' => '90d');
my $fifth = signed_events();
is(verify(), 't|' . ($fourth + 1) . "|$fifth|$fifth||", 'the trail is intact');

my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dumped');
$node->sql('CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'restored');
is($node->safe_psql('restored', "SELECT kms_try_decrypt('none', 'AAAA'); SELECT kms_flush_events();
		SELECT intact, first_ticket = $fourth + 1, last_ticket > $fifth FROM kms_audit_verify()"),
	"\n\nt|t|t", 'the restored trail is intact, and goes on');
ok( KmsTest::poll(
		sub {
			$node->safe_psql('restored',
				"SELECT FROM kms_maintain(); SELECT signed_ticket > $fifth FROM kms_audit_verify()") =~ /t$/;
		}),
	'the restored trail is signed');
is($node->safe_psql('restored', 'SELECT intact FROM kms_audit_verify()'), 't', 'the restored trail is intact');

done_testing();
