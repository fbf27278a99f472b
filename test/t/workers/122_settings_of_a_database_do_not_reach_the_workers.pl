# Settings of a database or a role have no effect in the workers.  The test sets
# every setting to another value.  The policy for keys, however, can be set for a
# database.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('settings', conf => <<CONF);
kms.maintenance_interval = 1s
kms.key_pool_size = 1
kms.key_lifetime = 11d
kms.key_retention = 22d
log_min_messages = notice
work_mem = 5MB
CONF
$node->safe_psql('postgres', 'CREATE DATABASE hostile; CREATE ROLE nobody');
$node->safe_psql('hostile', 'CREATE EXTENSION kms');

# Note the settings of each kind of worker, by a check on a table that it writes.
$node->safe_psql('hostile', <<'SQL');
CREATE TABLE seen (worker text, name text, setting text, source text);
CREATE FUNCTION see() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE worker text := (SELECT backend_type FROM pg_catalog.pg_stat_activity
	WHERE pid = pg_catalog.pg_backend_pid());
BEGIN
	IF worker LIKE 'kms %' THEN
		INSERT INTO public.seen SELECT worker, name, setting, source FROM pg_catalog.pg_settings
		UNION ALL SELECT worker, n, pg_catalog.current_setting(n, true), 'current'
			FROM pg_catalog.unnest('{role,session_authorization,is_superuser,transaction_isolation}'::text[]) AS n
		UNION ALL SELECT worker, 'session_user', session_user, 'current';
	END IF;
	RETURN true;
END $$;
ALTER TABLE kms.event ADD CONSTRAINT see CHECK (public.see());
ALTER TABLE kms.event_outbox ADD CONSTRAINT see CHECK (public.see());
ALTER TABLE kms.pool_key ADD CONSTRAINT see CHECK (public.see());
SQL
my $server = $node->safe_psql('postgres',
	"SELECT name, setting FROM pg_settings WHERE context IN ('user', 'superuser') ORDER BY 1");

# This session keeps the settings that it had when it began.
my $session = KmsClient->session($node, 'hostile');

# ---- Everything is set to something else ---------------------------------------

my @settings = split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT name || '|' || CASE vartype
	WHEN 'bool' THEN CASE setting WHEN 'on' THEN 'off' ELSE 'on' END
	WHEN 'integer' THEN CASE WHEN setting = min_val THEN max_val ELSE min_val END
	WHEN 'real' THEN CASE WHEN setting = max_val THEN min_val ELSE max_val END
	WHEN 'enum' THEN (SELECT v FROM unnest(enumvals) AS v WHERE v <> setting LIMIT 1)
	ELSE 'nobody' END
FROM pg_settings WHERE context IN ('user', 'superuser') AND name NOT LIKE 'kms.%'
ORDER BY 1
SQL
push @settings, 'exit_on_error|on', 'role|nobody', 'session_authorization|nobody',
  'search_path|pg_temp', 'default_tablespace|', 'TimeZone|Asia/Kolkata', 'DateStyle|SQL, DMY',
  'statement_timeout|1', 'lock_timeout|1', 'idle_in_transaction_session_timeout|1',
  'idle_session_timeout|1', 'default_transaction_isolation|serializable',
  'default_transaction_read_only|on', 'session_replication_role|replica',
  'log_min_messages|debug5', 'backtrace_functions|errfinish', 'work_mem|64',
  'local_preload_libraries|nothing', 'session_preload_libraries|nothing',
  'client_encoding|SQL_ASCII', 'kms.audit_context|somebody else', 'made.up|x';
my $script = '';
foreach (@settings)
{
	my ($name, $value) = /^([^|]+)\|(.*)$/s or next;
	my $quoted = $name =~ /\./ ? $name : "\"$name\"";
	$script .= "ALTER $_ SET $quoted = '$value';\n"
	  foreach 'DATABASE hostile', 'ROLE CURRENT_USER IN DATABASE hostile';
}
# some cannot be set for a database, or not to that
$node->psql('postgres', $script, on_error_stop => 0);
my $set = $node->safe_psql('postgres',
	'SELECT sum(cardinality(setconfig)) FROM pg_db_role_setting');
