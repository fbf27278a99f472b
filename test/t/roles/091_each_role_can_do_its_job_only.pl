# Each role of examples/grants.sql can call and read what its job needs, and
# is refused everything else.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('jobs');
my @jobs = qw(issuer decrypter operator auditor custodian break_glass monitor nobody);

$node->safe_psql('postgres', 'CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys;
	ALTER DATABASE postgres SET search_path = "$user", public, keys');
$node->safe_psql('postgres', "CREATE ROLE kms_$_ NOLOGIN; CREATE ROLE $_ LOGIN; GRANT kms_$_ TO $_")
  foreach @jobs;
$node->command_ok(
	[
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1',
		'-d', $node->connstr('postgres'),
		'-f', "$FindBin::Bin/../../../examples/grants.sql"
	],
	'examples/grants.sql runs');

my ($key) = split /\|/,
  $node->safe_psql('postgres', "SELECT * FROM kms_issue_key('phone')");
my $ciphertext = $node->safe_psql('postgres', "SELECT kms_encrypt('$key', 'x')");
my $jwe = $node->safe_psql('postgres', "SELECT kms_encrypt_jwe('$key', 'x')");
my $both = "'$key', '$ciphertext'";
my $both_bytes = "'$key', decode('$ciphertext', 'base64')";

# keys on which each operation changes nothing
my %in_state = map {
	my ($id) = split /\|/,
	  $node->safe_psql('postgres', "SELECT * FROM kms_issue_key('$_')");
	$_ => "'$id'"
} qw(active deprecated disabled revoked pending);
$node->safe_psql(
	'postgres', "SELECT kms_deprecate_key($in_state{deprecated}),
	kms_disable_key($in_state{disabled}), kms_revoke_key($in_state{revoked}, 'test'),
	kms_schedule_key_deletion($in_state{pending})");

# Field keys: one to use, one that was destroyed, and a value.  Calls without
# the right on the field are refused as well, so each job gets all rights.
$node->safe_psql(
	'postgres', q{SET kms.field_destroy_after = 0;
	SELECT kms_create_field_key('tax'), kms_create_field_key('gone');
	SELECT kms_disable_field_key('gone');
	SELECT kms_destroy_field_key('gone', NULL, 'gone/all')});
foreach my $job (@jobs)
{
	$node->safe_psql('postgres',
		"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kms_field TO kms_$job");
}
my $value =
  $node->safe_psql('postgres', "SELECT kms_encrypt_field('tax', 'x', 'c')");

# ---- Functions -----------------------------------------------------------

my %call = (
	kms_issue_key => "'phone'",
	kms_rotate_key => "'another phone'",
	kms_import_key => "'phone', 'x'",
	kms_public_key => "'$key'",
	kms_jwk => "'$key'",
	kms_jwks => "'phone'",
	kms_encrypt => "'$key', 'x'",
	kms_encrypt_bytea => "'$key', 'x'",
	kms_decrypt => $both,
	kms_decrypt_bytea => $both_bytes,
	kms_try_decrypt => $both,
	kms_try_decrypt_bytea => $both_bytes,
	kms_decrypt_batch => "ARRAY['$key'], ARRAY['x']",
	kms_decrypt_batch_bytea => "ARRAY['$key'], ARRAY['x'::bytea]",
	kms_decrypt_jwe => "'$jwe', NULL",
	kms_decrypt_jwe_bytea => "'$jwe', NULL",
	kms_encrypt_jwe => "'$key', 'x'",
	kms_decrypt_recover => "$both, 'test'",
	kms_decrypt_recover_bytea => "$both_bytes, 'test'",
	kms_diagnose => $both,
	kms_jwe_header => "'e30....'",
	kms_deprecate_key => $in_state{deprecated},
	kms_disable_key => $in_state{disabled},
	kms_enable_key => $in_state{active},
	kms_revoke_key => "$in_state{revoked}, 'test'",
	kms_schedule_key_deletion => $in_state{pending},
	kms_cancel_key_deletion => $in_state{disabled},
	kms_destroy_key => "'$key', '$key'",
	kms_forget_device => "'phone'",
	kms_hash_secret => $both,
	kms_verify_secret => "$both, 'no hash'",
	kms_key_state => "'$key'",
	kms_key_valid => "'$key'",
	kms_metrics_summary => '',
	kms_problematic_keys => '',
	kms_rate_limit_status => "'phone'",
	kms_maintain => '',
	kms_flush_events => '',
	kms_master_key_status => '',
	kms_rewrap_keys => '',
	kms_check => '',
	kms_audit_head => '',
	kms_audit_verify => '',
	kms_audit_checkpoints => '',
	kms_audit_accept => "'a test'",
	kms_self_test => '',
	kms_version => '',
	kms_create_field_key => "'made'",
	kms_rotate_field_key => "'tax'",
	kms_disable_field_key => "'tax', 1",
	kms_enable_field_key => "'tax', 1",
	kms_destroy_field_key => "'gone', NULL, 'gone/all'",
	kms_encrypt_field => "'tax', 'x', 'c'",
	kms_encrypt_field_bytea => "'tax', 'x', 'c'",
	kms_decrypt_field => "'$value', 'c'",
	kms_decrypt_field_bytea => "'$value', 'c'",
	kms_try_decrypt_field => "'$value', 'c'",
	kms_try_decrypt_field_bytea => "'$value', 'c'",
	kms_refresh_field => "'$value', 'c'",
	kms_field_is_current => "'$value'",
	kms_field_version => "'$value'",
	kms_field_key => "'$value'",
	kms_blind_index => "'tax', 'x', 's'",
	kms_decrypt_to_field => "$both, 'tax', 'c', NULL",
	kms_decrypt_to_index => "$both, 'tax', 's', NULL",
	'kms.read_metrics' => '24',
	'kms.read_status' => '',
	'kms.read_counters' => '',
	'kms.read_gauges' => '',
	'kms.read_progress' => '',
	'kms.renew_at' => "'k', now(), now()",
	'kms.start' => '');

my %may_call = (
	issuer => [
		qw(kms_issue_key kms_public_key kms_jwk kms_jwks kms_encrypt kms_encrypt_jwe
		  kms_encrypt_bytea kms_key_state kms_key_valid
		  kms_rate_limit_status kms_jwe_header)
	],
	decrypter => [
		qw(kms_decrypt kms_decrypt_bytea kms_try_decrypt
		  kms_try_decrypt_bytea kms_decrypt_batch kms_decrypt_batch_bytea
		  kms_decrypt_jwe kms_decrypt_jwe_bytea kms_hash_secret
		  kms_verify_secret kms_decrypt_to_field kms_decrypt_to_index
		  kms_key_state kms_key_valid kms_jwe_header)
	],
	operator => [
		qw(kms_rotate_key kms_deprecate_key kms_disable_key kms_enable_key
		  kms_revoke_key kms_schedule_key_deletion kms_cancel_key_deletion
		  kms_public_key kms_key_state kms_key_valid
		  kms_rate_limit_status kms_metrics_summary kms_problematic_keys
		  kms_maintain kms_flush_events kms_master_key_status
		  kms_rewrap_keys kms_check kms_self_test kms_diagnose
		  kms.read_status kms.read_progress)
	],
	auditor => [
		qw(kms_metrics_summary kms_problematic_keys kms_flush_events
		  kms_check kms_audit_head kms_audit_verify kms_audit_checkpoints
		  kms.read_metrics kms.read_status kms.read_progress kms.renew_at)
	],
	custodian => [
		qw(kms_create_field_key kms_rotate_field_key kms_disable_field_key
		  kms_enable_field_key kms_destroy_field_key)
	],
	break_glass => [qw(kms_decrypt_recover kms_decrypt_recover_bytea)],
	monitor => [qw(kms.read_counters kms.read_gauges kms.read_progress)],
	nobody => []);

my $of_extension = q{IN (SELECT objid FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kms'))};

is( $node->safe_psql(
		'postgres',
		"SELECT CASE WHEN pronamespace = 'kms'::regnamespace THEN 'kms.' ELSE '' END
		|| proname COLLATE \"C\" FROM pg_proc WHERE oid $of_extension ORDER BY 1"),
	join("\n", sort keys %call),
	'the matrix has every function');

foreach my $job (@jobs)
{
	# PUBLIC has kms_version(), but no right on the schema
	my %allowed = map { $_ => 1 } @{ $may_call{$job} }, $job =~ /^(?:nobody|monitor)$/ ? () : 'kms_version';
	my $states = states($job,
		map { [ $_, 'SELECT * FROM ' . (/^kms\./ ? $_ : "keys.$_") . "($call{$_})" ] } sort keys %call);
	foreach my $function (sort keys %call)
	{
		is($states->{$function}, $allowed{$function} ? '00000' : '42501',
			"$job " . ($allowed{$function} ? 'may call ' : 'may not call ') .
			$function);
	}
}

# ---- Tables, views, sequences --------------------------------------------

my @auditors =
  qw(devices event event_quarantine failure_rates field_keys keys metric metrics
  problematic_keys progress status top_failures);
my @numbers = qw(counters gauges);
my @closed =
  qw(audit_key denial event_checkpoint event_epoch event_outbox field_key key
  key_secret maintenance pepper pool_key);

is( $node->safe_psql(
		'postgres',
		"SELECT relname FROM pg_class WHERE oid $of_extension
		AND relkind IN ('r', 'v') ORDER BY relname COLLATE \"C\""),
	join("\n", sort @auditors, @numbers, @closed),
	'the matrix has every table and view');

foreach my $job (@jobs)
{
	my $states = states($job,
		map { [ $_, "SELECT * FROM kms.$_" ] } @auditors, @numbers, @closed);
	foreach my $relation (@auditors, @numbers, @closed)
	{
		my $allowed = $job eq 'auditor' && (grep { $_ eq $relation } @auditors)
		  || $job eq 'monitor' && ($relation eq 'progress' || grep { $_ eq $relation } @numbers)
		  || $job eq 'operator' && $relation =~ /^(?:progress|status)$/
		  || $job eq 'custodian' && $relation eq 'field_keys';
		is($states->{$relation}, $allowed ? '00000' : '42501',
			"$job " . ($allowed ? 'may read ' : 'may not read ') .
			"kms.$relation");
	}
	is( $node->safe_psql(
			'postgres',
			"SELECT string_agg(relname, ' ') FROM pg_class
			WHERE oid $of_extension AND (
				relkind IN ('r', 'v') AND has_table_privilege('$job', oid,
					'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
				OR relkind = 'S' AND has_sequence_privilege('$job', oid,
					'USAGE, SELECT, UPDATE'))"),
		'', "$job may write to nothing");
	is( $node->safe_psql(
			'postgres', "SELECT has_schema_privilege('$job', 'kms', 'CREATE')"),
		'f', "$job may create nothing in schema kms");
	is( $node->safe_psql(
			'postgres', "SELECT has_schema_privilege('$job', 'keys', 'CREATE')"),
		'f', "$job may create nothing in schema keys");
	is( $node->safe_psql(
			'postgres',
			"SELECT has_schema_privilege('$job', 'kms_field', 'USAGE, CREATE')"),
		'f', "$job has no right on schema kms_field");
}

$node->stop;
done_testing();

# Run named statements as a user; returns the SQLSTATE of each.
sub states
{
	my ($user, @statements) = @_;
	my $script = "\\o /dev/null\n";
	my $output;

	$script .= "$_->[1];\n\\echo $_->[0] :SQLSTATE\n" foreach @statements;
	IPC::Run::run(
		[ 'psql', '-X', '-q', '-U', $user, '-d', $node->connstr('postgres') ],
		'<', \$script, '>', \$output, '2>', '/dev/null')
	  or die "psql: $?";
	return { map { split / / } split /\n/, $output };
}
