# The rows of many sessions: scale, sessions, events, audit-cost, parallel,
# neighbours, databases.
package BenchThroughput;

use strict;
use warnings;

use BenchFigures;
use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);
use Time::HiRes qw(time usleep);

our @EXPORT = qw(scale sessions events audit_cost parallel neighbours databases);

sub scale
{
	my $n = 800;
	my (@spin, @rsa, @measured);
	my @bares    = (bare(),    command("$work/bare", key_file()));
	my @sessions = (session(), session());
	my $steps    = 1e8;

	keys_up_to(1);
	encrypt_missing();
	my $work_sql = warm_sql($n);
	foreach my $session (@sessions)
	{
		prepare_warm($session);
		sql($session, $work_sql);
	}
	$steps =
	  int($steps * 0.3e6 / (each_us($bares[0], 'spin', $steps) * $steps));
	for (1 .. 9)
	{
		push @spin,
		  scale_of(sub { send_line($_[0], "spin $steps") }, \&receive,
			@bares);
		push @measured,
		  scale_of(sub { submit($_[0], $work_sql) }, \&answer, @sessions);
		push @rsa,
		  scale_of(sub { send_line($_[0], "warm $n") }, \&receive, @bares);
	}
	result(
		row         => 'scale',
		what        => 'two sessions to one: of what two loops are to one',
		target      => '>= 0.95',
		result      => ratios(\@measured, \@spin),
		result_unit => '×',
		measured    => \@measured,
		unit        => '×',
		yardstick   => \@spin,
		name        => 'integer loop');
	result(
		row         => 'scale',
		what        => 'the same: of two bare processes to one',
		result      => ratios(\@measured, \@rsa),
		result_unit => '×',
		measured    => \@measured,
		unit        => '×',
		yardstick   => \@rsa,
		name        => 'bare');
	leave($_) foreach @sessions, $bares[1];
}

# Return how much more two processes do than one, each with the same work.
sub scale_of
{
	my ($send, $receive, @two) = @_;
	my $start = time;
	$send->($two[0]);
	$receive->($two[0]);
	my $one = time() - $start;
	$start = time;
	$send->($_)    foreach @two;
	$receive->($_) foreach @two;
	return 2 * $one / (time() - $start);
}

sub sessions
{
	my %script = decrypt_scripts(silent());

	foreach my $clients (1, 2, 4, 8, 16, 32)
	{
		my %tps = (product => [], silent => [], bare => []);
		my $of = $clients . ' session' . ($clients > 1 ? 's' : '');

		for my $round (1 .. 3)
		{
			push @{ $tps{bare} }, bare_throughput($clients);
			foreach my $server (
				$round % 2 ? qw(product silent) : qw(silent product))
			{
				push @{ $tps{$server} },
				  tps(
					pgbench(
						$server, $script{$server}, '-M', 'prepared', '-c',
						$clients, '-T', 2));
				sql($main, 'SELECT kms_flush_events()');
			}
		}
		foreach ([ 'product', 'decrypts/s' ],
			[ 'silent', 'decrypts/s without events' ])
		{
			my ($server, $what) = @$_;
			result(
				row         => 'sessions',
				what        => "$what, $of: of bare processes",
				result      => ratios($tps{$server}, $tps{bare}),
				result_unit => '×',
				measured    => $tps{$server},
				unit        => '/s',
				yardstick   => $tps{bare},
				name        => 'bare');
		}
	}
}

# Operations a second by so many bare processes at once.
sub bare_throughput
{
	my $count = shift;
	my @bares = map { command("$work/bare", key_file()) } 1 .. $count;
	my $each  = int(3200 / $count);

	each_us($_, 'warm', 2) foreach @bares;
	my $start = time;
	send_line($_, "warm $each") foreach @bares;
	receive($_) foreach @bares;
	my $seconds = time() - $start;
	leave($_) foreach @bares;
	return $count * $each / $seconds;
}

