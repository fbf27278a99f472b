# The rows of stored fields: fields, fields-rotate.
package BenchField;

use strict;
use warnings;

use BenchFigures;
use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);
use IO::Select;
use Time::HiRes qw(time);

our @EXPORT = qw(fields fields_rotate);

# All statements make the context of a row in the same way, the yardstick too.
my $context = "'person.tax:' || id";
my $table   = 'field_row';
my $rounds  = 15;

sub fields
{
	my $n = 30_000;
	my @calls = calls();

	sql($main, 'SET max_parallel_workers_per_gather = 0');
	make_rows($n);
	make_device_row();
	my @peers = (make_pgcrypto(), make_pgsodium());

	my %statement = (
		length  => [ "SELECT count(length(tax)) FROM $table", $n ],
		context => [
			"SELECT count(length(tax) + octet_length($context)) FROM $table",
			$n
		],
		(map { $_->{name} => [ $_->{sql}, $n ] } @calls),
		(map { $_->{name} => [ $_->{sql}, $_->{rows} ] } @peers),
		kms_decrypt => [
			'SELECT count(kms_decrypt(key_id, ciphertext)) FROM field_sent', 300
		],
		kms_decrypt_to_field => [
			'SELECT count(kms_decrypt_to_field(key_id, ciphertext,
				\'bench_tax\', \'c\', \'field\')) FROM field_sent', 300
		]);
	my $us = in_turns(\%statement);

	foreach (@calls)
	{
		over($_->{what}, $_->{target}, $us->{ $_->{name} }, $us->{context},
			'length() and the context');
	}
	over('kms_decrypt_field and its context',
		undef, $us->{kms_decrypt_field}, $us->{length}, 'length()');
	times_as_fast('kms_decrypt of a block by RSA-2048',
		'>= 300', $us->{kms_decrypt_field}, $us->{kms_decrypt}, 'kms_decrypt');
	foreach (@peers)
	{
		times_as_fast($_->{what}, $_->{target}, $us->{kms_decrypt_field},
			$us->{ $_->{name} }, $_->{name});
	}
	result(
		row         => 'fields',
		what        => 'kms_decrypt_to_field: of kms_decrypt of the ciphertext',
		target      => '<= 1.1',
		result      => ratios($us->{kms_decrypt_to_field}, $us->{kms_decrypt}),
		result_unit => '×',
		measured    => $us->{kms_decrypt_to_field},
		unit        => 'µs',
		yardstick   => $us->{kms_decrypt},
		name        => 'kms_decrypt');
	sql($main, "DROP TABLE $table, field_sent");
	sql($main, 'RESET max_parallel_workers_per_gather');
}

# "tax" has the newest version, "old" the one before.
sub calls
{
	return (
		{
			name   => 'kms_decrypt_field',
			what   => 'kms_decrypt_field',
			target => '<= 1.6',
			sql    => "SELECT count(kms_decrypt_field(tax, $context)) FROM $table"
		},
		{
			name => 'kms_encrypt_field',
			what => 'kms_encrypt_field',
			sql  => "SELECT count(kms_encrypt_field('bench_tax', plain, $context)) FROM $table"
		},
		{
			name => 'kms_refresh_field',
			what => 'kms_refresh_field of an old version',
			sql  => "SELECT count(kms_refresh_field(old, $context)) FROM $table"
		},
		{
			name => 'unchanged',
			what => 'kms_refresh_field, nothing to do',
			sql  => "SELECT count(kms_refresh_field(tax, $context)) FROM $table"
		},
		{
			name => 'kms_blind_index',
			what => 'kms_blind_index',
			sql  => "SELECT count(length(kms_blind_index('bench_tax', plain, 'person.tax'))
				+ octet_length($context)) FROM $table"
		});
}

