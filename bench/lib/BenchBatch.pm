# The rows of many ciphertexts in a call: batch, batch-size, batch-keys.
package BenchBatch;

use strict;
use warnings;

use BenchFigures;
use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);

our @EXPORT = qw(batch multi_buffer_ways);

my $rows   = 100;                                           # in a batch
my $keys   = 256;
my @sizes  = (1 .. 8, 16, 32, 64, 128, 256);
my @counts = (1, 2, 4, 8, 16, 32, 64, 128);                 # keys in a batch
my $most   = 128;                                           # rows in a batch of these
my $rounds = 11;

# The targets: of a bare operation with keys open and with one key per row, and
# how many single calls with one key per row take the time of one row.
my %target = (
	blinded   => [ '<= 0.40', '<= 1.15', '>= 2.3' ],
	unblinded => [ '<= 0.36', '<= 0.55', '>= 5' ],
	off       => []);

my $noted;

# Return the values of kms.multi_buffer that differ on this machine.
sub multi_buffer_ways
{
	my $lanes = sql($main, "SELECT value FROM kms.status WHERE item = 'multi-buffer lanes'");
	return qw(blinded unblinded off) if $lanes eq 'in use';
	note("the lanes of crypto_mb are not used: $lanes") unless $noted++;
	return 'off';
}

