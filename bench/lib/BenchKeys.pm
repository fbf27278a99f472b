# The rows with tables of many keys, which load.c fills: size, keys.
package BenchKeys;

use strict;
use warnings;

use BenchFigures;
use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);
use Time::HiRes qw(time usleep);

our @EXPORT = qw(size keys);

# The two databases of "keys", and how many keys it deprecates and purges.
my $few = 10_000;
my $many = $ENV{KMS_BENCH_KEYS} || 10_000_000;
my $work_keys = 100_000;

# Fill a database for each size with load.c; also use one that "keys" has left.
sub size
{
	my @sizes = map { sized($_) } 1e3, 1e4, 1e5, 1e6;

	if (sql($sizes[0]{session},
			"SELECT count(*) FROM pg_database WHERE datname = 'many'"))
	{
		my $session = session('keys', 'many');
		push @sizes,
		  sized_session($session, sql($session, 'SELECT count(*) FROM kms.key'));
	}
	# Small, so that each key is closed again before its next turn.
	server_setting('kms.key_cache_size', 16, $_->{session}) foreach @sizes;
	for my $round (0 .. 14)
	{
		my $bare = each_us(bare(), 'warm', 150);
		foreach my $size ($round % 2 ? @sizes : reverse @sizes)
		{
			my %us = size_round($size, $round);
			next if $round == 0;
			push @{ $size->{$_} }, $us{$_} foreach keys %us;
			push @{ $size->{bare} }, $bare;
		}
	}
	foreach ([ 'warm', 'decrypt, key open' ], [ 'cold', 'decrypt, first use' ],
		[ 'issue', 'hand out an existing key' ])
	{
		my ($which, $what) = @$_;
		foreach my $size (@sizes)
		{
			result(
				row         => 'size',
				what        => "$what, among $size->{keys} keys: of the bare operation",
				result      => ratios($size->{$which}, $size->{bare}),
				result_unit => '×',
				measured    => $size->{$which},
				unit        => 'µs',
				yardstick   => $size->{bare},
				name        => 'bare');
		}
	}
	leave($_->{session}) foreach @sizes;
}

# Return the microseconds per call, with other keys in each round.
sub size_round
{
	my ($size, $round) = @_;
	my $session = $size->{session};
	my $n       = 100;
	my $first   = $round * $n % 1000;
	my $some    = "FROM sample WHERE n > $first AND n <= $first + $n";
	my $cold    = sql_us($session,
		"SELECT count(kms_decrypt(key_id, ciphertext)) $some");
	my $issue = sql_us($session, "SELECT count(kms_issue_key(device_id)) $some");
	my $one   = "FROM sample, generate_series(1, $n) WHERE n = $first + 1";
	my $open  = "SELECT count(kms_decrypt(key_id, ciphertext)) $one";

	sql($session, $open);
	my %us = (
		cold  => $cold / $n,
		issue => $issue / $n,
		warm  => sql_us($session, $open) / $n);
	sql($session, 'SELECT kms_flush_events()');
	return %us;
}

sub sized
{
	my $keys = shift;
	return sized_session(loaded("size_$keys", $keys, 0), $keys);
}