cmp_ok($set, '>', 300, "the database has $set settings of its own");
$node->safe_psql('postgres', q{
	ALTER DATABASE hostile SET kms.key_lifetime = '77s';
	ALTER ROLE CURRENT_USER SET kms.key_lifetime = '99s';
	ALTER ROLE CURRENT_USER IN DATABASE hostile SET kms.key_retention = '55s';
	ALTER ROLE ALL SET kms.problematic_threshold = '44'});
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity WHERE datname = 'hostile' AND backend_type LIKE 'kms %'");
$session->query('TRUNCATE seen');

# ---- And the workers work ----------------------------------------------------------

$session->query("SET kms.key_lifetime = '1s'");
my $key = $session->query("SELECT key_id FROM kms_issue_key('phone')");
is($session->{state}, '00000', 'a key is issued');
$session->query("SELECT kms_decrypt('$key', kms_encrypt('$key', 'secret')), kms_flush_events()");
is($session->{state}, '00000', 'events are written');
ok( KmsTest::poll(
		sub {
			$session->query("SELECT state FROM kms.key WHERE key_id = '$key'") eq 'deprecated';
		}),
	'maintenance deprecates the key');
ok( KmsTest::poll(sub { $session->query("SELECT count(*) FROM kms.pool_key") > 0 }),
	'the pool is filled');
$session->query('SELECT kms_flush_events()');
is($session->query("SELECT string_agg(DISTINCT coalesce(audit_context, 'none') || ' of ' || session_role, ', ') FROM kms.event"),
	'none of ' . $session->query('SELECT session_user'), 'the trail names nobody else');
ok( KmsTest::poll(
		sub {
			$session->query("SELECT count(DISTINCT worker) FROM seen") eq '3';
		}),
	'each kind of worker was seen');

foreach my $worker ('kms writer', 'kms maintenance', 'kms key generation')
{
	my $from = "FROM seen WHERE worker = '$worker'";
	is($session->query("SELECT string_agg(DISTINCT name, ', ') $from
			AND source IN ('global', 'database', 'user', 'database user') AND name NOT LIKE 'kms.%'
			AND name NOT IN ('made.up')"),
		'', "$worker: no setting is of the database or the role");
	my %expected = (
		'exit_on_error' => 'off',
		'role' => 'none',
		'is_superuser' => 'on',
		'transaction_isolation' => 'read committed',
		'session_user' => $session->query('SELECT session_user'),
		'search_path' => 'pg_catalog, pg_temp',
		'statement_timeout' => '0',
		'idle_in_transaction_session_timeout' => '0',
		'idle_session_timeout' => '0',
		'TimeZone' => 'GMT',
		'DateStyle' => 'ISO, MDY',
		'default_transaction_read_only' => 'off',
		'work_mem' => '5120',
		'log_min_messages' => 'notice',
		'kms.audit_context' => '',
		'kms.key_lifetime' => '77',
		'kms.key_retention' => 22 * 86400,
		'kms.problematic_threshold' => '44');
	foreach my $name (sort keys %expected)
	{
		is($session->query("SELECT string_agg(DISTINCT setting, ',') $from AND name = '$name'"),
			$expected{$name}, "$worker: $name");
	}

	# All other settings have the value of the server.
	my %server = map { /^([^|]+)\|(.*)$/ ? ($1 => $2) : () } split /\n/, $server;
	my %own = map { $_ => 1 } keys %expected, split ' ', 'application_name bytea_output
		default_transaction_deferrable default_transaction_isolation default_table_access_method
		default_tablespace extra_float_digits IntervalStyle jit lock_timeout
		max_parallel_workers_per_gather restrict_nonsystem_relation_kind row_security
		session_replication_role synchronous_commit temp_tablespaces transform_null_equals
		transaction_timeout array_nulls standard_conforming_strings enable_seqscan
		enable_bitmapscan enable_sort';
	my @different;
	foreach (split /\n/, $session->query("SELECT DISTINCT name || '|' || coalesce(setting, '') $from AND source <> 'current'"))
	{
		my ($name, $setting) = /^([^|]+)\|(.*)$/ or next;
		push @different, "$name = $setting"
		  if exists $server{$name} && !$own{$name} && $server{$name} ne $setting;
	}
	is("@different", '', "$worker: all else is as the server has it");
}
$session->quit;
$node->stop;
done_testing();
