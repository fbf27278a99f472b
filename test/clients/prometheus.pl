#!/usr/bin/env perl
# monitoring/ with the programs that it is for: the exporter asks two databases,
# Prometheus scrapes it and loads the rules.  Its values are those of SQL, each
# query of the dashboard finds something, and alerts fire when they should.
# Skipped if prometheus, promtool or the exporter is not installed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use KmsClient;
use KmsCommand qw(last_line run write_file);
use KmsMonitoring;
use KmsTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

foreach my $program (qw(prometheus promtool prometheus-postgres-exporter))
{
	my ($status, undef, $errors) = run([ $program, '--version' ]);
	plan skip_all => "$program: " . last_line($errors) if $status != 0;
}

# Seconds between two scrapes.  A scrape may take as long.
use constant INTERVAL => 5;

my $top = "$FindBin::Bin/../..";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $http = HTTP::Tiny->new(timeout => $PostgreSQL::Test::Utils::timeout_default);
my $node = KmsTest->node('prometheus', conf => <<'CONF');
kms.key_pool_size = 2
kms.audit_timeout = 100ms
CONF
my $url;
my @programs;

test_rules_alone();
make_databases();
start_exporter();
start_prometheus();
test_values();
test_rules_and_dashboard();
test_alerts();

$_->kill_kill foreach @programs;
$node->stop;
done_testing();

END
{
	my $status = $?;
	$_->kill_kill foreach grep { $_->pumpable } @programs;
	$? = $status;
}

# ---- The server, the exporter and Prometheus -----------------------------

sub test_rules_alone
{
	foreach my $arguments ([ qw(check rules), KmsMonitoring::path('alerts.yml') ],
		[ qw(test rules), KmsMonitoring::path('alerts_test.yml') ])
	{
		my ($status, $output, $errors) = run([ 'promtool', @$arguments ]);
		is($status, 0, "promtool @$arguments[0, 1]") or diag("$output$errors");
	}
	return;
}

sub make_databases
{
	my $grants = slurp_file("$top/examples/grants.sql");

	$node->sql("CREATE ROLE $_") foreach $grants =~ /^--     CREATE ROLE (\w+) NOLOGIN;$/mg;
	$node->sql('CREATE ROLE kms_exporter LOGIN IN ROLE kms_monitor');
	foreach my $db (qw(app shop))
	{
		$node->sql("CREATE DATABASE $db");
		$node->safe_psql($db, "CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys;
			ALTER DATABASE $db SET search_path = \"\$user\", public, keys");
		$node->safe_psql($db, $grants);
		$node->safe_psql($db, slurp_file(KmsMonitoring::path('findings.sql')));
	}
	calls(5, 3);
	$node->safe_psql('shop', "SELECT kms_issue_key('till')");
	return;
}

