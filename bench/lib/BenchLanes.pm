# The lanes of crypto_mb without a server: the rows lanes and classes.
package BenchLanes;

use strict;
use warnings;

use BenchFigures;
use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);

our @EXPORT = qw(lanes classes);

my %lanes;

# The program for keys of so many bits, or nothing if there are no lanes here.
sub program
{
	my $size = shift;
	unless (-x "$work/lanes")
	{
		note('lanes: kms is built without crypto_mb, so not measured');
		return;
	}
	if (!$lanes{$size})
	{
		my $why = `echo | '$work/lanes' '@{[ key_of($size) ]}' 2>&1`;
		if ($why ne '')
		{
			chomp $why;
			note($why);
			return;
		}
		$lanes{$size} = command("$work/lanes", key_of($size));
	}
	return $lanes{$size};
}

sub key_of
{
	my $size = shift;
	my $path = "$work/lanes-$size.pem";
	system("openssl genrsa -traditional -out '$path' $size 2>/dev/null") == 0 or die
	  unless -e $path;
	return $path;
}

# From how many operations on the lanes take less time than OpenSSL.
sub lanes
{
	foreach my $size (2048, 3072, 4096)
	{
		my $program = program($size) or return;
		my @counts = $size == 2048 ? (2, 3, 8) : (4, 5, 8);
		my $n = int(100 * (2048 / $size)**3);
		my (%one, %run);
		foreach my $round (1 .. 9)
		{
			foreach my $first ('', 'first-')
			{
				foreach my $way ('blinded', 'unblinded')
				{
					foreach my $count (@counts)
					{
						my $name = "$first$way-$count";
						push @{ $one{$name} }, each_us($program, "${first}openssl", $n);
						push @{ $run{$name} }, each_us($program, $name, $n) / $count;
					}
				}
			}
		}
		foreach my $first ('', 'first-')
		{
			foreach my $way ('blinded', 'unblinded')
			{
				foreach my $count (@counts)
				{
					my $name = "$first$way-$count";
					result(
						row  => 'lanes',
						what => "$count operations, $size bits, $way, "
						  . ($first ? 'first uses' : 'keys open')
						  . ': each of one by OpenSSL',
						result      => ratios($run{$name}, $one{$name}),
						result_unit => '×',
						measured    => $run{$name},
						unit        => 'µs',
						yardstick   => $one{$name},
						name        => 'OpenSSL');
				}
			}
		}
	}
}

# Whether the time of eight operations depends on the ciphertexts.
sub classes
{
	my $program = program($bits) or return;
	my @names = (
		'random',                'of 64 bits',
		'n less 64 bits',        'multiples of a prime',
		'powers e of 64 bits');
	my %way = (
		openssl   => 'OpenSSL',
		blinded   => 'lanes, blinded',
		unblinded => 'lanes, unblinded',
		textbook  => 'not constant-time, for comparison');
	my @ways = qw(openssl blinded unblinded textbook);
	my (%us, %t);

	for (1 .. 9)
	{
		foreach my $way (@ways)
		{
			send_line($program, "classes-$way 200");
			my @answer = split ' ', receive($program);
			push @{ $us{$way}[$_] }, $answer[$_] / 1000 foreach 0 .. $#names;
			push @{ $t{$way}[$_] },  $answer[$#names + $_] foreach 1 .. $#names;
		}
	}
	foreach my $way (@ways)
	{
		foreach my $class (1 .. $#names)
		{
			result(
				row         => 'classes',
				what        => "$way{$way}: ciphertexts $names[$class], of random ones",
				result      => ratios($us{$way}[$class], $us{$way}[0]),
				result_unit => '×',
				measured    => $us{$way}[$class],
				unit        => 'µs',
				yardstick   => $us{$way}[0],
				name        => 'random');
		}
		note("classes: t of 9 rounds, $way{$way}: " . join ', ',
			map { "$names[$_] " . spread($t{$way}[$_]) } 1 .. $#names);
	}
}

1;
