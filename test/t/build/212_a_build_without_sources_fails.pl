# A build that finds no sources, or not the tree, or no PostgreSQL, says so and
# builds nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsBuild;
use Test::More;

my $tree  = KmsBuild::copy_tree('tree');
my $build = KmsBuild::directory('build');

sub is_refused
{
	my ($expected, $name, @arguments) = @_;
	my $output = KmsBuild::fails(@arguments);
	like($output, $expected, $name);
	is_deeply([ KmsBuild::files($build) ], [], 'nothing was built');
	return;
}

is_refused(qr/"\Q$build\E" is not the tree of kms/, 'VPATH must name the tree',
	$build, '-f', "$tree/Makefile", "VPATH=$build");
is_refused(qr/^\S+ \*\*\* \/nowhere\/pg_config does not run: set PG_CONFIG/m,
	'PostgreSQL must be there',
	$build, '-f', "$tree/Makefile", 'PG_CONFIG=/nowhere/pg_config');

rename "$tree/src/store", "$tree/store" or die "$tree/src/store: $!";
is_refused(qr/there is no \Q$tree\E\/src\/store\/\*\.c/, 'each layer must have sources',
	$build, '-f', "$tree/Makefile");
like(KmsBuild::fails($tree, 'all'), qr/there is no \.\/src\/store\/\*\.c/,
	'each layer must have sources in the tree');
rename "$tree/store", "$tree/src/store" or die "$tree/store: $!";
unlink "$tree/src/kms.c" or die "$tree/src/kms.c: $!";
is_refused(qr/there is no \Q$tree\E\/src\/kms\.c/, 'so must the top',
	$build, '-f', "$tree/Makefile");

# ---- Names with a space ----------------------------------------------------

my $spaced = KmsBuild::copy_tree('a name/kms');
like(KmsBuild::fails($spaced, 'all'),
	qr/make cannot build in "\Q$spaced\E", because the path has a space/,
	'a tree whose path has a space is refused');
like(KmsBuild::fails(KmsBuild::directory('b c'), '-f', "$tree/Makefile"),
	qr/make cannot build in ".*b c", because the path has a space/,
	'a directory whose path has a space is refused');
foreach my $arguments ([], ["VPATH=$spaced"])
{
	is_refused(qr/is not the tree of kms; its path must not have a space/,
		'the path of the tree must have no space',
		$build, '-f', "$spaced/Makefile", @$arguments);
}

done_testing();
