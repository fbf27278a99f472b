# Copies of the tree, and make in them, with the compiler and not its cache.
#
#   my $tree = KmsBuild::copy_tree('name');
#   my $output = KmsBuild::succeeds($tree, '-j2', 'all');
#   my $errors = KmsBuild::fails($tree, 'all', 'no sources');
package KmsBuild;

use strict;
use warnings;

use Cwd qw(realpath);
use File::Find qw(find);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use IPC::Run;
use Test::More;

my $top = realpath("$FindBin::Bin/../../..");
my $tmp = realpath(tempdir('kms-build.XXXXXX', TMPDIR => 1, CLEANUP => 1));

# The make that runs the tests must not reach ours.
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES VPATH DESTDIR COPT CFLAGS with_llvm)};
$ENV{CCACHE_DISABLE} = 1;

# Make a directory of this test; return its path.
sub directory
{
	my $path = "$tmp/" . shift;
	make_path($path);
	return $path;
}

# Copy the tree without what is built; return the path of the copy.
sub copy_tree
{
	my $path = directory(shift);
	IPC::Run::run([ "$top/test/copy-tree", $path ]) or die 'test/copy-tree';
	return $path;
}

# Return what pg_config says, by the names that it prints.
sub config
{
	IPC::Run::run([ $ENV{PG_CONFIG} // 'pg_config' ], '>', \my $output) or die 'pg_config';
	return { $output =~ /^([A-Z-]+) = (.*)$/mg };
}

# Return the names of all files and links below a directory, relative to it.
sub files
{
	my $directory = shift;
	my @found;
	find({ no_chdir => 1, wanted => sub { push @found, $_ unless -d && !-l } }, $directory);
	return sort map { substr $_, 1 + length $directory } @found;
}

sub contents
{
	my $path = shift;
	open my $file, '<:raw', $path or die "$path: $!";
	local $/;
	return <$file>;
}

sub make
{
	my ($directory, @arguments) = @_;
	my $good = IPC::Run::run([ 'make', '-C', $directory,
			"PG_CONFIG=" . ($ENV{PG_CONFIG} // 'pg_config'), @arguments ],
		'<', \undef, '>&', \my $output);
	return ($good, $output);
}

sub describe
{
	return 'make ' . join ' ', map { s/^\Q$tmp\E\///r =~ s/=\Q$tmp\E\//=/r } @_;
}

# Run make in a directory; it must succeed.  Return its output.
sub succeeds
{
	my ($directory, @arguments) = @_;
	my ($good, $output) = make($directory, @arguments);
	ok($good, describe('-C', $directory, @arguments) . ' succeeds') or diag($output);
	return $output;
}

# Run make in a directory; it must fail.  Return its output.
sub fails
{
	my ($directory, @arguments) = @_;
	my ($good, $output) = make($directory, @arguments);
	ok(!$good, describe('-C', $directory, @arguments) . ' fails');
	return $output;
}

1;