sub batch
{
	my @ways = multi_buffer_ways();

	keys_up_to($keys);
	encrypt_missing();
	sql($main, 'CREATE TABLE batch (name text, keys text[], ciphertexts text[])');
	sql($main, 'PREPARE batch (text) AS SELECT count(plaintext)
		FROM batch AS b, LATERAL kms_decrypt_batch(b.keys, b.ciphertexts) WHERE b.name = $1');
	batch_of(@ways);
	batch_sizes(@ways);
	batch_keys(@ways);
	batch_of_table(@ways);
	server_setting('kms.multi_buffer', 'blinded');
	sql($main, 'DEALLOCATE batch');
	sql($main, 'DROP TABLE batch');
}

# Add batches with this name, each with so many rows.  Its rows have so many keys
# in turns; batch i begins with device i * $step + 1.
sub add_batches
{
	my ($name, $batches, $size, $distinct, $step) = @_;
	sql($main, "INSERT INTO batch
		SELECT '$name', array_agg(key_id ORDER BY n), array_agg(ciphertext ORDER BY n)
		FROM generate_series(0, $batches - 1) AS b, generate_series(0, $size - 1) AS n
			JOIN LATERAL (SELECT * FROM cipher WHERE device = b * $step + n % $distinct + 1) AS c ON true
		GROUP BY b");
}

# Return the microseconds of a row of these batches.
sub row_us
{
	my ($name, $count) = @_;
	return sql_us($main, "EXECUTE batch ('$name')") / $count;
}

# Run the code for each way in each round, and begin with another one each time.
sub in_turns
{
	my ($rounds, $ways, $code) = @_;
	my @ways = @$ways;
	for my $round (1 .. $rounds)
	{
		foreach my $way (@ways)
		{
			server_setting('kms.multi_buffer', $way);
			$code->($way, $round);
		}
		push @ways, shift @ways;
	}
}

# Keys open, and one key per row, in batches of 100.
sub batch_of
{
	my @ways  = @_;
	my $open  = "EXECUTE warm ('%s', '%s', $rows)";
	my $first = "SELECT count(kms_decrypt(key_id, ciphertext)) FROM cipher WHERE device <= $rows";
	my (%bare, %open, %first, %single, %single_first);

	add_batches('open', 4, $rows, 8, 0);
	add_batches('first', 2, $rows, $rows, 0);
	prepare_warm($main);
	$open = sprintf $open, first_cipher();
	server_setting('kms.key_cache_size', 16);
	in_turns($rounds, \@ways, sub {
		my ($way, $round) = @_;
		row_us('open', 1) if $round == 1;
		push @{ $bare{$way} },         each_us(bare(), 'warm', 150);
		push @{ $open{$way} },         row_us('open', 4 * $rows);
		push @{ $single{$way} },       sql_us($main, $open) / $rows;
		push @{ $first{$way} },        row_us('first', 2 * $rows);
		push @{ $single_first{$way} }, sql_us($main, $first) / $rows;
	});
	die "keys stayed open\n"
	  if sql($main, "SELECT value FROM kms.status WHERE item = 'keys open in this session'") > 16;
	server_setting('kms.key_cache_size', 128);
	sql($main, 'DEALLOCATE warm');
	foreach my $way (@ways)
	{
		foreach ([ 'keys open', $open{$way}, 0 ], [ 'one key per row', $first{$way}, 1 ])
		{
			my ($what, $measured, $nth) = @$_;
			result(
				row         => 'batch',
				what        => "kms_decrypt_batch, $way, $what: of the bare operation",
				target      => $target{$way}[$nth],
				result      => ratios($measured, $bare{$way}),
				result_unit => '×',
				measured    => $measured,
				unit        => 'µs',
				yardstick   => $bare{$way},
				name        => 'bare');
		}
		foreach ([ 'keys open', $single{$way}, $open{$way} ],
			[ 'one key per row', $single_first{$way}, $first{$way}, $target{$way}[2] ])
		{
			my ($what, $single, $measured, $target) = @$_;
			result(
				row         => 'batch',
				what        => "kms_decrypt, $what: of kms_decrypt_batch, $way",
				target      => $target,
				result      => ratios($single, $measured),
				result_unit => '×',
				measured    => $single,
				unit        => 'µs',
				yardstick   => $measured,
				name        => 'batch');
		}
	}
}

# Rows a second by the rows of a batch, with 8 keys that stay open.
sub batch_sizes
{
	my @ways = @_;
	my (%bare, %measured);
	my %count = map { $_ => $_ * ($_ < 16 ? int(160 / $_) : int(512 / $_)) } @sizes;

	add_batches("size $_", $count{$_} / $_, $_, 8, 0) foreach @sizes;
	in_turns($rounds, \@ways, sub {
		my ($way, $round) = @_;
		foreach my $size (@sizes)
		{
			push @{ $bare{$way}{$size} },     1e6 / each_us(bare(), 'warm', 50);
			push @{ $measured{$way}{$size} }, 1e6 / row_us("size $size", $count{$size});
		}
	});
	foreach my $way (@ways)
	{
		rows_per_second('batch-size', "$way, $_ row" . ($_ > 1 ? 's' : '') . ' a batch', $measured{$way}{$_}, $bare{$way}{$_})
		  foreach @sizes;
	}
}

# Rows a second by the keys of a batch of 128 rows, none of which is open.
sub batch_keys
{
	my @ways = @_;
	my (%bare, %measured, %batches);

	sql($main, "INSERT INTO batch SELECT 'others', array_agg(key_id), array_agg(ciphertext)
		FROM cipher WHERE device > $most AND device <= $keys");
	foreach my $count (@counts)
	{
		$batches{$count} = $count > $most / 4 ? int($most / $count) : 4;
		add_batches("keys $count", $batches{$count}, $most, $count, $count);
	}
	in_turns($rounds, \@ways, sub {
		my ($way, $round) = @_;
		foreach my $count (@counts)
		{
			row_us('others', 1);
			push @{ $bare{$way}{$count} }, 1e6 / each_us(bare(), 'warm', 50);
			push @{ $measured{$way}{$count} },
			  1e6 / row_us("keys $count", $batches{$count} * $most);
		}
	});
	foreach my $way (@ways)
	{
		rows_per_second('batch-keys', "$way, $_ key" . ($_ > 1 ? 's' : '') . " in $most rows",
			$measured{$way}{$_}, $bare{$way}{$_})
		  foreach @counts;
	}
}

sub rows_per_second
{
	my ($row, $what, $measured, $bare) = @_;
	result(
		row         => $row,
		what        => "kms_decrypt_batch, $what: of bare operations",
		result      => ratios($measured, $bare),
		result_unit => '×',
		measured    => $measured,
		unit        => '/s',
		yardstick   => $bare,
		name        => 'bare');
}

# A table whose rows SQL puts into arrays, against a call for each row.
sub batch_of_table
{
	my @ways = @_;
	my (%each, %batched);
	my $each    = 'SELECT count(kms_decrypt(key_id, ciphertext)) FROM sent';
	my $batched = "SELECT count(d.plaintext)
		FROM (SELECT array_agg(key_id ORDER BY id) AS keys, array_agg(ciphertext ORDER BY id) AS ciphertexts
			FROM sent GROUP BY id / $rows) AS s,
		LATERAL kms_decrypt_batch(s.keys, s.ciphertexts) AS d";
	my $n = 800;

	sql($main, "CREATE TABLE sent AS SELECT g AS id, key_id, ciphertext
		FROM generate_series(0, $n - 1) AS g JOIN cipher ON device = g % 100 + 1");
	sql($main, 'VACUUM ANALYZE sent');
	in_turns($rounds, \@ways, sub {
		my ($way, $round) = @_;
		sql($main, $each) if $round == 1;
		push @{ $each{$way} },    sql_us($main, $each) / $n;
		push @{ $batched{$way} }, sql_us($main, $batched) / $n;
	});
	foreach my $way (@ways)
	{
		result(
			row         => 'batch',
			what        => "a table's rows in batches of $rows, $way: of a call for each",
			result      => ratios($batched{$way}, $each{$way}),
			result_unit => '×',
			measured    => $batched{$way},
			unit        => 'µs',
			yardstick   => $each{$way},
			name        => 'kms_decrypt');
	}
	sql($main, 'DROP TABLE sent');
}

1;
