# A server whose audit trail is made to fail, and calls to it.
#
#   my $audit = KmsAudit->new('trail');
#   $audit->mode('required', 500);
#   my $outcome = $audit->call($audit->results->{decrypt});
#   is($outcome->{state}, 'KM008');
package KmsAudit;

use strict;
use warnings;

use KmsClient;
use KmsTest;
use parent 'KmsServer';
use Time::HiRes qw(time usleep);

# A kms.audit_timeout that no test waits for.
use constant LONG_TIMEOUT => 60_000;

# A running node with the extension, a key of device "phone" and a session.
# Options are those of KmsTest->node.
sub new
{
	my ($class, $name, %opt) = @_;
	my $self = bless { counter => 0 }, $class;
	my $conf = delete $opt{conf} || '';

	$self->{node} = KmsTest->node($name, %opt,
		conf => <<CONF);
kms.event_ring_size = 256kB
kms.keygen_limit = 1000000
kms.deprecate_problematic_keys = off
$conf
CONF
	$self->{node}->safe_psql('postgres', 'CREATE EXTENSION kms');
	$self->make_keys;
	$self->connect;
	return $self;
}

# Keys with ciphertexts and the hash of a secret, for results().
sub make_keys
{
	my $self = shift;
	my ($key, $pem) = KmsClient::issue($self->{node}, 'postgres', 'phone');
	my (undef, $other_pem) = KmsClient::issue($self->{node}, 'postgres', 'other');
	my $good = KmsTest::encrypt_with_openssl($pem, 'secret');

	$self->{key} = $key;
	$self->{good} = "'$key', '$good'";
	$self->{bad} = "'$key', '"
	  . KmsTest::encrypt_with_openssl($other_pem, 'secret') . "'";
	$self->{batch} = "ARRAY['$key'], ARRAY['$good']";
	$self->{bytes} = "'$key', decode('$good', 'base64')";
	$self->{hash} = $self->sql("SELECT kms_hash_secret($self->{good})");
}

sub connect
{
	my $self = shift;
	$self->{session} = KmsClient->session($self->{node}, 'postgres');
}