sub events
{
	my $silent = silent();
	my %script = decrypt_scripts($silent);
	my $dropped = dropped();
	my ($writer_us, $written) = (0, 0);

	foreach my $clients (1, 4, 16)
	{
		my %tps = (product => [], silent => []);
		for my $round (1 .. 4)
		{
			# Each goes first as often as the other.
			foreach my $server (
				$round % 2 ? qw(product silent) : qw(silent product))
			{
				my ($pid, $us, $recorded) = writer();
				my $summary =
				  pgbench($server, $script{$server}, '-M', 'prepared', '-c',
					$clients, '-T', 3);
				push @{ $tps{$server} }, tps($summary);
				next if $server eq 'silent';
				sql($main, 'SELECT kms_flush_events()');
				my ($pid_after, $us_after, $recorded_after) = writer();
				$writer_us += $us_after - ($pid_after == $pid ? $us : 0);
				$written   += $recorded_after - $recorded;
			}
		}
		result(
			row  => 'events',
			what => "decrypts/s, $clients client"
			  . ($clients > 1 ? 's' : '')
			  . ': of no events',
			target      => '>= 0.97',
			result      => ratios($tps{product}, $tps{silent}),
			result_unit => '×',
			measured    => $tps{product},
			unit        => '/s',
			yardstick   => $tps{silent},
			name        => 'no events');
	}
	my $lost = dropped() - $dropped;
	note("events: $lost events were dropped by a full ring"
		  . ($lost ? ': the rows are not valid' : ''));
	note(sprintf 'events: the writer takes %s µs of processor time an event',
		figure($writer_us / $written));
	sql($silent, 'SELECT kms_flush_events()');
	my $odd = sql($silent,
		"SELECT count(*) FROM kms.event WHERE operation = 'decrypt'");
	die "the silent server recorded\n" unless $odd == 0;
}

# Compare the cost of kms.audit = required with an INSERT by the caller.
sub audit_cost
{
	my $silent = silent();
	my %script = decrypt_scripts($silent);
	my %server = (
		required    => 'product',
		best_effort => 'product',
		none        => 'silent',
		insert      => 'silent');
	my @ways    = sort keys %server;
	my $dropped = dropped();

	%script = (
		required    => $script{product},
		best_effort => $script{product},
		none        => $script{silent},
		insert      => with_insert($silent, $script{silent}));
	foreach my $clients (1, 4, 16, 64)
	{
		my %tps = map { $_ => [] } @ways;
		for my $round (1 .. 5)
		{
			# Each goes first as often as the others.
			push @ways, shift @ways;
			foreach my $way (@ways)
			{
				server_setting('kms.audit', $way) if $server{$way} eq 'product';
				push @{ $tps{$way} },
				  tps(
					pgbench(
						$server{$way}, $script{$way}, '-M', 'prepared', '-c',
						$clients, '-T', 3));
				sql($main, 'SELECT kms_flush_events()');
			}
		}
		foreach (
			[ 'best_effort', 'none', 'no events', $clients <= 16 ? 0.97 : 0 ],
			[ 'required', 'best_effort', 'best_effort', $clients >= 64 ? 0.8 : 0 ],
			[ 'required', 'insert', 'an INSERT in the caller', $clients >= 16 ? 1.2 : 0 ])
		{
			my ($way, $other, $name, $target) = @$_;
			result(
				row  => 'audit-cost',
				what => "decrypts/s, $clients client"
				  . ($clients > 1 ? 's' : '')
				  . ", $way: of $name",
				$target ? (target => ">= $target") : (),
				result      => ratios($tps{$way}, $tps{$other}),
				result_unit => '×',
				measured    => $tps{$way},
				unit        => '/s',
				yardstick   => $tps{$other},
				name        => $name);
		}
	}
	audit_cost_of_batches($silent);
	server_setting('kms.audit', 'best_effort');
	my $lost = dropped() - $dropped;
	note("audit-cost: $lost events were dropped by a full ring"
		  . ($lost ? ': the rows are not valid' : ''));
	sql($silent, 'DROP TABLE trail');
}

# The same for kms_decrypt_batch, which waits once for all its rows.
sub audit_cost_of_batches
{
	my $silent = shift;
	my $rows   = 100;
	my $batch  = "SELECT count(plaintext) FROM kms_decrypt_batch("
	  . "array_fill('%s'::text, ARRAY[$rows]), array_fill('%s'::text, ARRAY[$rows]))";
	my %script = (
		product => sprintf($batch, first_cipher()),
		silent  => sprintf($batch, first_cipher($silent)));
	my %server = (
		required    => 'product',
		best_effort => 'product',
		none        => 'silent');
	my @ways = sort keys %server;

	foreach my $clients (1, 4)
	{
		my %rate = map { $_ => [] } @ways;
		for my $round (1 .. 6)
		{
			push @ways, shift @ways;
			foreach my $way (@ways)
			{
				server_setting('kms.audit', $way) if $server{$way} eq 'product';
				push @{ $rate{$way} },
				  $rows * tps(
					pgbench(
						$server{$way}, $script{ $server{$way} }, '-M',
						'prepared', '-c', $clients, '-T', 3));
				sql($main, 'SELECT kms_flush_events()');
			}
		}
		foreach ([ 'best_effort', 'none', 'no events' ],
			[ 'required', 'best_effort', 'best_effort' ])
		{
			my ($way, $other, $name) = @$_;
			result(
				row  => 'audit-cost',
				what => "rows/s of kms_decrypt_batch, $clients client"
				  . ($clients > 1 ? 's' : '')
				  . ", $way: of $name",
				result      => ratios($rate{$way}, $rate{$other}),
				result_unit => '×',
				measured    => $rate{$way},
				unit        => '/s',
				yardstick   => $rate{$other},
				name        => $name);
		}
	}
}

