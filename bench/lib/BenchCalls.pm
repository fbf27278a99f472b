# The rows of one session: issue, warm, cold, connect, memory.
package BenchCalls;

use strict;
use warnings;

use BenchFigures;
use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);
use Time::HiRes qw(usleep);

our @EXPORT = qw(issue warm cold first_of_connection memory);

my $keys = 100;
my $open = 128;    # the default of kms.key_cache_size

sub issue
{
	my $n = 100;
	my (@bare, @made, @taken, @committed, @reused, @empty);
	my $new = "\\set device random(1, 1000000000000)\nSELECT * FROM kms_issue_key('new-' || :device)";

	# Made while the caller waits: run sets kms.key_pool_size to 0.
	for (1 .. 40)
	{
		push @issued, issue_one(@issued + 1);
		push @made,   $issued[-1] / 1000;
		push @bare,   each_us(bare(), 'generate', 1) / 1000;
	}
	result(
		row         => 'issue',
		what        => 'new key, pool off: of the time to generate one',
		result      => [ median(@made) / median(@bare) ],
		result_unit => '×',
		measured    => \@made,
		unit        => 'ms',
		yardstick   => \@bare,
		name        => 'EVP_RSA_gen');

	# Taken from the pool, while a worker fills it up again.
	server_setting('kms.key_pool_size', $n);
	wait_for_pool($n);
	@taken = map { $_ / 1000 } latencies($new, qw(-M prepared -t), $n);
	sql($main, 'CREATE TABLE one_row (a int)');
	@committed = map { $_ / 1000 }
	  latencies('INSERT INTO one_row VALUES (1)', qw(-M prepared -t), $n);
	foreach ([ 'median', '<= 2', median(@taken) ],
		[ '99th percentile', '<= 10', percentile(99, @taken) ])
	{
		my ($what, $target, $figure) = @$_;
		result(
			row         => 'issue',
			what        => "new key from the pool: $what of $n",
			target      => $target,
			result      => [$figure],
			result_unit => 'ms',
			measured    => \@taken,
			unit        => 'ms',
			yardstick   => \@committed,
			name        => 'INSERT of a row');
	}
	note(sprintf 'issue: 95th percentile of a new key with the pool off %s ms, of generation alone %s ms',
		figure(percentile(95, @made)), figure(percentile(95, @bare)));
	server_setting('kms.key_pool_size', 0);

	for (1 .. 8)
	{
		push @reused,
		  median(
			latencies(
				"SELECT * FROM kms_issue_key('bench-1')",
				qw(-M prepared -t 300))) / 1000;
		push @empty,
		  median(latencies('SELECT 1', qw(-M prepared -t 300))) / 1000;
	}
	result(
		row         => 'issue',
		what        => 'existing key: over SELECT 1',
		target      => '<= 0.3',
		result      => differences(\@reused, \@empty),
		result_unit => 'ms',
		measured    => \@reused,
		unit        => 'ms',
		yardstick   => \@empty,
		name        => 'SELECT 1');
}

sub warm
{
	my $n = 300;
	my (@bare, @measured);

	keys_up_to(1);
	encrypt_missing();
	prepare_warm($main);
	sql($main, warm_sql(2000));
	each_us(bare(), 'warm', 500);
	for (1 .. 25)
	{
		push @bare,     each_us(bare(), 'warm', $n);
		push @measured, sql_us($main, warm_sql($n)) / $n;
	}
	result(
		row         => 'warm',
		what        => 'decrypt, key open: of the bare operation',
		target      => '<= 1.07',
		result      => ratios(\@measured, \@bare),
		result_unit => '×',
		measured    => \@measured,
		unit        => 'µs',
		yardstick   => \@bare,
		name        => 'bare');
	sql($main, 'DEALLOCATE warm');
}

