# The rows that read what the writer has written: metrics, trail.
package BenchTrail;

use strict;
use warnings;

use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);

our @EXPORT = qw(metrics trail);

sub metrics
{
	my $session = session();
	my (@flush, %ms);

	sql($session, 'CREATE DATABASE metrics');
	leave($session);
	$session = session('product', 'metrics');
	prepare_server($session);
	synthetic($session, 60, "now() - interval '47 hours 30 minutes'",
		'now()');
	synthetic(
		$session, 3600,
		"now() - interval '399 days'",
		"now() - interval '48 hours'");
	sql($session, 'VACUUM ANALYZE kms.metric');
	note('metrics: the rows stand for '
		  . sql($session, 'SELECT sum(count) FROM kms.metric')
		  . ' events');

	my @asked = (
		map([ "kms_metrics_summary($_->[0])", @$_ ],
			[ 24, '<= 10' ], [ 720, '<= 50' ], [8760]),
		map([ "kms.$_", 24 ], qw(metrics failure_rates top_failures)));
	for (1 .. 15)
	{
		push @flush, wall_us($session, 'SELECT kms_flush_events()') / 1000;
		foreach my $asked (@asked)
		{
			my ($what, $hours) = @$asked;
			push @{ $ms{$what} },
			  sql_us($session, "SELECT count(*) FROM $what") / 1000;
		}
	}
	foreach my $asked (@asked)
	{
		my ($what, $hours, $target) = @$asked;
		my $rows = sql(
			$session, "SELECT count(*) FROM kms.metric
			WHERE bucket >= now() - interval '$hours hours'");
		result(
			row         => 'metrics',
			what        => "$what, $rows rows",
			target      => $target,
			result      => $ms{$what},
			result_unit => 'ms',
			measured    => $ms{$what},
			unit        => 'ms',
			yardstick   => \@flush,
			name        => 'wait, not in it');
	}
	leave($session);
}

# Insert rows as the writer does: 20 combinations of operation and outcome in each
# bucket, each 100 times a minute, durations around 350 us.
sub synthetic
{
	my ($session, $width, $from, $to) = @_;
	my $times = $width / 60;
	sql($session, "INSERT INTO kms.metric
		SELECT to_timestamp(t), $width, operation, status, reason,
			100 * $times, 35 * $times, 0.24, 1.3,
			('[17:26]={' || repeat(10 * $times || ',', 9) || 10 * $times || '}')::bigint[]
		FROM generate_series(floor(extract(epoch FROM $from) / $width)::bigint * $width,
				extract(epoch FROM $to)::bigint, $width) AS t,
			unnest('{generate,issue,encrypt,decrypt,recover}'::text[]) AS operation,
			(VALUES ('success', ''), ('failure', 'Failed to decrypt data'),
				('failure', 'Key not found'), ('failure', 'Key has expired')) AS o (status, reason)");
}

# Let the writer write a trail, and measure how long it takes to verify it.
sub trail
{
	my $session = session();
	my $wanted = $ENV{KMS_BENCH_EVENTS} || 1_000_000;
	my (@verify, @scan);

	sql($session, 'CREATE DATABASE trail');
	leave($session);
	$session = session('product', 'trail');
	prepare_server($session);
	my $key = sql($session, "SELECT key_id FROM kms_issue_key('bench')");
	# at a time no more than the ring holds
	for (1 .. $wanted / 10_000)
	{
		sql($session,
			"SELECT count(kms_public_key('$key')) FROM generate_series(1, 10000)");
		sql($session, 'SELECT kms_flush_events()');
	}
	my $rows = sql($session, 'SELECT count(*) FROM kms.event');
	die "events are missing\n" if $rows < $wanted;
	sql($session, 'VACUUM ANALYZE kms.event');
	for (1 .. 5)
	{
		push @scan, sql_us($session,
			'SELECT sum(length(hash)), count(DISTINCT key_id) FROM kms.event') / 1e6;

		# fails if it is not intact
		push @verify, sql_us($session,
			'SELECT 1 / count(*) FILTER (WHERE intact) FROM kms_audit_verify()') / 1e6;
	}
	result(
		row         => 'trail',
		what        => "kms_audit_verify(), $rows rows",
		$rows < 1_100_000 ? (target => '<= 10') : (),
		result      => \@verify,
		result_unit => 's',
		measured    => \@verify,
		unit        => 's',
		yardstick   => \@scan,
		name        => 'reading them by SQL');
	leave($session);
}

1;