# Values of 100 bytes.
sub make_rows
{
	my $n = shift;
	sql($main, "SELECT kms_create_field_key('bench_tax')");
	sql($main, "CREATE TABLE $table AS SELECT id, plain, NULL::bytea AS tax,
			kms_encrypt_field('bench_tax', plain, $context) AS old
		FROM generate_series(1, $n) AS id, lpad(id::text, 100, 'x') AS plain");
	sql($main, "SELECT kms_rotate_field_key('bench_tax')");
	sql($main, "UPDATE $table SET tax = kms_encrypt_field('bench_tax', plain, $context)");
	sql($main, "VACUUM (FULL, ANALYZE) $table");
	die "values do not open\n"
	  if sql($main, "SELECT count(*) FROM $table
		WHERE kms_decrypt_field(tax, $context) = plain
			AND kms_decrypt_field(old, $context) = plain") != $n;
}

sub make_device_row
{
	sql($main, "CREATE TABLE field_sent AS
		SELECT key_id, kms_encrypt(key_id, '$pin') AS ciphertext
		FROM kms_issue_key('field'), generate_series(1, 300)");
	sql($main, 'VACUUM ANALYZE field_sent');
}

# The same plaintexts with a key in the statement: AES-256-CBC with the IV in
# the row, and PGP messages, which derive a key from a password each time.
sub make_pgcrypto
{
	my $key = "'\\x" . '5c' x 32 . "'::bytea";

	return unless available('fields', 'pgcrypto');
	sql($main, 'CREATE EXTENSION IF NOT EXISTS pgcrypto');
	sql($main, "ALTER TABLE $table ADD iv bytea, ADD cbc bytea");
	sql($main, "UPDATE $table SET iv = gen_random_bytes(16)");
	sql($main, "UPDATE $table SET cbc = encrypt_iv(plain::bytea, $key, iv, 'aes')");
	sql($main, "CREATE TABLE field_pgp AS
		SELECT pgp_sym_encrypt(plain, 'a password') AS message FROM $table LIMIT 60");
	sql($main, "VACUUM (FULL, ANALYZE) $table");
	sql($main, 'VACUUM ANALYZE field_pgp');
	die "pgcrypto does not decrypt\n"
	  if sql($main, "SELECT count(*) FROM $table
		WHERE decrypt_iv(cbc, $key, iv, 'aes') <> plain::bytea");
	return (
		{
			name   => 'decrypt_iv',
			what   => 'pgcrypto decrypt_iv (AES-256-CBC)',
			target => '>= 2.5',
			rows   => rows(),
			sql    => "SELECT count(decrypt_iv(cbc, $key, iv, 'aes')) FROM $table"
		},
		{
			name => 'pgp_sym_decrypt',
			what => 'pgcrypto pgp_sym_decrypt',
			rows => 60,
			sql  => "SELECT count(pgp_sym_decrypt(message, 'a password')) FROM field_pgp"
		});
}

sub make_pgsodium
{
	my $key = "'\\x" . '5c' x 32 . "'::bytea";
	my $data = "($context)::bytea";

	return unless available('fields', 'pgsodium');
	sql($main, 'CREATE SCHEMA IF NOT EXISTS pgsodium');
	sql($main, 'CREATE EXTENSION IF NOT EXISTS pgsodium');
	sql($main, "ALTER TABLE $table ADD det bytea");
	sql($main, "UPDATE $table
		SET det = pgsodium.crypto_aead_det_encrypt(plain::bytea, $data, $key)");
	sql($main, "VACUUM (FULL, ANALYZE) $table");
	return {
		name   => 'crypto_aead_det_decrypt',
		what   => 'pgsodium crypto_aead_det_decrypt',
		target => '>= 2.5',
		rows   => rows(),
		sql    => "SELECT count(pgsodium.crypto_aead_det_decrypt(det, $data, $key)) FROM $table"
	};
}

sub rows
{
	return sql($main, "SELECT count(*) FROM $table");
}

# Return the processor time per row of each statement, in rounds.
sub in_turns
{
	my $statement = shift;
	my @names     = sort keys %$statement;
	my %us        = map { $_ => [] } @names;

	foreach my $round (0 .. $rounds)
	{
		foreach my $name (@names)
		{
			my ($sql, $n) = @{ $statement->{$name} };
			my $took = sql_us($main, $sql);
			push @{ $us{$name} }, $took / $n if $round > 0;
		}
	}
	return \%us;
}

sub over
{
	my ($what, $target, $measured, $yardstick, $name) = @_;
	result(
		row         => 'fields',
		what        => "$what: over $name, a row",
		target      => $target,
		result      => differences($measured, $yardstick),
		result_unit => 'µs',
		measured    => $measured,
		unit        => 'µs',
		yardstick   => $yardstick,
		name        => $name);
}

# Both with the time to read the row.
sub times_as_fast
{
	my ($what, $target, $measured, $yardstick, $name) = @_;
	result(
		row         => 'fields',
		what        => "$what: times kms_decrypt_field, a row",
		target      => $target,
		result      => ratios($yardstick, $measured),
		result_unit => '×',
		measured    => $measured,
		unit        => 'µs',
		yardstick   => $yardstick,
		name        => $name);
}

# ---- A table is rotated ---------------------------------------------------

my $batch = 10_000;    # rows in an UPDATE, and in a reader's statement
my $big   = 'field_big';
my $small = 'field_small';    # a tenth of it, to compare with

sub fields_rotate
{
	my $n       = $ENV{KMS_BENCH_FIELDS} || 10_000_000;
	my $tenth   = int($n / 10);
	my $writer  = session();
	my @readers = (session(), session());
	my $dropped = dropped();
	my @all     = ($writer, @readers);

	die "KMS_BENCH_FIELDS must be a multiple of 200000\n" if $n < 1 || $n % (20 * $batch);
	server_setting('max_wal_size', '8GB');
	sql($writer, "SELECT kms_create_field_key('bench_rotated')");
	make_values($writer, $big,   $n);
	make_values($writer, $small, $tenth);
	sql($writer, 'CHECKPOINT');
	sql($_, 'SET max_parallel_workers_per_gather = 0') foreach @readers;
	sql($_, read_batch($big, $n)) foreach @readers;

	# The readers alone, beside UPDATEs that copy values, and beside the rotation.
	my $alone = together(undef, $big, $n, undef, @readers);
	my $copy = together($writer, $small, $tenth,
		'set_byte(tax, 0, get_byte(tax, 0))', @readers);
	sql($writer, "SELECT kms_rotate_field_key('bench_rotated')");
	my @before = map { status($_->{backend}, 'RssAnon') } @all;
	my %events = events_of(qw(refresh_field decrypt_field));
	my $rotation = together($writer, $big, $n,
		"kms_refresh_field(tax, $context)", @readers);
	my @growth =
	  map { (status($all[$_]{backend}, 'RssAnon') - $before[$_]) / 1024 } 0 .. $#all;
	my %events_after = events_of(qw(refresh_field decrypt_field));
	die "values were not rotated\n"
	  if sql($writer, "SELECT count(*) FROM $big WHERE kms_field_version(tax) <> 2");

	rotated_rate('rows rotated per second', $rotation->{written}, $copy->{written},
		'copied');
	rotated_rate('two readers, rows per second in the meantime',
		$rotation->{read}, $alone->{read}, 'alone');
	rotated_rate('the same', $rotation->{read}, $copy->{read}, 'beside copying');
	rotated_rate('the same, per second of their processor time',
		$rotation->{read_cpu}, $alone->{read_cpu}, 'alone');
	rotated_rate('the same, per second of their processor time',
		$rotation->{read_cpu}, $copy->{read_cpu}, 'beside copying');
	result(
		row         => 'fields-rotate',
		what        => 'growth of the three sessions',
		result      => \@growth,
		result_unit => 'MB',
		measured    => [ map { $before[$_] / 1024 + $growth[$_] } 0 .. $#all ],
		unit        => 'MB',
		yardstick   => [ map { $_ / 1024 } @before ],
		name        => 'before');
	foreach my $operation (sort keys %events)
	{
		my ($rows, $calls) =
		  map { $events_after{$operation}[$_] - $events{$operation}[$_] } 0, 1;
		note("fields-rotate: $rows events of $operation stand for $calls calls"
			  . ($operation eq 'refresh_field' ? " of $n" : " of $rotation->{total_read}"));
	}
	note('fields-rotate: ' . (dropped() - $dropped) . ' events were dropped',
		sprintf 'fields-rotate: %.0f rows in %.0f s', $n, $rotation->{seconds});
	sql($writer, "DROP TABLE $big, $small");
	leave($_) foreach @all;
	sql($main, 'ALTER SYSTEM RESET max_wal_size');
}

sub make_values
{
	my ($session, $name, $n) = @_;
	sql($session, "CREATE TABLE $name AS SELECT id,
			kms_encrypt_field('bench_rotated', lpad(id::text, 100, 'x'), $context) AS tax
		FROM generate_series(1, $n) AS id");
	sql($session, "ALTER TABLE $name ADD PRIMARY KEY (id)");
	sql($session, "VACUUM (FREEZE, ANALYZE) $name");
}

# A transaction for each batch of rows.
sub batches
{
	my ($name, $n, $value) = @_;
	my @batches;
	for (my $first = 1; $first <= $n; $first += $batch)
	{
		my $last = $first + $batch - 1;
		push @batches,
		  "UPDATE $name SET tax = $value WHERE id BETWEEN $first AND $last";
	}
	return @batches;
}

sub read_batch
{
	my ($name, $n) = @_;
	my $first = 1 + int rand($n - $batch);
	return "SELECT count(kms_decrypt_field(tax, $context)) FROM $name
		WHERE id BETWEEN $first AND " . ($first + $batch - 1);
}

# Let the readers read while the writer sets all values of a table, or for 15
# seconds if there is no writer, and return the rates.
sub together
{
	my ($writer, $name, $n, $value, @readers) = @_;
	my %rate  = (read => [], written => [], read_cpu => [], total_read => 0);
	my @left  = $writer ? batches($name, $n, $value) : ();
	my $start = time;
	my @batch_start;
	my %from;
	my $working = IO::Select->new;
	my %of_out;

	foreach my $session (@readers, $writer ? $writer : ())
	{
		$of_out{ $session->{out} } = $session;
		$working->add($session->{out});
	}
	my ($read_since, $read_rows) = ($start, 0);
	my $cpu = cpu_of(@readers);
	submit($_, read_batch($name, $n)) foreach @readers;
	my $written_since = $start;
	submit($writer, shift @left) if $writer;

	while ($working->count)
	{
		foreach my $out ($working->can_read)
		{
			my $session = $of_out{$out};
			my $answer  = answer($session);
			my $now     = time;
			my $more    = $writer ? @left > 0 : $now - $start < 15;

			if ($writer && $session == $writer)
			{
				push @{ $rate{written} }, $batch / ($now - $written_since);
				$written_since = $now;
				if   ($more) { submit($writer, shift @left) }
				else         { $working->remove($out) }
				next;
			}
			die "a reader missed rows\n" if $answer != $batch;
			$read_rows += $answer;
			$rate{total_read} += $answer;
			if ($now - $read_since >= 1 || ($writer && !@left && !@{ $rate{read} }))
			{
				my $cpu_now = cpu_of(@readers);
				push @{ $rate{read} }, $read_rows / ($now - $read_since);
				push @{ $rate{read_cpu} }, $read_rows / ($cpu_now - $cpu) * 1e6;
				($read_since, $read_rows, $cpu) = ($now, 0, $cpu_now);
			}
			if   ($more) { submit($session, read_batch($name, $n)) }
			else         { $working->remove($out) }
		}
	}
	$rate{seconds} = time() - $start;
	return \%rate;
}

sub cpu_of
{
	my $sum = 0;
	$sum += cpu($_->{backend}) foreach @_;
	return $sum;
}

sub events_of
{
	my %of;
	sql($main, 'SELECT kms_flush_events()');
	foreach my $operation (@_)
	{
		$of{$operation} = [
			split /\|/,
			sql($main, "SELECT count(*), coalesce(sum(calls), 0) FROM kms.event
				WHERE operation = '$operation'")
		];
	}
	return %of;
}

# Rates of seconds or batches, which do not come in pairs: compare the medians.
sub rotated_rate
{
	my ($what, $measured, $yardstick, $name) = @_;
	result(
		row         => 'fields-rotate',
		what        => "$what: of $name",
		result      => [ median(@$measured) / median(@$yardstick) ],
		result_unit => '×',
		measured    => $measured,
		unit        => '/s',
		yardstick   => $yardstick,
		name        => $name);
}

1;