sub cold
{
	my (@bare, @bare_cold, @measured);
	my $cold = 'SELECT count(kms_decrypt(key_id, ciphertext)) FROM cipher';

	keys_up_to($keys);
	encrypt_missing();
	server_setting('kms.key_cache_size', 16);
	sql($main, $cold);
	for (1 .. 20)
	{
		push @bare,      each_us(bare(), 'warm', 150);
		push @measured,  sql_us($main, $cold) / @issued;
		push @bare_cold, each_us(bare(), 'cold', 100);
	}
	die "keys stayed open\n"
	  if sql($main,
		"SELECT value FROM kms.status WHERE item = 'keys open in this session'"
	  ) > 16;
	server_setting('kms.key_cache_size', 128);
	result(
		row         => 'cold',
		what        => 'decrypt, first use of the key: of the bare operation',
		result      => ratios(\@measured, \@bare),
		result_unit => '×',
		measured    => \@measured,
		unit        => 'µs',
		yardstick   => \@bare,
		name        => 'bare');
	result(
		row         => 'cold',
		what        => 'the same: of a bare first use (load, operation, free)',
		target      => '<= 1.10',
		result      => ratios(\@measured, \@bare_cold),
		result_unit => '×',
		measured    => \@measured,
		unit        => 'µs',
		yardstick   => \@bare_cold,
		name        => 'bare first use');
}

# Rounds of five connections each, whose first statement is measured.
sub first_of_connection
{
	my (@bare, @measured, @empty, @over);

	keys_up_to(1);
	encrypt_missing();
	my $decrypt = sprintf "SELECT kms_decrypt('%s', '%s')", first_cipher();
	for (1 .. 15)
	{
		my (@with, @without);
		for (1 .. 5)
		{
			push @with,    first_statement_us($decrypt) / 1000;
			push @without, first_statement_us('SELECT 1') / 1000;
		}
		push @measured, median(@with);
		push @empty,    median(@without);
		push @over,     $measured[-1] - $empty[-1];
		push @bare,     each_us(bare(), 'warm', 50) / 1000;
	}
	result(
		row         => 'connect',
		what        => 'first decrypt of a connection, over SELECT 1: of the bare operation',
		target      => '<= 4',
		result      => ratios(\@over, \@bare),
		result_unit => '×',
		measured    => \@over,
		unit        => 'ms',
		yardstick   => \@bare,
		name        => 'bare');
	result(
		row         => 'connect',
		what        => 'the same, in milliseconds',
		result      => differences(\@measured, \@empty),
		result_unit => 'ms',
		measured    => \@measured,
		unit        => 'ms',
		yardstick   => \@empty,
		name        => 'SELECT 1');
}

sub first_statement_us
{
	my $session = connection();
	for (1 .. 1000)
	{
		$session->{backend} = sql(
			$main, "SELECT pid FROM pg_stat_activity
			WHERE application_name = 'bench' AND state = 'idle'");
		last if $session->{backend};
		usleep(1000);
	}
	my $us = sql_us($session, shift);
	leave($session);
	# Wait until it has ended, so that the next one is not confused with it.
	usleep(1000) while -e "/proc/$session->{backend}";
	return $us;
}

sub memory
{
	my $n       = $ENV{KMS_BENCH_DECRYPTS} || 100_000;
	my $session = session();
	my $idle    = session();

	keys_up_to($open);
	encrypt_missing();
	prepare_warm($session);
	sql($session, warm_sql(1000));
	my $before  = status($session->{backend}, 'RssAnon');
	my $dropped = dropped();
	sql($session, warm_sql($n));
	result(
		row    => 'memory',
		what   => "growth of a session by $n decrypts in one statement",
		target => '<= 1',
		result =>
		  [ (status($session->{backend}, 'RssAnon') - $before) / 1024 ],
		result_unit => 'MB',
		measured    => [ status($session->{backend}, 'RssAnon') / 1024 ],
		unit        => 'MB',
		yardstick   => [ $before / 1024 ],
		name        => 'before');
	note(sprintf 'memory: %d of %d events of one statement were dropped',
		dropped() - $dropped, $n);
	leave($session);

	$session = session();
	sql($session,
		'SELECT count(kms_decrypt(key_id, ciphertext)) FROM cipher');
	my $opened = sql($session,
		"SELECT value FROM kms.status WHERE item = 'keys open in this session'"
	);
	die "$opened keys are open\n" unless $opened == $open;
	result(
		row    => 'memory',
		what   => "a session with $open keys open, over an idle one",
		target => '<= 2',
		result => [
			(   status($session->{backend}, 'RssAnon') -
				  status($idle->{backend}, 'RssAnon')) / 1024
		],
		result_unit => 'MB',
		measured    => [ status($session->{backend}, 'RssAnon') / 1024 ],
		unit        => 'MB',
		yardstick   => [ status($idle->{backend}, 'RssAnon') / 1024 ],
		name        => 'idle session');
	leave($_) foreach $session, $idle;
}

1;