# Make ciphertexts for 1,000 of the living keys, from the whole table.
sub sized_session
{
	my ($session, $keys) = @_;
	my $living = sql($session,
		"SELECT count(*) FROM kms.key WHERE device_id LIKE 'bench-%'");

	sql($session, "CREATE TABLE sample AS
		SELECT row_number() OVER (ORDER BY random()) AS n, device_id, key_id,
			kms_encrypt(key_id, '$pin') AS ciphertext
		FROM generate_series(1, 1000) AS i, LATERAL (SELECT device_id, key_id
			FROM kms.key WHERE device_id = 'bench-' || i * ($living / 1000)
				AND state = 'active' LIMIT 1) AS k");
	sql($session, 'ALTER TABLE sample ADD PRIMARY KEY (n)');
	sql($session, 'VACUUM ANALYZE sample');
	return { session => $session, keys => $keys };
}

# Two databases of one server, which take turns.
sub keys
{
	my %db = (
		few  => many_keys('few',  $few),
		many => many_keys('many', $many));

	push_note_of($db{$_}) foreach qw(few many);
	hot_set($db{$_}) foreach qw(few many);
	compare_keys(\%db, 'decrypt over 10,000 of the keys',
		'µs', 10, 1000, 'SELECT count(kms_decrypt(key_id, ciphertext)) FROM hot');
	compare_keys(\%db, 'hand out existing keys over the same',
		'µs', 20, 2000, 'SELECT count(kms_issue_key(device_id)) FROM hot');
	compare_calls(\%db, 'the same, a statement each', 20, 400);
	compare_keys(\%db, 'kms.keys by device over the same',
		'µs', 20, 1000, "DO 'DECLARE d text; BEGIN
			FOR d IN SELECT device_id FROM hot %s
			LOOP PERFORM * FROM kms.keys WHERE device_id = d; END LOOP; END'");
	wait_for_pool(80, $_->{session}) foreach values %db;
	compare_one(\%db, 'a new key', "SELECT kms_issue_key('new-%d')");
	compare_one(\%db, 'rotate',
		'SELECT kms_rotate_key(device_id) FROM hot WHERE n = %d');
	compare_rounds(\%db);
	compare_rewrap(\%db);
	foreach my $db (@db{qw(few many)})
	{
		my $session = $db->{session};
		my ($check, $status) =
		  map { wall_us($session, "SELECT * FROM $_()") / 1000 }
		  qw(kms_check kms_master_key_status);
		note(sprintf 'keys: of %d, kms_check() takes %s ms, kms_master_key_status() %s ms',
			$db->{keys}, figure($check), figure($status));
		note(plan_note($db));
		leave($session);
	}
}

# Make a database with that many living keys, and those for maintenance.
sub many_keys
{
	my ($name, $n) = @_;
	my $start   = time;
	my $session = loaded($name, $n, $work_keys);

	sql($session, 'CHECKPOINT');
	return {
		session => $session,
		keys    => $n,
		seconds => time() - $start,
		scans   => table_scans($session)
	};
}

# Return a session in a new database with that many living keys, and the given
# number of keys to deprecate and to purge.
sub loaded
{
	my ($name, $n, $due) = @_;
	my $session = session('keys');

	sql($session, "CREATE DATABASE $name");
	leave($session);
	$session = session('keys', $name);
	prepare_server($session);
	sql($session, "CREATE FUNCTION kms_bench_load(bigint, bigint, bigint)
		RETURNS void AS '\$libdir/kms' LANGUAGE C");
	sql($session, 'BEGIN');
	sql($session, 'TRUNCATE kms.key, kms.key_secret');
	sql($session, "SELECT kms_bench_load($n, $due, $due)");
	sql($session, "REINDEX TABLE kms.$_") foreach qw(key key_secret);
	sql($session, 'COMMIT');
	sql($session, "VACUUM ANALYZE kms.$_") foreach qw(key key_secret);
	return $session;
}

sub push_note_of
{
	my $db    = shift;
	my $rows  = $db->{keys} + 2 * $work_keys;
	my $sizes = sql(
		$db->{session}, "SELECT string_agg(format('%s %s', relname,
			pg_relation_size(oid) / $rows), ', ' ORDER BY relname)
		FROM pg_class WHERE relnamespace = 'kms'::regnamespace
		AND relname ~ '^key(_|\$)' AND pg_relation_size(oid) > 100000");
	note(sprintf 'keys: %d and 2 x %d made in %.0f s; bytes a key: %s',
		$db->{keys}, $work_keys, $db->{seconds}, $sizes);
}

# Return how often a table of keys was read as a whole.
sub table_scans
{
	my $session = shift;
	sql($session, 'SELECT pg_stat_force_next_flush()');
	return sql(
		$session, "SELECT sum(seq_scan) FROM pg_stat_all_tables
		WHERE relid IN ('kms.key'::regclass, 'kms.key_secret'::regclass)");
}

# Choose the same number of keys in both, from the whole table, in no order.
sub hot_set
{
	my $db      = shift;
	my $session = $db->{session};
	my $step    = $db->{keys} / $few;

	sql($session, "CREATE TABLE hot AS
		SELECT row_number() OVER (ORDER BY random()) AS n, device_id,
			(kms_issue_key(device_id)).key_id, NULL::text AS ciphertext
		FROM (SELECT 'bench-' || floor(i * $step)::bigint AS device_id
			FROM generate_series(1, $few) AS i) AS d");
	sql($session, "UPDATE hot SET ciphertext = kms_encrypt(key_id, '$pin')");
	sql($session, 'ALTER TABLE hot ADD PRIMARY KEY (n)');
	sql($session, 'VACUUM ANALYZE hot');
	sql($session, 'SELECT kms_flush_events()');
}

# Run one statement over that many keys of the hot set, other keys in each round.
sub compare_keys
{
	my ($db, $what, $unit, $rounds, $n, $text) = @_;
	my %us = (few => [], many => []);

	$text .= ' %s' unless $text =~ /%s/;
	for my $round (0 .. $rounds)
	{
		foreach my $name ($round % 2 ? qw(few many) : qw(many few))
		{
			my $first = $round * $n % $few + 1;
			my $where = "WHERE n BETWEEN $first AND $first + $n - 1";
			my $us = sql_us($db->{$name}{session}, sprintf $text, $where) / $n;

			push @{ $us{$name} }, $us if $round > 0;
			sql($db->{$name}{session}, 'SELECT kms_flush_events()');
		}
	}
	keys_result($what, ratios($us{many}, $us{few}), $unit, \%us);
}

# Run prepared statements, as a client that requests each device's key.
sub compare_calls
{
	my ($db, $what, $rounds, $n) = @_;
	my %us = (few => [], many => []);
	my %devices;

	foreach my $name (qw(few many))
	{
		my $session = $db->{$name}{session};
		$devices{$name} =
		  [ split /\n/, sql($session, 'SELECT device_id FROM hot ORDER BY n') ];
		sql($session,
			'PREPARE issue AS SELECT key_id FROM kms_issue_key($1)');
	}
	for my $round (0 .. $rounds)
	{
		foreach my $name ($round % 2 ? qw(few many) : qw(many few))
		{
			my $first = $round * $n % ($few - $n);
			my $calls = join ";\n", map { "EXECUTE issue ('$_')" }
			  @{ $devices{$name} }[ $first .. $first + $n - 1 ];
			my $us = sql_us($db->{$name}{session}, $calls) / $n;

			push @{ $us{$name} }, $us if $round > 0;
			sql($db->{$name}{session}, 'SELECT kms_flush_events()');
		}
	}
	keys_result($what, ratios($us{many}, $us{few}), 'µs', \%us);
}

# Run one call at a time, and compare the medians.
sub compare_one
{
	my ($db, $what, $text) = @_;
	my %ms = (few => [], many => []);

	for my $i (1 .. 40)
	{
		push @{ $ms{$_} },
		  sql_us($db->{$_}{session}, sprintf $text, $i) / 1000
		  foreach $i % 2 ? qw(few many) : qw(many few);
	}
	keys_result($what, [ median(@{ $ms{many} }) / median(@{ $ms{few} }) ],
		'ms', \%ms);
}

# Run batches until all is done, as pg_cron would.
sub compare_rounds
{
	my $db  = shift;
	my %ms  = (few => [], many => []);
	my %wal = (few => 0, many => 0);
	my %done = (few => 0, many => 0);
	my %longest = (few => 0, many => 0);
	my $batches = $work_keys / 1000;

	sql($db->{few}{session}, 'CHECKPOINT');
	for my $batch (1 .. $batches)
	{
		foreach my $name ($batch % 2 ? qw(few many) : qw(many few))
		{
			my $session = $db->{$name}{session};
			my $lsn   = sql($session, 'SELECT pg_current_wal_lsn()');
			my $cpu   = settled($session->{backend});
			my $start = time;
			$done{$name} += sql($session,
				"SELECT sum(done) FROM kms_maintain(true)
				WHERE task IN ('expire keys', 'purge keys')");
			my $passed = (time() - $start) * 1000;

			push @{ $ms{$name} },
			  (settled($session->{backend}) - $cpu) / 1000;
			$longest{$name} = $passed if $passed > $longest{$name};
			sql($session, 'SELECT kms_flush_events()');
			$wal{$name} += sql($session,
				"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '$lsn')");
		}
	}
	keys_result('maintenance: a batch of 1,000 to deprecate and 1,000 to purge',
		ratios($ms{many}, $ms{few}), 'ms', \%ms);
	foreach my $name (qw(few many))
	{
		my @ms = @{ $ms{$name} };
		note(
			sprintf(
				'keys: of %d, the last ten batches take %s of the first ten, the longest transaction %s ms, WAL a key %s bytes',
				$db->{$name}{keys},
				figure(median(@ms[ -10 .. -1 ]) / median(@ms[ 0 .. 9 ])),
				figure($longest{$name}),
				figure($wal{$name} / $done{$name})));
		die "maintenance has left some\n" if $done{$name} != 2 * $work_keys;
	}
}

# Under a new master key.
sub compare_rewrap
{
	my $db = shift;
	my $session = $db->{few}{session};
	my $path = sql($session, 'SHOW kms.master_key_file');
	my %ms   = (few => [], many => []);
	my %wal  = (few => 0, many => 0);
	my $batches = 8;

	open my $file, '<', $path or die "$path: $!\n";
	my @lines = ("new: " . unpack('H*', random_bytes(32)) . "\n", <$file>);
	open $file, '>', $path or die "$path: $!\n";
	print $file @lines;
	close $file or die "$path: $!\n";
	sql($session, 'SELECT pg_reload_conf()');
	for (1 .. 100)
	{
		last
		  if sql($session,
			"SELECT count(*) FROM kms_master_key_status() WHERE label = 'new'");
		usleep(50_000);
	}
	sql($session, 'CHECKPOINT');
	for my $batch (1 .. $batches)
	{
		foreach my $name ($batch % 2 ? qw(few many) : qw(many few))
		{
			my $session = $db->{$name}{session};
			my $lsn = sql($session, 'SELECT pg_current_wal_lsn()');
			my $cpu = settled($session->{backend});

			die "a batch is not full\n"
			  if sql($session, 'SELECT kms_rewrap_keys(1000)') < 1000;
			push @{ $ms{$name} },
			  (settled($session->{backend}) - $cpu) / 1000;
			$wal{$name} += sql($session,
				"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '$lsn')");
		}
	}
	keys_result('a batch of 1,000 wrapped under a new master key',
		ratios($ms{many}, $ms{few}), 'ms', \%ms);
	note(sprintf 'keys: of %d, WAL a rewrapped key %s bytes',
		$db->{$_}{keys}, figure($wal{$_} / $batches / 1000))
	  foreach qw(few many);
}

sub random_bytes
{
	open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
	read($random, my $bytes, shift) or die "/dev/urandom: $!\n";
	return $bytes;
}

sub keys_result
{
	my ($what, $result, $unit, $values) = @_;
	result(
		row         => 'keys',
		what        => "$what: of $many to of $few",
		target      => '<= 1.2',
		result      => $result,
		result_unit => '×',
		measured    => $values->{many},
		unit        => $unit,
		yardstick   => $values->{few},
		name        => 'few keys');
}

sub plan_note
{
	my $db   = shift;
	my $plan = sql($db->{session},
		"EXPLAIN (COSTS OFF) SELECT * FROM kms.keys WHERE device_id = 'bench-1'");
	my @scans = $plan =~ /(\w[\w ]* Scan .*)/g;
	return sprintf 'keys: of %d, kms.keys by device: %s; tables of keys read as a whole in the meantime: %d',
	  $db->{keys}, join(', ', @scans),
	  table_scans($db->{session}) - $db->{scans};
}

1;