# The same decrypt with an INSERT of an event, into a table like kms.event.
sub with_insert
{
	my ($session, $decrypt) = @_;
	my ($key_id) = first_cipher($session);

	sql($session, 'CREATE TABLE trail (LIKE kms.event INCLUDING ALL)');
	sql($session, 'CREATE SEQUENCE ticket OWNED BY trail.ticket');
	return "WITH event AS (INSERT INTO trail (epoch, ticket, occurred_at,
		operation, status, duration_ms, key_id, device_id, session_role,
		effective_role, application_name)
		VALUES (1, nextval('ticket'), clock_timestamp(), 'decrypt', 'success',
			0.4, '$key_id', 'bench-1', session_user, current_user,
			current_setting('application_name'))) $decrypt";
}

sub parallel
{
	my (@serial, @parallel);
	my $count   = 'SELECT count(kms_decrypt(key_id, ciphertext)) FROM wide';
	my $session = session();

	keys_up_to(1);
	encrypt_missing();
	# One row a page: workers are planned by pages, two from 24 MB.
	sql($session,
		'CREATE TABLE wide (key_id text, ciphertext text, filler text)');
	sql($session, 'ALTER TABLE wide ALTER COLUMN filler SET STORAGE PLAIN');
	sql($session,
		"INSERT INTO wide SELECT key_id, ciphertext, repeat('x', 5000)
		FROM cipher, generate_series(1, 3200) WHERE device = 1");
	sql($session, 'VACUUM ANALYZE wide');
	my $rows = sql($session, 'SELECT count(*) FROM wide');
	workers($session, 2);
	my $plan = sql($session, "EXPLAIN (ANALYZE) $count");
	$plan =~ /Workers Launched: 2/ or die "no two workers: $plan\n";
	sql($session, 'SELECT kms_flush_events()');
	my $recorded = sql($session, 'SELECT count(*) FROM kms.event');
	for (1 .. 6)
	{
		workers($session, 0);
		push @serial, wall_us($session, $count) / 1000;
		workers($session, 2);
		push @parallel, wall_us($session, $count) / 1000;
	}
	sql($session, 'SELECT kms_flush_events()');
	$recorded = sql($session, 'SELECT count(*) FROM kms.event') - $recorded;
	note(sprintf 'parallel: %d of %d decrypts were recorded',
		$recorded, 12 * $rows);
	result(
		row         => 'parallel',
		what        => "$rows rows, 25 MB: two workers to none",
		target      => '>= 1.8',
		result      => ratios(\@serial, \@parallel),
		result_unit => '×',
		measured    => \@parallel,
		unit        => 'ms',
		yardstick   => \@serial,
		name        => 'no worker');
	sql($session, 'DROP TABLE wide');
	leave($session);
}

sub workers
{
	my ($session, $n) = @_;
	sql($session, "SET max_parallel_workers_per_gather = $n");
}

# Throughput of other sessions while keys are made for a pool.
sub neighbours
{
	my %script;
	my $made = sub { sql($main, 'SELECT count(*) FROM kms.pool_key') };
	my (@idle, @bare);

	keys_up_to(1);
	encrypt_missing();
	sql($main, 'CREATE TABLE IF NOT EXISTS one_row (a int)');
	$script{INSERTs}  = 'INSERT INTO one_row VALUES (1)';
	$script{decrypts} = sprintf "SELECT kms_decrypt('%s', '%s')", first_cipher();
	foreach my $what (qw(INSERTs decrypts))
	{
		foreach my $clients (2, 4)
		{
			my (%tps, $keys);
			for my $round (1 .. 8)
			{
				# Each goes first as often as the other.
				foreach my $pool ($round % 2 ? (0, 10000) : (10000, 0))
				{
					server_setting('kms.key_pool_size', $pool);
					usleep(500_000);
					my $before = $made->();
					push @{ $tps{$pool} },
					  tps(
						pgbench(
							'product', $script{$what}, '-M', 'prepared', '-c',
							$clients, '-T', 5));
					$keys += $made->() - $before;
					sql($main, 'SELECT kms_flush_events()');
				}
			}
			server_setting('kms.key_pool_size', 0);
			result(
				row  => 'neighbours',
				what => "$what/s, $clients clients, beside a pool that fills",
				$what eq 'INSERTs' ? (target => '>= 0.92') : (),
				result      => ratios($tps{10000}, $tps{0}),
				result_unit => '×',
				measured    => $tps{10000},
				unit        => '/s',
				yardstick   => $tps{0},
				name        => 'no pool');
			note(sprintf 'neighbours: beside %d clients with %s, %s keys a second',
				$clients, $what, figure($keys / 40));
		}
	}
	for my $round (1 .. 3)
	{
		push @bare, 1e6 / each_us(bare(), 'generate', 60);
		server_setting('kms.key_pool_size', 10000);
		usleep(500_000);
		my $before = $made->();
		my $start  = time;
		usleep(10_000_000);
		push @idle, ($made->() - $before) / (time() - $start);
		server_setting('kms.key_pool_size', 0);
	}
	result(
		row         => 'neighbours',
		what        => 'keys/s that one worker makes on an idle machine',
		result      => ratios(\@idle, \@bare),
		result_unit => '×',
		measured    => \@idle,
		unit        => '/s',
		yardstick   => \@bare,
		name        => 'EVP_RSA_gen');
}

# A call per 100 ms in each of 36 databases, with kms.audit = required.
sub databases
{
	my $count = 36;
	my %latency;
	my %case = (
		one     => [ 1,      4 ],
		workers => [ $count, 40 ],
		turns   => [ $count, 4 ]);
	my $admin = session('many');

	sql($admin, 'CREATE DATABASE db1');
	my $first = session('many', 'db1');
	prepare_server($first);
	my $key_id = sql($first, q{SELECT key_id FROM kms_issue_key('bench')});
	my $script = sprintf q{SELECT kms_decrypt('%s', '%s')}, $key_id,
	  sql($first, "SELECT kms_encrypt('$key_id', '$pin')");
	leave($first);
	sql($admin, "CREATE DATABASE db$_ TEMPLATE db1") foreach 2 .. $count;
	server_setting('kms.audit', 'required', $admin);

	for my $round (1 .. 3)
	{
		foreach my $name (sort keys %case)
		{
			my ($databases, $workers) = @{ $case{$name} };
			server_setting('kms.max_workers', $workers, $admin);
			my @milliseconds = map { $_ / 1000 } paced($script, $databases);
			push @{ $latency{$name}{$_} }, percentile($_, @milliseconds)
			  foreach 50, 95;
		}
	}
	foreach (
		[ 'workers', 'one', 95, '40 workers', '<= 2', '×', \&ratios ],
		[ 'turns', 'one', 95, '4 workers', '<= 500', 'ms', sub { $_[0] } ],
		[ 'turns', 'one', 50, '4 workers', undef, 'ms', sub { $_[0] } ])
	{
		my ($name, $other, $percent, $what, $target, $unit, $code) = @$_;
		my ($values, $yardstick) =
		  map { $latency{$_}{$percent} } $name, $other;
		result(
			row  => 'databases',
			what => "a call per 100 ms in each of $count databases, $what, "
			  . "percentile $percent",
			$target ? (target => $target) : (),
			result      => $code->($values, $yardstick),
			result_unit => $unit,
			measured    => $values,
			unit        => 'ms',
			yardstick   => $yardstick,
			name        => 'one database');
	}
	leave($admin);
}

# Return the latencies, in microseconds, of calls every 100 ms in the databases
# db1 to dbN at once.  A caller makes one call at a time.  If it is late, it makes
# the next call at once, and that is timed from its own start, not from the time
# at which it was due.
sub paced
{
	my ($script, $databases) = @_;
	my $file = "$work/pgbench.sql";
	my (@pids, @latencies);

	open my $out, '>', $file or die;
	print $out "$script;\n";
	close $out;
	unlink glob "$work/latency.*";
	foreach my $n (1 .. $databases)
	{
		my $pid = fork() // die;
		if ($pid == 0)
		{
			open STDOUT, '>', '/dev/null';
			open STDERR, '>&', \*STDOUT;
			exec "$bin/pgbench", '-n', '-h', "$work/many", '-U', 'postgres',
			  '-f', $file, '-M', 'prepared', '-c', 1, '-T', 8, '-R', 10, '-l',
			  "--log-prefix=$work/latency.$n", "db$n"
			  or die;
		}
		push @pids, $pid;
	}
	foreach my $pid (@pids)
	{
		waitpid $pid, 0;
		die "pgbench failed\n" if $?;
	}
	foreach my $log (glob "$work/latency.*")
	{
		open my $in, '<', $log or die;
		foreach (<$in>)
		{
			my ($since_due, $late) = (split)[ 2, 6 ];
			push @latencies, $since_due - $late;
		}
	}
	return @latencies;
}

1;
