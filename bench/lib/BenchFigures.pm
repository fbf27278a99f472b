# Medians, ratios, and how a number is printed.
package BenchFigures;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(
	median least most percentile ratios differences figure spread
);

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	my $n      = @sorted;
	return $n % 2
	  ? $sorted[ $n / 2 ]
	  : ($sorted[ $n / 2 - 1 ] + $sorted[ $n / 2 ]) / 2;
}

sub least
{
	return (sort { $a <=> $b } @_)[0];
}

sub most
{
	return (sort { $a <=> $b } @_)[-1];
}

sub percentile
{
	my ($percent, @values) = @_;
	return (sort { $a <=> $b } @values)
	  [ int($percent / 100 * (@values - 1)) ];
}

# pairwise CODE LIST LIST: return the results of the code for the two of each round.
sub pairwise
{
	my ($code, $a, $b) = @_;
	return [ map { $code->($a->[$_], $b->[$_]) } 0 .. $#$a ];
}

sub ratios
{
	return pairwise(sub { $_[0] / $_[1] }, @_);
}

sub differences
{
	return pairwise(sub { $_[0] - $_[1] }, @_);
}

# Format a number with three significant digits.
sub figure
{
	my $x = shift;
	return sprintf(
		  abs($x) >= 100 ? '%.0f'
		: abs($x) >= 10  ? '%.1f'
		: abs($x) >= 1   ? '%.2f'
		: '%.3f',
		$x);
}

sub spread
{
	my ($values, $unit) = @_;
	my $text = figure(median(@$values));
	$text .= " $unit" if $unit;
	$text .=
	  sprintf(' (%s–%s)', figure(least(@$values)), figure(most(@$values)))
	  if @$values > 1;
	return $text;
}

1;
