# The audit key is wrapped like any other key, and rewrapped under a new master
# key.  If its master key is lost, another audit key goes on signing, and the rows
# that the lost one signed are not reported as intact.  A key that somebody else
# inserts signs nothing.  The trail can be verified on a standby, too.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsRotation;
use KmsTest;
use Test::More;

my $node = KmsTest->node(
	'primary',
	init => [ allows_streaming => 1 ],
	master_key => [ 'old: ' . KmsTest::random_master_key() ],
	conf => "kms.audit_checkpoint_interval = 1s\nkms.maintenance = off");

# Record some events, wait until they are signed, and return the last ticket.
sub signed_events
{
	$node->sql("SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 20);
		SELECT kms_flush_events()");
	my $last = $node->sql('SELECT max(ticket) FROM kms.event');
	KmsTest::poll(
		sub {
			$node->sql('SELECT FROM kms_maintain()');
			$node->sql("SELECT count(*) FROM kms.event_checkpoint WHERE ticket = $last");
		}) or die 'not signed';
	return $last;
}

sub verify
{
	return $node->sql('SELECT intact, signed_ticket, bad_ticket, finding FROM kms_audit_verify()');
}

sub signers
{
	return $node->sql('SELECT count(DISTINCT signing_key_id) FROM kms.event_checkpoint');
}

$node->sql('CREATE EXTENSION kms');
my $first = signed_events();
my ($old) = KmsRotation::lines($node);
my $wrap = $node->sql('SELECT wrapped_key FROM kms.audit_key');
is($node->sql("SELECT peppers FROM kms_master_key_status()"),
	$node->sql('SELECT (SELECT count(*) FROM kms.audit_key) + (SELECT count(*) FROM kms.pepper)'),
	'kms_master_key_status() counts the audit key');

# ---- Changed ---------------------------------------------------------------

my $new = KmsRotation::put_first($node, 'new');
like($node->sql("SELECT detail FROM kms_master_key_status() WHERE label = 'old'"),
	qr/kms_rewrap_keys\(\) moves/, 'the old master key is needed');
cmp_ok($node->sql('SELECT kms_rewrap_keys()'), '>=', 1, 'the audit key is rewrapped');
is($node->sql('SELECT kms_rewrap_keys()'), 0, 'nothing is left to rewrap');
KmsRotation::put($node, $new);
isnt($node->sql('SELECT wrapped_key FROM kms.audit_key'), $wrap, 'the wrapped audit key has changed');
my $second = signed_events();
is(signers(), 1, 'the signing key is the same');
is(verify(), "t|$second||", 'signatures from under both master keys verify');

# ---- Lost ------------------------------------------------------------------

my $third = KmsRotation::put_first($node, 'third');
KmsRotation::put($node, $third);
my $start = $node->sql('SELECT min(ticket) FROM kms.event_checkpoint');
is(verify(), "f||$start|the signature cannot be verified without the master key of its key",
	'without the master key of the audit key, signatures cannot be verified');
like(KmsClient::findings($node, 'postgres'),
	qr/wrapped under master key "[0-9a-f]{16}", which this server does not have: 0, rows of field keys: 0, peppers or audit keys: [12]/,
	'kms_check() names that master key');
my $other = signed_events();
is(signers(), 2, 'another key signs on');
is(verify(), "f|$other|$start|the signature cannot be verified without the master key of its key",
	'signatures of the other key verify');
KmsRotation::put($node, $third, $new);
is(verify(), "t|$other||", 'with both master keys the trail is intact');

# ---- Put there by somebody else --------------------------------------------

$node->sql("INSERT INTO kms.audit_key SELECT 'aud_' || repeat('0', 24), now() + interval '1 day', wrapped_key, public_key
	FROM kms.audit_key ORDER BY created_at DESC LIMIT 1");
my $next = signed_events();
is(signers(), 2, 'a key that does not authenticate signs nothing');
is(verify(), "t|$next||", 'a key that does not authenticate stops nothing else');
like(KmsClient::findings($node, 'postgres'),
	qr/audit keys that do not authenticate: aud_0{24}/, 'kms_check() names the key that does not authenticate');
is($node->sql("BEGIN; UPDATE kms.event_checkpoint SET signing_key_id = 'aud_' || repeat('0', 24) WHERE ticket = $next;
		SELECT bad_ticket, finding FROM kms_audit_verify(); ROLLBACK"),
	"$next|the checkpoint or its audit key was changed", 'a key that does not authenticate is not believed');
$node->sql("DELETE FROM kms.audit_key WHERE signing_key_id ~ '0{24}'");

# ---- On a standby ----------------------------------------------------------

my $standby = KmsTest->standby($node, 'standby');
my $last = signed_events();
$node->wait_for_catchup('standby', 'replay', $node->lsn('insert'));
KmsTest::poll(sub { $standby->safe_psql('postgres', "SELECT count(*) FROM kms_master_key_status() WHERE status = 'current'") });
is($standby->safe_psql('postgres', 'SELECT intact, last_ticket, signed_ticket FROM kms_audit_verify()'),
	"t|$last|$last", 'a standby verifies the trail');
is($standby->safe_psql('postgres', 'SELECT md5(string_agg(c::text, $$;$$)) FROM kms_audit_checkpoints() AS c'),
	$node->sql('SELECT md5(string_agg(c::text, $$;$$)) FROM kms_audit_checkpoints() AS c'),
	'the standby has the same checkpoints');
is($node->sql('BEGIN READ ONLY; SELECT intact FROM kms_audit_verify(); COMMIT'), 't', 'a read-only transaction verifies the trail');

done_testing();
