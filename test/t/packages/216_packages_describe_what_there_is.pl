# META.json is valid, the archive for PGXN holds the tree, the RPM spec parses,
# and debian/control is what debian/control.in gives.  test/package builds the
# Debian packages.
use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = abs_path("$FindBin::Bin/../../..");
my ($version) = slurp_file("$tree/kms.control") =~ /^default_version = '(.*)'/m;
my $long = $version =~ /^\d+\.\d+$/ ? "$version.0" : $version;

sub has
{
	return system("command -v $_[0] >/dev/null 2>&1") == 0;
}

# Return what a command prints, or die.
sub output_of
{
	my (@command) = @_;
	my ($output, $errors) = ('', '');
	IPC::Run::run(\@command, '<', \undef, '>', \$output, '2>', \$errors) or die "@command: $errors";
	return $output;
}

# ---- META.json, by the PGXN Meta Spec 1.0.0 -------------------------------

my $meta = decode_json(slurp_file("$tree/META.json"));
my $term = qr/\A[^\s\/\\\p{Cntrl}]{2,}\z/;
my $semver = qr/\A(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-?[A-Za-z][\w-]*)?\z/;

my %known = map { $_ => 1 } qw(abstract description generated_by license maintainer
  meta-spec name no_index prereqs provides release_status resources tags version);
is(join(' ', grep { !$known{$_} && !/^x_/i } sort keys %$meta), '', 'META.json has no unknown key');
like($meta->{name}, $term, 'name is a term');
like($meta->{version}, $semver, 'version is a semantic version');
is($meta->{version}, $long, 'version is that of kms.control');
ok(length $meta->{$_}, "$_ is there") foreach qw(abstract maintainer description);
is($meta->{license}, 'postgresql', 'license is one that the specification lists');
like($meta->{release_status}, qr/\A(?:stable|testing|unstable)\z/, 'release_status');
is($meta->{'meta-spec'}{version}, '1.0.0', 'version of the specification');
is(join(' ', keys %{ $meta->{provides} }), 'kms', 'one extension is provided');
my $kms = $meta->{provides}{kms};
is($kms->{version}, $long, 'version of the extension');
ok(-f "$tree/$kms->{$_}", "$_ of the extension exists") foreach qw(file docfile);
foreach my $phase (values %{ $meta->{prereqs} })
{
	like($_, $semver, 'version of a prerequisite') foreach map { values %$_ } values %$phase;
}
ok(!(grep { !length || length > 255 || m{[/\\\p{Cntrl}]} } @{ $meta->{tags} }), 'tags are tags');

# ---- The archive for PGXN --------------------------------------------------

SKIP:
{
	skip 'git or unzip is missing', 8 unless has('git') && has('unzip');
	my $copy = PostgreSQL::Test::Utils::tempdir() . '/tree';
	my @git = ('git', '-C', $copy, '-c', 'user.name=a', '-c', 'user.email=a@example.org');
	local $ENV{GIT_CONFIG_GLOBAL} = '/dev/null';

	mkdir $copy or die "$copy: $!";
	output_of('sh', '-c', 'cd "$1" && tar --exclude=./build --exclude=./tmp_check --exclude=./log --exclude=.git -cf - . | tar -C "$2" -xf -',
		'copy', $tree, $copy);
	output_of(@git, @$_)
	  foreach [qw(init -q)], [qw(add -A)],
	  [qw(commit -q -m all --date=2026-01-01T00:00:00Z)];
	chomp(my $name = output_of("$copy/packaging/dist"));
	is($name, "build/kms-$long.zip", 'the archive is named by the version');
	my @files = split /\n/, output_of('unzip', '-Z1', "$copy/$name");
	is(join(' ', grep { !m{^kms-\Q$long\E/} } @files), '', 'all of it is in a folder of that name');
	my %files = map { s{^kms-\Q$long\E/}{}r => 1 } @files;
	is(join(' ', grep { !$files{$_} } qw(META.json Makefile LICENSE README.md kms.control src/kms.c debian/rules),
			$kms->{file}, $kms->{docfile}), '', 'each of the files that PGXN and users need is there');
	is(join(' ', grep { m{\.(?:o|so|bc|d)$|^build/|^\.git/} } keys %files), '', 'nothing that was built is there');
	is(output_of('unzip', '-p', "$copy/$name", "kms-$long/META.json"),
		slurp_file("$tree/META.json"), 'META.json is complete');
	my $first = slurp_file("$copy/$name");
	unlink "$copy/$name";
	{
		local $ENV{TZ} = 'Asia/Tokyo';
		output_of("$copy/packaging/dist");
	}
	ok($first eq slurp_file("$copy/$name"), 'the same commit gives the same bytes, also elsewhere');
	append_to_file("$copy/README.md", "changed\n");
	my ($out, $errors) = ('', '');
	IPC::Run::run([ "$copy/packaging/dist" ], '>', \$out, '2>', \$errors);
	like($errors, qr/not committed are left out/, 'a change that is not committed is reported');
	ok($first eq slurp_file("$copy/$name"), 'and is left out');
}

# ---- The RPM spec ----------------------------------------------------------

SKIP:
{
	skip 'there is no rpmspec', 6 unless has('rpmspec');
	my $home = PostgreSQL::Test::Utils::tempdir();
	local $ENV{HOME} = $home;
	foreach my $major (15, 17)
	{
		my $parsed = output_of('rpmspec', '-P', "$tree/packaging/kms.spec", '-D', "pgmajorversion $major");
		like($parsed, qr/^Name:\s+kms_$major$/m, "the spec parses for PostgreSQL $major");
		like($parsed, qr{PG_CONFIG=/usr/pgsql-$major/bin/pg_config}, 'that PostgreSQL is used');
		unlike($parsed, qr/%\{(?!_)/, 'no macro is left unknown');
	}
}

# ---- debian/ ---------------------------------------------------------------

# The committed one is for the PostgreSQL of Debian 12.  "pg_buildext
# updatecontrol" makes those of other versions.
is(slurp_file("$tree/debian/control"), slurp_file("$tree/debian/control.in") =~ s/PGVERSION/15/gr,
	'debian/control is made from debian/control.in');
SKIP:
{
	skip 'there is no dpkg-parsechangelog', 2 unless has('dpkg-parsechangelog');
	my $entry = output_of('dpkg-parsechangelog', '-l', "$tree/debian/changelog", '--all');
	like($entry, qr/^Version: \Q$version\E[-~]/m, 'version in debian/changelog');
	like($entry, qr/^Source: postgresql-kms$/m, 'name of the source package');
}

done_testing();
