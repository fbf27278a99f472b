# bench/plot draws what bench/run wrote, the same each time, and refuses what
# it did not write.
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use IPC::Run;
use Test::More;

my $plot   = "$FindBin::Bin/../../../bench/plot";
my $tmp    = tempdir(CLEANUP => 1);
my $header = join(',', qw(row what measured measured_min measured_max
	  yardstick_value yardstick_min yardstick_max)) . "\n";
my $sizes = join '', map { "size,\"decrypt, key open, among $_ keys: of <bare> & all\",400,390,420,380,370,390\n" }
  1000, 10000;
my $sessions = join '', map { "sessions,\"decrypts/s, $_ sessions: of bare\",2000,1900,2100,2200,2100,2300\n" }
  2, 4;

# Its status, and what it said.
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

# Every element is closed, in its turn; no text is left to be taken for one.
sub is_well_formed
{
	my $svg = shift;
	my @open;
	while ($svg =~ /\G([^<>&]|&(?:amp|lt|gt);)*(?:<(\/?)(\w+)((?: [\w:-]+="[^"<]*")*)(\/?)>|$)/gc)
	{
		last unless defined $3;
		if ($2)    { return 0 unless @open && pop(@open) eq $3; }
		elsif (!$5) { push @open, $3; }
	}
	return (pos($svg) // 0) == length($svg) && !@open;
}

my ($status, $said) = plot('one', "# kms 1.0 <&>\n$header$sizes$sessions");
is($status, 0, 'it draws') or diag($said);
foreach my $name (qw(keys.svg sessions.svg))
{
	my $svg = contents("one/$name");
	like($svg, qr/^<svg .*<polyline .*<\/svg>\n\z/s, "$name is a drawing");
	ok(is_well_formed($svg), "$name is well formed");
}
plot('two', "# kms 1.0 <&>\n$header$sizes$sessions");
is(contents("two/$_"), contents("one/$_"), "$_ is the same again")
  foreach qw(keys.svg sessions.svg);

($status) = plot('sizes', $header . $sizes);
ok( $status == 0 && contents('sizes/keys.svg') && !contents('sizes/sessions.svg'),
	'what was not measured is not drawn');

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
ok(!glob("$tmp/broken/*"), 'and nothing is drawn of it');

done_testing();
