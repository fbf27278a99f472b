# The files of monitoring/, as tests read them.
#
#   foreach my $query (KmsMonitoring::queries('postgres_exporter.yml')) { … }
package KmsMonitoring;

use strict;
use warnings;

use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;

# Return the path of a file of monitoring/.  The test is in test/clients or in
# test/t/monitoring.
sub path
{
	my $name = shift;
	my ($top) = grep { -d "$_/monitoring" && -d "$_/src" }
	  map { "$FindBin::Bin/$_" } '../..', '../../..';
	return "$top/monitoring/$name";
}

# Read queries of the exporter, which are written in a few forms of YAML only.
# Return a hash of each: "name", "query", "usage" (by column) and the names of
# its metrics.
sub queries
{
	my $file = shift;
	my @queries;
	my $column;

	foreach my $line (split /\n/, slurp_file(path($file)))
	{
		if ($line =~ /^(\w+):$/)
		{
			push @queries, { name => $1, query => '', usage => {}, metrics => [] };
		}
		elsif ($line =~ /^    - (\w+):$/)
		{
			$column = $1;
		}
		elsif ($line =~ /^        usage: "(\w+)"$/)
		{
			$queries[-1]{usage}{$column} = $1;
			push @{ $queries[-1]{metrics} }, metrics($queries[-1]{name}, $column, $1);
		}
		elsif ($line =~ /^    (\s*\S.*)$/ && !%{ $queries[-1]{usage} })
		{
			$queries[-1]{query} .= "$1\n";
		}
		elsif ($line !~ /^(?:#.*)?$|^  (?:query: \||metrics:|cache_seconds: \d+)$|^        description: "[^"]+"$/)
		{
			die "$file: not understood: $line";
		}
	}
	return @queries;
}

# The metrics that the exporter makes of a column.
sub metrics
{
	my ($query, $column, $usage) = @_;
	return () if $usage eq 'LABEL';
	return map { "${query}_${column}$_" } qw(_bucket _sum _count) if $usage eq 'HISTOGRAM';
	return "${query}_$column";
}

# Return the alerts and recorded rules: "name", "recorded", "expr", "severity"
# and "runbook".
sub rules
{
	my @rules;

	foreach my $part (split /^(?=      - (?:alert|record): )/m, slurp_file(path('alerts.yml')))
	{
		next unless $part =~ /\A      - (alert|record): (\S+)$/m;
		my %rule = (name => $2, recorded => $1 eq 'record');
		($rule{expr}) = $part =~ /^        expr: (.*?)(?=^        \w|^\s*$|\z)/ms;
		($rule{severity}) = $part =~ /^          severity: (\w+)$/m;
		($rule{runbook}) = $part =~ /^          runbook_url: (\S+)$/m;
		push @rules, \%rule;
	}
	return @rules;
}

# Return the queries of the dashboard, by "panel: legend".
sub panels
{
	my $dashboard = JSON::PP->new->utf8->decode(slurp_file(path('dashboard.json')));
	my %panels;

	foreach my $panel (@{ $dashboard->{panels} })
	{
		$panels{"$panel->{title}: $_->{legendFormat}"} = $_->{expr}
		  foreach @{ $panel->{targets} || [] };
	}
	return %panels;
}

# Return the names of the metrics in an expression of PromQL.
sub names
{
	my $expression = shift;
	my %names = map { $_ => 1 } $expression =~ /\b((?:kms|pg)_\w+)\b/g;
	return sort keys %names;
}

1;
