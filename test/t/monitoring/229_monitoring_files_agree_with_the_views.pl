# The queries of monitoring/ run with the rights of kms_monitor and use every
# counter and gauge; alerts and dashboard use only what the queries return; and
# the page and the runbooks have each alert.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsMonitoring;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../../..";
my $node = KmsTest->node('monitoring', conf => 'kms.key_pool_size = 0');

$node->sql('CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys;
	ALTER DATABASE postgres SET search_path = "$user", public, keys');
$node->sql("CREATE ROLE $_") foreach slurp_file("$top/examples/grants.sql") =~ /^--     CREATE ROLE (\w+) NOLOGIN;$/mg;
$node->sql(slurp_file("$top/examples/grants.sql"));
$node->sql(slurp_file(KmsMonitoring::path('findings.sql')));
$node->sql('CREATE ROLE exporter LOGIN IN ROLE kms_monitor');
$node->sql("SELECT kms_issue_key('phone')");

my @queries = map { KmsMonitoring::queries($_) } qw(postgres_exporter.yml postgres_exporter_findings.yml);
my %metric = map { $_ => 1 } map { @{ $_->{metrics} } } @queries;
is(scalar(@queries), 4, 'there are four queries');
test_query($_) foreach @queries;
test_names();
test_rules();
test_dashboard();

$node->stop;
done_testing();

sub test_query
{
	my $query = shift;
	my ($status, $rows, $errors) = $node->psql('postgres', $query->{query},
		extra_params => [ '-U', 'exporter', '-A', '-P', 'tuples_only=off', '-P', 'footer=off' ]);
	my ($head, @rows) = split /\n/, $rows;

	is($status, 0, "$query->{name}: the exporter may run it") or diag($errors);
	isnt(scalar(@rows), 0, "$query->{name}: there are rows");
	my %column = map { $_ => 1 } split /\|/, $head;
	# The exporter knows the other columns of a histogram by their names.
	foreach my $column (grep { $query->{usage}{$_} eq 'HISTOGRAM' } keys %{ $query->{usage} })
	{
		ok(delete $column{"${column}$_"}, "$query->{name}: there is ${column}$_")
		  foreach qw(_bucket _sum _count);
	}
	is_deeply([ sort keys %column ], [ sort keys %{ $query->{usage} } ],
		"$query->{name}: each column is described");
	return;
}

# Each counter and gauge of the views is in a query.
sub test_names
{
	my $all = join '', map { $_->{query} } @queries;
	my @missing = grep { $all !~ /'\Q$_\E'/ } split /\n/,
	  $node->sql('SELECT DISTINCT name FROM kms.counters UNION SELECT name FROM kms.gauges ORDER BY 1');
	is_deeply(\@missing, [], 'the queries use each counter and gauge');

	my %known = map { $_ => 1 } split /\n/,
	  $node->sql('SELECT DISTINCT name FROM kms.counters UNION SELECT name FROM kms.gauges');
	# Gauges of what has not happened yet are left out.
	$known{$_} = 1 foreach qw(checkpoint_age_seconds maintenance_age_seconds);
	my @unknown = grep { !$known{$_} } $all =~ /name = '(\w+)'/g;
	is_deeply(\@unknown, [], 'the queries ask for nothing that the views do not have');
	return;
}

sub test_rules
{
	my @rules = KmsMonitoring::rules();
	my $page = slurp_file("$top/docs/operate/prometheus.md");

	cmp_ok(scalar(@rules), '>', 25, 'alerts.yml has rules');
	foreach my $rule (@rules)
	{
		my @unknown = grep { !$metric{$_} && $_ ne 'pg_exporter_user_queries_load_error' }
		  KmsMonitoring::names($rule->{expr});
		is_deeply(\@unknown, [], "$rule->{name}: the queries return its metrics");
		next if $rule->{recorded};

		like($rule->{severity}, qr/^(?:critical|warning)$/, "$rule->{name}: the severity is one of two");
		ok(-f "$top/$rule->{runbook}", "$rule->{name}: there is $rule->{runbook}");
		my ($base) = $rule->{runbook} =~ m{([\w-]+)\.md$};
		like($page, qr/^\|[^|]*\b$rule->{name}\b[^|]*\|[^|]*\b$rule->{severity}\b[^|]*\|[^|]*\|[^|]*\b$base\.md/m,
			"$rule->{name}: the page has it with its severity and its runbook");
	}
	foreach my $name (sort keys %metric)
	{
		(my $base = $name) =~ s/(?<=duration_seconds)_(?:bucket|sum|count)$//;
		like($page, qr/`$base`/, "$name: the page has it");
	}
	return;
}

sub test_dashboard
{
	my %panels = KmsMonitoring::panels();
	my %used;

	foreach my $panel (sort keys %panels)
	{
		my @names = KmsMonitoring::names($panels{$panel});
		my @unknown = grep { !$metric{$_} } @names;
		is_deeply(\@unknown, [], "panel $panel: the queries return its metrics");
		$used{$_} = 1 foreach @names;
	}
	$used{"kms_call_duration_seconds$_"} = 1 foreach qw(_sum _count);
	is_deeply([ grep { !$used{$_} } sort keys %metric ], [], 'the dashboard shows each metric');
	return;
}
