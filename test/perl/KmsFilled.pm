# A database of kms 1.0 that has some of everything, and tests that all of it is
# still there and works.
#
#   my $filled = KmsFilled->fill($node, 'app');
#   ... an update, a dump and restore ...
#   $filled->is_unchanged($node, 'app', 'updated');
#   $filled->works($node, 'app', 'updated');
#
# The server has $KmsFilled::conf.
package KmsFilled;

use strict;
use warnings;

use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

our $conf = <<'CONF';
kms.maintenance = off
kms.key_pool_size = 0
kms.keygen_limit = 10
kms.audit_checkpoint_interval = 1s
kms.deprecate_problematic_keys = off
max_prepared_transactions = 5
CONF

my %kinds = (rsa => 'RSA-2048', p256 => 'EC-P256', x25519 => 'X25519');
my @refused = qw(disabled revoked denied pending_deletion);

# Roles are of the whole server.
sub make_roles
{
	my $node = shift;
	$node->safe_psql('postgres', 'CREATE ROLE app LOGIN; CREATE ROLE clerk LOGIN; CREATE ROLE auditor LOGIN');
}

sub fill
{
	my ($class, $node, $db) = @_;
	my $self = bless { key => {}, ciphertext => {} }, $class;
	my $sql = sub { $node->safe_psql($db, $_[0]) };
	my $key = $self->{key};
	my $ciphertext = $self->{ciphertext};

	$sql->("CREATE EXTENSION kms VERSION '1.0'");
	$sql->('SELECT * FROM kms_maintain()');

	# one device with keys of all kinds, and a device for each state
	foreach my $kind (sort keys %kinds)
	{
		($key->{$kind}) = split /\|/, $sql->("SELECT * FROM kms_issue_key('phone', '2.1', '$kinds{$kind}')");
		$ciphertext->{$kind} = $sql->("SELECT kms_encrypt_jwe('$key->{$kind}', 'secret of $kind')");
	}
	foreach my $device ('deprecated', @refused)
	{
		($key->{$device}) = split /\|/, $sql->("SELECT * FROM kms_issue_key('$device')");
		$ciphertext->{$device} = $sql->("SELECT kms_encrypt('$key->{$device}', 'secret of $device')");
	}
	$sql->("SELECT kms_rotate_key('deprecated')");
	$sql->("SELECT kms_disable_key('$key->{disabled}'), kms_revoke_key('$key->{revoked}', 'lost'),
		kms_schedule_key_deletion('$key->{pending_deletion}')");
	$sql->("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT kms_revoke_key('$key->{denied}', 'stolen'); COMMIT");
	($key->{expired}) = split /\|/, $sql->("SET kms.key_lifetime = '1s'; SELECT * FROM kms_issue_key('expired')");
	my $pem = PostgreSQL::Test::Utils::tempdir() . '/imported.pem';
	run_log([ qw(openssl genrsa -out), $pem, '2048' ]) or die 'openssl makes no key';
	$key->{imported} = $sql->("SELECT kms_import_key('imported', '" . slurp_file($pem) . "', 'old/key')");

	# fields and their rights
	$sql->("SELECT kms_create_field_key('tax'), kms_create_field_key('shut')");
	$self->{value} = $sql->("SELECT kms_encrypt_field('tax', '12-34', 'person.tax:1')");
	$self->{index} = $sql->("SELECT kms_blind_index('tax', '12-34', 'person.tax')");
	$self->{shut} = $sql->("SELECT kms_encrypt_field('shut', 'x', 'c')");
	$sql->("SELECT kms_rotate_field_key('tax'), kms_disable_field_key('shut')");
	$sql->('GRANT EXECUTE ON FUNCTION kms_decrypt_field TO clerk;
		GRANT EXECUTE ON FUNCTION kms_field."tax/decrypt" TO clerk');

	# secrets with their pepper, and grants of users
	my $pin = $sql->("SELECT kms_encrypt('$key->{rsa}', '1234')");
	$self->{pin} = $pin;
	$self->{hash} = $sql->("SELECT kms_hash_secret('$key->{rsa}', '$pin')");
	$sql->('GRANT USAGE ON SCHEMA kms TO auditor; GRANT SELECT ON kms.keys, kms.event TO auditor;
		GRANT EXECUTE ON FUNCTION kms.renew_at TO auditor;
		GRANT EXECUTE ON FUNCTION kms_verify_secret, kms_decrypt TO app WITH GRANT OPTION');

	# failures, a rollback, and a change that waits for its second phase
	$sql->("SET kms.audit_context = 'before'; SELECT kms_try_decrypt('$key->{rsa}', '" . 'A' x 342 . "=='),
		kms_decrypt_recover('$key->{revoked}', '$ciphertext->{revoked}', 'a test')");
	$sql->("BEGIN; SELECT kms_issue_key('rolled back'); ROLLBACK");
	$self->{prepared} = "issue in $db";
	$sql->("BEGIN; SELECT kms_issue_key('prepared'); PREPARE TRANSACTION '$self->{prepared}'");
	KmsTest::poll(sub { $sql->("SELECT kms_key_valid('$key->{expired}')") eq 'f' }) or die 'the key does not expire';
	$sql->('SELECT kms_flush_events()');
	# All of it is signed, so that no later signature belongs to these events.
	KmsTest::poll(
		sub {
			$sql->('SELECT kms_flush_events()');
			$sql->('SELECT max(ticket) = (SELECT max(ticket) FROM kms.event) FROM kms.event_checkpoint') eq 't';
		}) or die 'the trail is not signed';
	$self->{head} = $sql->('SELECT kms_audit_head()');
	$self->{last} = $sql->('SELECT max(ticket) FROM kms.event');
	$self->{content} = $self->content($node, $db);
	return $self;
}

# Return a line with a checksum for each table; of the trail, those rows that
# were there when the database was filled.
sub content
{
	my ($self, $node, $db) = @_;
	return $node->safe_psql($db, join ' UNION ALL ', map {
		my $rows = /^event(?:_checkpoint)?$/ ? "WHERE ticket <= $self->{last}" : '';
		"SELECT '$_ ' || count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '')
			FROM kms.$_ AS t $rows"
	} qw(audit_key denial event event_checkpoint event_quarantine field_key key key_secret metric pepper));
}

sub is_unchanged
{
	my ($self, $node, $db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($self->content($node, $db), $self->{content}, "$name: each table has the rows that it had");
}

# Test that everything works.  With "dumped", what does not come with a dump is
# not expected.
sub works
{
	my ($self, $node, $db, $name, %opt) = @_;
	my $sql = sub { $node->safe_psql($db, $_[0], extra_params => [ '-U', $_[1] || $self->owner($node, $db) ]) };
	my ($key, $ciphertext) = ($self->{key}, $self->{ciphertext});
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $kind (sort keys %kinds)
	{
		is($sql->("SELECT kms_decrypt_jwe('$ciphertext->{$kind}', NULL)"), "secret of $kind", "$name: a key of kind $kind opens");
		is($sql->("SELECT key_id, reused FROM kms_issue_key('phone', NULL, '$kinds{$kind}')"),
			"$key->{$kind}|t", "$name: the device has its key of kind $kind");
	}
	is($sql->("SELECT kms_decrypt('$key->{deprecated}', '$ciphertext->{deprecated}')"),
		'secret of deprecated', "$name: a deprecated key opens");
	is(KmsClient::sqlstate($node, $db, "SELECT kms_decrypt('$key->{$_}', '$ciphertext->{$_}')"),
		'KM004', "$name: a key that is $_ is refused") foreach @refused;
	is($sql->("SELECT kms_key_state('$key->{expired}')"), 'expired', "$name: an expired key is expired");
	is($sql->("SELECT kms_key_state('old/key')"), 'deprecated', "$name: an imported key has its state");
	is($sql->("SELECT kms_decrypt_field('$self->{value}', 'person.tax:1')", 'clerk'), '12-34',
		"$name: a role with the right decrypts a field");
	is($sql->("SELECT kms_blind_index('tax', '12-34', 'person.tax')"), $self->{index}, "$name: a blind index is what it was");
	is($sql->("SELECT kms_field_version(kms_refresh_field('$self->{value}', 'person.tax:1'))"), '2',
		"$name: a field value is refreshed");
	is(KmsClient::sqlstate($node, $db, "SELECT kms_decrypt_field('$self->{shut}', 'c')"), 'KM004',
		"$name: a disabled field key is refused");
	is($sql->("SELECT kms_verify_secret('$key->{rsa}', '$self->{pin}', '$self->{hash}')", 'app'), 't',
		"$name: a role with the right verifies a secret");
	is($sql->("SELECT state FROM kms.keys WHERE key_id = '$key->{denied}'", 'auditor'), 'revoked',
		"$name: the auditor reads the views");

	if (!$opt{dumped})
	{
		$sql->("COMMIT PREPARED '$self->{prepared}'");
		is(KmsTest::events($node, $db, "operation = 'generate' AND device_id = 'prepared'"), '1',
			"$name: a change that was prepared is recorded");
	}
	is($sql->("SELECT reused FROM kms_issue_key('new phone')"), 'f', "$name: keys are made");
	my $counted = $sql->("SELECT sum((m ->> 'count')::bigint) FROM jsonb_array_elements(kms_metrics_summary() -> 'metrics') AS m");
	is($counted, $sql->("SELECT sum(calls) FROM kms.event WHERE operation <> 'gap'"), "$name: metrics and trail go on together");
	is($sql->("SELECT intact, finding FROM kms_audit_verify('$self->{head}')"), 't|', "$name: the trail is intact, with the head noted before");
	$sql->('SELECT * FROM kms_maintain()');
	is($sql->("SELECT stored_state FROM kms.keys WHERE key_id = '$key->{denied}'"), 'revoked', "$name: maintenance works");
	is($sql->('SELECT kms_self_test()'), 't', "$name: the self-test passes");
	return;
}

sub owner
{
	my ($self, $node, $db) = @_;
	return $node->safe_psql($db, "SELECT extowner::regrole FROM pg_extension WHERE extname = 'kms'");
}

1;
