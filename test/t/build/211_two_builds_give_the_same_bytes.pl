# A build in the tree, and one in another directory, of a copy of the tree with
# another name that nobody can write to, install the same files with the same
# bytes.  No build leaves anything behind that it does not remove.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsBuild;
use Test::More;

my $here  = KmsBuild::copy_tree('here');
my $there = KmsBuild::copy_tree('a-name-of-another-length/kms-1.0');
my $build = KmsBuild::directory('build-15');
my $link  = KmsBuild::directory('links') . '/build';
symlink $build, $link or die "$link: $!";
my @out_of_tree = ('-f', "$there/Makefile", "VPATH=$there", 'USE_PGXS=1');
my %installed = map { $_ => KmsBuild::directory("installed-$_") } qw(here there);

my @files_here = KmsBuild::files($here);
KmsBuild::succeeds($here, '-j2', 'all');
KmsBuild::succeeds($here, 'install', "DESTDIR=$installed{here}");

# As pg_buildext does, and from a directory that has two names.
system('chmod', '-R', 'a-w', $there) == 0 or die 'chmod';
my @files_there = KmsBuild::files($there);
{
	local $ENV{TZ}    = 'Pacific/Kiritimati';
	local $ENV{PWD}   = $link;
	local $ENV{LC_ALL} = 'C.UTF-8';
	umask 0027;
	KmsBuild::succeeds($link, '-j2', @out_of_tree);
	umask 0022;
	KmsBuild::succeeds($link, @out_of_tree, 'install', "DESTDIR=$installed{there}");
}
is_deeply([ KmsBuild::files($there) ], \@files_there,
	'a build in another directory leaves the tree as it is');

# ---- What is installed -----------------------------------------------------

my @installed = KmsBuild::files($installed{here});
my $config = KmsBuild::config();
is_deeply(
	\@installed,
	[ sort map { substr $_, 1 } "$config->{PKGLIBDIR}/kms.so",
		"$config->{BINDIR}/kms_ring", "$config->{BINDIR}/kms-master-key",
		map { "$config->{SHAREDIR}/extension/$_" } 'kms.control',
		map { s{.*/}{}r } glob "$here/sql/kms--*.sql" ],
	'the library, the programs and the SQL are installed under DESTDIR, and no bitcode');
is_deeply([ KmsBuild::files($installed{there}) ], \@installed, 'both builds install the same files');
foreach my $file (@installed)
{
	my $bytes = KmsBuild::contents("$installed{here}/$file");
	ok($bytes eq KmsBuild::contents("$installed{there}/$file"),
		"both builds give the same bytes: " . $file =~ s{.*/}{}r);
	unlike($bytes, qr/\Q$here\E|\Q$there\E|\Q$build\E|\Q$link\E/,
		'it names no directory of a build: ' . $file =~ s{.*/}{}r);
}

# ---- What is removed -------------------------------------------------------

my $bitcode = "$installed{here}$config->{PKGLIBDIR}/bitcode";
sub leave_bitcode
{
	system('mkdir', '-p', "$bitcode/kms/src", "$bitcode/other") == 0 or die 'mkdir';
	system('touch', "$bitcode/kms.index.bc", "$bitcode/kms/src/kms.bc",
		"$bitcode/other/of_others.bc") == 0 or die 'touch';
	return;
}
my $others = substr("$config->{PKGLIBDIR}/bitcode/other/of_others.bc", 1);

leave_bitcode();
KmsBuild::succeeds($here, 'install', "DESTDIR=$installed{here}");
is_deeply([ KmsBuild::files($installed{here}) ], [ sort @installed, $others ],
	'the bitcode of an earlier installation is removed');
leave_bitcode();
KmsBuild::succeeds($here, 'uninstall', "DESTDIR=$installed{here}");
is_deeply([ KmsBuild::files($installed{here}) ], [$others], 'all of it is removed by uninstall');

# ---- What is built again ---------------------------------------------------

# Return how many files make compiles.
sub compiled
{
	return scalar(() = KmsBuild::succeeds(@_) =~ / -c -o /g);
}

is(compiled($here, 'all'), 0, 'nothing is compiled twice');
# All the rest without a compiler.
my @nothing = ('CC=true', 'MULTI_BUFFER=no');
cmp_ok(compiled($here, @nothing, 'VERSION=99.9'), '>', 200, 'all is compiled for another PostgreSQL');
cmp_ok(compiled(KmsBuild::directory('third'), '-f', "$here/Makefile", @nothing),
	'>', 200, 'another directory does not take what is built in the tree');

# ---- What is left ----------------------------------------------------------

KmsBuild::succeeds($here, 'distclean');
is_deeply([ KmsBuild::files($here) ], \@files_here, 'distclean leaves the tree as it was');
KmsBuild::succeeds($link, @out_of_tree, 'clean');
is_deeply([ KmsBuild::files($build) ], [], 'clean leaves nothing in another directory');

system('chmod', '-R', 'u+w', $there);
done_testing();
