# The results of all rows, as a table and as CSV.
package BenchTable;

use strict;
use warnings;

use BenchFigures;
use Exporter qw(import);

our @EXPORT = qw(result note print_table write_csv);

my (@results, @notes);

# Add a line to the table.  "result" is compared with the target ("<= 1.07",
# ">= 0.97 x"); it was computed from "measured" and "yardstick".
sub result
{
	my %r = @_;
	if (defined $r{target})
	{
		my ($how, $limit) = $r{target} =~ /^(<=|>=) ([\d.]+)$/ or die;
		my $is = median(@{ $r{result} });
		$r{met} =
		  ($how eq '<=' ? $is <= $limit : $is >= $limit) ? 'met' : 'missed';
	}
	push @results, \%r;
}

sub note
{
	push @notes, @_;
}

# Print the lines about the machine, the table and the notes.
sub print_table
{
	my @about = @_;
	my @table =
	  ([ 'row', 'what', 'result', 'target', '', 'measured', 'yardstick' ]);
	my @widths;

	foreach my $r (@results)
	{
		push @table,
		  [
			$r->{row},
			$r->{what},
			spread($r->{result}, $r->{result_unit}),
			join(' ',
				grep { defined } $r->{target},
				$r->{target} && $r->{result_unit}),
			$r->{met} || '',
			spread($r->{measured}, $r->{unit}),
			"$r->{name} " . spread($r->{yardstick}, $r->{unit})
		  ];
	}
	foreach my $line (@table)
	{
		foreach my $i (0 .. $#$line)
		{
			$widths[$i] = width($line->[$i])
			  if !defined $widths[$i] || width($line->[$i]) > $widths[$i];
		}
	}
	print "\n$_" foreach @about;
	print "\nmedian (least–most) of the rounds\n\n";
	foreach my $line (@table)
	{
		my $text = join '  ',
		  map { $line->[$_] . ' ' x ($widths[$_] - width($line->[$_])) }
		  0 .. $#$line;
		$text =~ s/ +$//;
		print "$text\n";
	}
	print "\n";
	print "$_\n" foreach @notes;
}

sub width
{
	my $text = shift;
	utf8::decode($text);
	return length $text;
}

# Write the same to a file.
sub write_csv
{
	my ($path, @about) = @_;
	open my $csv, '>', $path or die;
	print $csv "# $_\n" foreach @about, @notes;
	print $csv join(
		',', qw(row what result result_min result_max result_unit target
		  verdict measured measured_min measured_max unit
		  yardstick yardstick_value yardstick_min yardstick_max)) . "\n";
	foreach my $r (@results)
	{
		my @three = map {
			my $values = $r->{$_};
			[
				map { sprintf '%.6g', $_ } median(@$values),
				least(@$values), most(@$values)
			]
		} qw(result measured yardstick);
		print $csv join(',',
			map { quoted(defined $_ ? $_ : '') } $r->{row},
			$r->{what},
			@{ $three[0] },
			$r->{result_unit},
			$r->{target},
			$r->{met},
			@{ $three[1] },
			$r->{unit},
			$r->{name},
			@{ $three[2] })
		  . "\n";
	}
	close $csv or die;
}

sub quoted
{
	my $text = shift;
	$text =~ s/"/""/g;
	return $text =~ /[",]/ ? "\"$text\"" : $text;
}

1;