# Decrypt so many times with success and without in database app.
sub calls
{
	my ($successes, $failures) = @_;
	$node->safe_psql('app', "SELECT kms_decrypt(key_id, kms_encrypt(key_id, 'x'))
		FROM kms_issue_key('phone'), generate_series(1, $successes)");
	$node->safe_psql('app', "SELECT kms_try_decrypt(key_id, encode(decode(repeat('01', 256), 'hex'), 'base64'))
		FROM kms_issue_key('phone'), generate_series(1, $failures)");
	return;
}

sub start_exporter
{
	my $queries = "$dir/queries.yml";

	write_file($queries, slurp_file(KmsMonitoring::path('postgres_exporter.yml'))
		  . slurp_file(KmsMonitoring::path('postgres_exporter_findings.yml')));
	$main::exporter = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
	local $ENV{DATA_SOURCE_NAME} =
	  'host=' . $node->host . ' port=' . $node->port . ' user=kms_exporter dbname=app sslmode=disable';
	start('exporter', 'prometheus-postgres-exporter', "--extend.query-path=$queries",
		"--web.listen-address=$main::exporter", '--disable-default-metrics',
		'--auto-discover-databases', '--include-databases=app,shop');
	ok( KmsTest::poll(
			sub {
				my $answer = $http->get("http://$main::exporter/metrics");
				return $answer->{success} && $answer->{content} =~ /^kms_launcher_running\{/m;
			}),
		'the exporter reads kms') or diag(slurp_file("$dir/exporter.log"));
	return;
}

# Prometheus with the rules of monitoring/, except that they fire at once.
sub start_prometheus
{
	my $address = '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
	my $interval = INTERVAL;
	my $rules = slurp_file(KmsMonitoring::path('alerts.yml'));

	$url = "http://$address";
	$rules =~ s/^        for: \K\w+$/0s/mg;
	write_file("$dir/alerts.yml", $rules);
	write_file("$dir/prometheus.yml", <<"YAML");
global:
  scrape_interval: ${interval}s
  scrape_timeout: ${interval}s
  evaluation_interval: 1s
rule_files:
  - $dir/alerts.yml
scrape_configs:
  - job_name: postgres
    static_configs:
      - targets: ['$main::exporter']
YAML
	start('prometheus', 'prometheus', "--config.file=$dir/prometheus.yml",
		"--storage.tsdb.path=$dir/data", "--web.listen-address=$address");
	ok(KmsTest::poll(sub { $http->get("$url/-/ready")->{success} }), 'Prometheus starts')
	  or diag(slurp_file("$dir/prometheus.log"));
	return;
}

sub start
{
	my ($name, @command) = @_;
	push @programs, IPC::Run::start(\@command, '<', '/dev/null', '>', "$dir/$name.log", '2>&1');
	return;
}

# Return the data of an answer of Prometheus.
sub ask
{
	my ($path, %parameters) = @_;
	my $query = $http->www_form_urlencode(\%parameters);
	my $answer = $http->get("$url/api/v1/$path" . ($query eq '' ? '' : "?$query"));

	die "$path: $answer->{status} $answer->{content}" unless $answer->{success};
	return decode_json($answer->{content})->{data};
}

# Return the values of a query as lines "label=…,…: value", without the labels
# that are the same everywhere.
sub values_of
{
	my $query = shift;
	my @lines;

	foreach my $sample (@{ ask('query', query => $query)->{result} })
	{
		my %label = %{ $sample->{metric} };
		delete @label{qw(__name__ instance job server)};
		push @lines, join(',', map { "$_=$label{$_}" } sort keys %label) . ": $sample->{value}[1]";
	}
	return join "\n", sort @lines;
}

# ---- What is tested ------------------------------------------------------

# Test that a query soon has what SQL returns as lines, in the database app.
sub is_sql_value
{
	my ($query, $sql, $name) = @_;
	my ($got, $expected);

	KmsTest::poll(sub {
			$expected = join "\n", sort split /\n/, $node->safe_psql('app', $sql);
			$got = values_of($query);
			return $got eq $expected;
		});
	isnt($expected, '', "$name: SQL has values");
	return is($got, $expected, $name);
}

sub test_values
{
	is_sql_value('kms_calls_total{datname="app", operation="decrypt"}',
		q{SELECT 'datname=app,operation=decrypt,status=' || status || ': ' || value
		FROM kms.counters WHERE name = 'calls' AND operation = 'decrypt'},
		'calls of decrypt are those of kms.counters');
	is(values_of('kms_calls_total{datname="app", operation="decrypt", status="failure"}'),
		'datname=app,operation=decrypt,status=failure: 3', 'three calls of decrypt have failed');
	is(values_of('kms_calls_total{datname="shop", operation="generate", status="failure"}'),
		'datname=shop,operation=generate,status=failure: 0', 'an operation that never failed has a failure count of 0');
	is_sql_value('kms_calls_total{datname="app"} > 0',
		q{SELECT 'datname=app,operation=' || operation || ',status=' || status || ': ' || value
		FROM kms.counters WHERE name = 'calls'}, 'all calls are those of kms.counters');
	# Prometheus writes the bounds in another form.
	is_sql_value('kms_call_duration_seconds_bucket{datname="app", operation="decrypt", status="success"}',
		q{SELECT 'datname=app,le=' || CASE WHEN le = '+Inf' THEN le ELSE le::float8::text END
			|| ',operation=decrypt,status=success: ' || value
		FROM kms.counters WHERE name = 'duration_bucket' AND operation = 'decrypt' AND status = 'success'},
		'buckets are those of kms.counters');
	is_sql_value('round(1e6 * kms_call_duration_seconds_sum{datname="app", operation="decrypt", status="success"})',
		q{SELECT 'datname=app,operation=decrypt,status=success: ' || value FROM kms.counters
		WHERE name = 'duration_us' AND operation = 'decrypt' AND status = 'success'},
		'the sum of durations is that of kms.counters');
	foreach my $name (qw(ring_slots pool_keys pool_keys_wanted master_key_ready launcher_running))
	{
		is_sql_value("kms_$name\{datname=\"app\"}",
			"SELECT 'datname=app: ' || value FROM kms.gauges WHERE name = '$name'", "$name is that of kms.gauges");
	}
	is_sql_value('kms_events_recorded_total{datname="app"}',
		q{SELECT 'datname=app: ' || value FROM kms.counters WHERE name = 'events_recorded'},
		'events_recorded is that of kms.counters');
	return;
}

sub test_rules_and_dashboard
{
	my %known = map { $_ => 1 } @{ ask('label/__name__/values') };
	my @metrics = map { @{ $_->{metrics} } }
	  map { KmsMonitoring::queries($_) } qw(postgres_exporter.yml postgres_exporter_findings.yml);
	is_deeply([ grep { !$known{$_} } @metrics ], [], 'Prometheus has each metric of the queries');

	my @rules = map { @{ $_->{rules} } } @{ ask('rules')->{groups} };
	is(scalar(@rules), scalar(KmsMonitoring::rules()), 'Prometheus has each rule');
	is_deeply([ grep { $_->{health} ne 'ok' } @rules ], [], 'Prometheus evaluates each rule');
	$known{pg_exporter_user_queries_load_error} = 1;    # only after an error
	is_deeply([ grep { !$known{$_} } map { KmsMonitoring::names($_->{query}) } @rules ],
		[], 'Prometheus has each metric of the alerts');

	my @result;
	KmsTest::poll(sub {
			@result = run([ $^X, KmsMonitoring::path('check-dashboard'), '--interval', 12 * INTERVAL . 's', $url ]);
			return $result[0] == 0;
		});
	is($result[0], 0, 'each query of the dashboard finds something') or diag(@result[1, 2]);
	my ($status, $output) = run([ $^X, KmsMonitoring::path('check-dashboard'), '--interval', '1y2', $url ]);
	isnt($status, 0, 'a query of the dashboard that Prometheus refuses is found');
	like($output, qr/parse error/, 'check-dashboard says why Prometheus refuses a query');
	return;
}

# Return the alerts that fire, "name datname", and check what they say.
sub firing
{
	my @firing = grep { $_->{state} eq 'firing' } @{ ask('alerts')->{alerts} };
	die "a template failed: $_->{annotations}{description}"
	  foreach grep { join('', %{ $_->{annotations} }) =~ /<error|<no value>|%!/ } @firing;
	return map { join ' ', $_->{labels}{alertname}, $_->{labels}{datname} // () } @firing;
}

# Test that an alert soon fires, or fires no longer.
sub fires
{
	my ($alert, $name) = @_;
	return ok(KmsTest::poll(sub { grep { $_ eq $alert } firing() }), $name) || diag(join ', ', firing());
}

sub ends
{
	my ($alert, $name) = @_;
	return ok(KmsTest::poll(sub { !grep { $_ eq $alert } firing() }), $name) || diag(join ', ', firing());
}

sub test_alerts
{
	# Servers of tests have fsync = off.
	fires('KmsCheckFindsErrors app', 'an error of kms_check() fires');
	fires('KmsCheckFindsErrors shop', 'an error of kms_check() fires for the other database, too');
	my @expected = qr/^KmsCheckFinds|^KmsPoolEmpty /;
	is_deeply([ grep { $_ !~ $expected[0] } firing() ], [], 'nothing else fires');

	calls(0, 30);
	fires('KmsFailuresJump app', 'more failures than before fire');

	# Calls that cannot be recorded.
	my $session = KmsClient->session($node, 'app');
	$session->query('BEGIN; LOCK TABLE kms.event');
	$node->set('kms.audit' => 'required');
	is(KmsClient::sqlstate($node, 'app', "SELECT kms_issue_key('phone')"), 'KM008', 'a call is refused');
	fires('KmsCallsRefusedByAudit app', 'a refused call fires');
	$session->query('ROLLBACK');
	$session->quit;
	$node->set('kms.audit' => 'best_effort');

	# A writer that fails.
	$node->safe_psql('app', 'ALTER TABLE kms.event RENAME TO event_elsewhere');
	calls(1, 0);
	fires('KmsWriterFailing app', 'a writer that fails fires');
	ok(!grep({ $_ eq 'KmsWriterFailing shop' } firing()), 'the writer of the other database does not fire');
	$node->safe_psql('app', 'ALTER TABLE kms.event_elsewhere RENAME TO event');
	ends('KmsWriterFailing app', 'a writer that works again does not fire');

	# An exporter without rights.
	$node->safe_psql('app', 'REVOKE USAGE ON SCHEMA kms FROM kms_monitor');
	fires('KmsMetricsMissing app', 'an exporter that may not read kms fires');
	$node->safe_psql('app', 'GRANT USAGE ON SCHEMA kms TO kms_monitor');
	ends('KmsMetricsMissing app', 'an exporter that may read kms again does not fire');

	# A server without its master key.
	rename KmsTest::master_key_path($node), "$dir/master.key" or die $!;
	$node->restart;
	fires('KmsMasterKeyNotReady', 'a missing master key fires, once for the server');
	is(scalar(grep { /^KmsMasterKeyNotReady/ } firing()), 1, 'a missing master key is one alert');
	rename "$dir/master.key", KmsTest::master_key_path($node) or die $!;
	$node->reload;
	ends('KmsMasterKeyNotReady', 'a master key that is back does not fire');
	return;
}
