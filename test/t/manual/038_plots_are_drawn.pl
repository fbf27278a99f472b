# bench/plot draws the tables of bench/run, the same each time, and refuses other
# files.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use IPC::Run;
use Test::More;

plan skip_all => 'gnuplot is not installed'
  unless eval { IPC::Run::run([ 'gnuplot', '--version' ], '>', \my $version) };

my $plot   = "$FindBin::Bin/../../../bench/plot";
my $tmp    = tempdir(CLEANUP => 1);
my $header = join(',', qw(row what measured measured_min measured_max
	  yardstick_value yardstick_min yardstick_max)) . "\n";
my $sizes = join '', map { "size,\"decrypt, key open, among $_ keys: of <bare> & all\",400,390,420,380,370,390\n" }
  1000, 10000;
my $sessions = join '', map { "sessions,\"decrypts/s, $_ sessions: of bare\",2000,1900,2100,2200,2100,2300\n" }
  2, 4;

# Run bench/plot and return its status and its output.
sub plot
{
	my ($to, $csv) = @_;
	open my $file, '>', "$tmp/in.csv" or die;
	print $file $csv;
	close $file;
	mkdir "$tmp/$to";
	IPC::Run::run([ $^X, $plot, '-o', "$tmp/$to", "$tmp/in.csv" ],
		'>&', \my $said);
	return ($? >> 8, $said);
}

sub contents
{
	my $path = shift;
	open my $file, '<', "$tmp/$path" or return '';
	local $/;
	return <$file>;
}

sub is_well_formed
{
	my $path = shift;
	return IPC::Run::run([ 'python3', '-c',
			'import sys, xml.dom.minidom as xml; xml.parse(sys.argv[1])', $path ],
		'2>', \my $errors);
}

my ($status, $said) = plot('one', "# kms 1.0 <&>\n$header$sizes$sessions");
is($status, 0, 'bench/plot draws') or diag($said);
foreach my $name (qw(keys.svg sessions.svg))
{
	like(contents("one/$name"), qr/<svg .*<path .*kms 1\.0 &lt;&amp;>.*<\/svg>/s,
		"$name is a drawing");
	ok(is_well_formed("$tmp/one/$name"), "$name is well formed");
}
plot('two', "# kms 1.0 <&>\n$header$sizes$sessions");
is(contents("two/$_"), contents("one/$_"), "$_ is the same again")
  foreach qw(keys.svg sessions.svg);

($status) = plot('sizes', $header . $sizes);
ok( $status == 0 && contents('sizes/keys.svg') && !contents('sizes/sessions.svg'),
	'rows that were not measured are not drawn');

my %broken = (
	'nothing'            => '',
	'no row to draw'     => $header,
	'a row too short'    => "$header$sizes" . "size,\"decrypt, among 7 keys:\",1\n",
	'a word as a number' => $header . $sizes =~ s/,400,/,fast,/r,
	'zero on a log axis' => $header . $sizes =~ s/,390,/,0,/r,
	'one point'          => $header . (split /^/, $sizes)[0],
	'an open quote'      => "$header\"size,1,2\n");
foreach my $what (sort keys %broken)
{
	my ($status, $said) = plot('broken', $broken{$what});
	ok($status != 0 && $said !~ /uninitialized/, "$what is refused");
}
ok(!glob("$tmp/broken/*"), 'nothing is drawn of a refused file');

done_testing();