# Set kms.audit and, in milliseconds, kms.audit_timeout.
sub mode
{
	my ($self, $mode, $timeout) = @_;

	$self->{timeout} = $timeout || 5000;
	$self->{node}->append_conf('postgresql.conf',
		"kms.audit = $mode\nkms.audit_timeout = $self->{timeout}ms");
	$self->{node}->reload;
	KmsTest::poll(
		sub {
			$self->{session}->query("SELECT setting FROM pg_settings
				WHERE name IN ('kms.audit', 'kms.audit_timeout') ORDER BY name")
			  eq "$mode\n$self->{timeout}";
		}) or die "kms.audit does not become $mode";
}

# ---- Calls ---------------------------------------------------------------

# All calls, by name, that return a result and record an event in the ring.
sub results
{
	my $self = shift;
	return {
		'decrypt' => "SELECT kms_decrypt($self->{good})",
		'decrypt_bytea' => "SELECT kms_decrypt_bytea($self->{bytes})",
		'try_decrypt' => "SELECT kms_try_decrypt($self->{good})",
		'try_decrypt_bytea' => "SELECT kms_try_decrypt_bytea($self->{bytes})",
		'recover' => "SELECT kms_decrypt_recover($self->{good}, 'a test')",
		'recover_bytea' => "SELECT kms_decrypt_recover_bytea($self->{bytes}, 'a test')",
		'batch' => "SELECT plaintext FROM kms_decrypt_batch($self->{batch})",
		'verify' => "SELECT kms_verify_secret($self->{good}, '$self->{hash}')",
		'hash' => "SELECT kms_hash_secret($self->{good})",
		'encrypt' => "SELECT kms_encrypt('$self->{key}', 'x')",
		'encrypt_bytea' => "SELECT kms_encrypt_bytea('$self->{key}', 'x')",
		'issue' => "SELECT key_id FROM kms_issue_key('phone')",
		'public key' => "SELECT kms_public_key('$self->{key}')",
		'diagnose' => "SELECT finding FROM kms_diagnose($self->{good})",
	};
}

# Calls that fail, although they are well-formed: SQLSTATE and statement.
sub failures
{
	my $self = shift;
	return {
		'decrypt of damaged bytes' => [ 'KM001', "SELECT kms_decrypt($self->{bad})" ],
	};
}

# Calls that are refused because they are malformed: SQLSTATE and statement.
sub malformed
{
	my $self = shift;
	return {
		'no base64' => [ '22023', "SELECT kms_decrypt('$self->{key}', '?')" ],
		'an unknown key' =>
		  [ 'KM002', "SELECT kms_decrypt('key_0000000000000000000000', 'AAAA')" ],
		'too much' => [ 'KM006', "SELECT kms_decrypt('$self->{key}', repeat('A', 4000))" ],
	};
}

# The changes in the life of a key, each of which must be possible: name and
# statement, in this order.  "ID" stands for the key that the first one makes.
sub changes
{
	return (
		[ 'issue of a new key', "SELECT key_id FROM kms_issue_key('DEVICE')" ],
		[ 'disable', "SELECT kms_disable_key('ID')" ],
		[ 'disable again', "SELECT kms_disable_key('ID')" ],
		[ 'enable', "SELECT kms_enable_key('ID')" ],
		[ 'deprecate', "SELECT kms_deprecate_key('ID')" ],
		[ 'revoke', "SELECT kms_revoke_key('ID', 'a test')" ],
		[ 'schedule', "SELECT kms_schedule_key_deletion('ID') IS NOT NULL" ],
		[ 'cancel', "SELECT kms_cancel_key_deletion('ID')" ],
		[ 'destroy', "SELECT kms_destroy_key('ID', 'ID')" ]);
}

# Run a statement in the session and return { state, rows, seconds }.
sub call
{
	my ($self, $sql, $session) = @_;
	my $start = time;

	$session ||= $self->{session};
	my $rows = $session->query($sql);
	return {
		state => $session->{state},
		rows => $rows,
		seconds => time - $start
	};
}

# Make all changes of a key's life; returns the names of those that fail.
sub failing_changes
{
	my ($self) = @_;
	my $device = 'device ' . ++$self->{counter};
	my $key;
	my @failed;

	foreach my $change (changes())
	{
		my ($name, $sql) = @$change;
		$sql =~ s/DEVICE/$device/;
		$sql =~ s/ID/$key/g if defined $key;
		my $outcome = $self->call($sql);
		push @failed, "$name: $outcome->{state}" if $outcome->{state} ne '00000';
		$key = $outcome->{rows} unless defined $key;
	}
	return @failed;
}

# ---- The view from outside -----------------------------------------------

# Wait for a writer of this database and return its process id.
sub writer
{
	my $self = shift;
	return $self->{node}->writer;
}

sub running
{
	my ($self, $type) = @_;
	return $self->sql(
		"SELECT min(pid) FROM pg_stat_activity WHERE backend_type = '$type'
		AND (datname = 'postgres' OR datname IS NULL)");
}

# Wait until the session has called and waits, for its event or something else.
sub wait_until_waiting
{
	my ($self, $session) = @_;
	return $self->{node}->wait_until_waiting($session);
}

sub status
{
	my ($self, $item) = @_;
	return $self->{node}->status($item);
}

# How many events of this application are in the trail now.
sub in_trail
{
	my ($self, $name) = @_;
	return $self->sql(
		"SELECT count(*) FROM kms.event WHERE application_name = '$name'");
}

# Return "intact" if no ticket is missing and the chain is whole, and otherwise
# the finding.
sub intact
{
	my $self = shift;
	return $self->sql(
		q{SELECT CASE WHEN intact THEN 'intact' ELSE finding END FROM kms_audit_verify()});
}

1;
