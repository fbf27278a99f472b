# What README.md shows can be done as it is shown, and its reference has what
# the extension has.
#
# Blocks that follow a line "<!-- test -->" are run in order: sql (one session
# for those that follow each other), sh, and programs of clients, which print
# a ciphertext of 4711 for the key in the file key_id.  "<!-- test KM001 -->"
# says that the block's last statement fails with this SQLSTATE.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use IPC::Run;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $readme = slurp_file("$top/README.md");
my $node = KmsTest->node('readme');
my $dir = PostgreSQL::Test::Utils::tempdir();

# ---- Examples ------------------------------------------------------------

my (@blocks, $count);
while ($readme =~
	/^<!-- test(?: (\w{5}))? -->\n```(sql|sh|js|python)\n(.*?)^```$/gms)
{
	my $line = 1 + (substr($readme, 0, $-[0]) =~ tr/\n//);
	push @blocks,
	  { state => $1, kind => $2, text => $3, name => "block at line $line" };
}
$count = () = $readme =~ /^<!-- test/gm;
is(scalar(@blocks), $count, 'each mark stands before a block that can be run');
cmp_ok($count, '>', 15, 'there are examples');

$node->safe_psql('postgres', 'CREATE DATABASE app');
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'app';
local $ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT session_user');
local $ENV{KMS_TREE} = $top;

# How to run a client's program, and what it needs to be there.
my %client = (
	js => { run => [ 'node', '-e' ], need => [ 'node', '--version' ] },
	python => {
		run => [ 'python3', '-c' ],
		need => [ 'python3', '-c', 'import cryptography' ]
	});

while (@blocks)
{
	my $client = $client{ $blocks[0]{kind} };
	if ($client)
	{
		my $block = shift @blocks;
	  SKIP:
		{
			my $ignored;
			my $there = eval { run_in_dir($client->{need}, '', \$ignored) };
			skip "$block->{kind} is not installed here", 1 unless $there;

			my $ciphertext;
			run_in_dir([ @{ $client->{run} }, $block->{text} ], '', \$ciphertext);
			my $key_id = slurp_file("$dir/key_id");
			chomp($key_id, $ciphertext);
			is( $node->safe_psql(
					'app', "SELECT kms_try_decrypt('$key_id', '$ciphertext')"),
				'4711', "$block->{kind}, $block->{name}");
		}
		next;
	}
	if ($blocks[0]{kind} eq 'sh')
	{
		my $block = shift @blocks;
		my $output;
		my $ok = run_in_dir([ 'bash', '-eu', '-o', 'pipefail', '-c',
				$block->{text} ], '', \$output);
		ok($ok, "sh, $block->{name}") or diag($output);
		next;
	}

	# One session for all the blocks of sql that follow each other.
	my @session;
	push @session, shift @blocks while @blocks && $blocks[0]{kind} eq 'sql';
	my $script = '';
	foreach my $i (0 .. $#session)
	{
		my $state = $session[$i]{state};
		$script .= "\\set ON_ERROR_STOP " . ($state ? 0 : 1) . "\n";
		$script .= $session[$i]{text};
		$script .= "\n\\echo done:$i:" . ($state ? ':SQLSTATE' : '00000') . "\n";
	}
	my $output;
	run_in_dir([ 'psql', '-X', '-q' ], $script, \$output);
	foreach my $i (0 .. $#session)
	{
		my $expected = $session[$i]{state} || '00000';
		my ($state) = $output =~ /^done:$i:(\w*)$/m;
		is(defined $state ? $state : 'not reached',
			$expected, "sql, $session[$i]{name}")
		  or diag($output);
	}
}

# ---- The reference -------------------------------------------------------

# The rows of the tables between one heading and the next of its level.
sub section
{
	my ($heading) = @_;
	my ($text) = $readme =~ /^### \Q$heading\E\n(.*?)(?=^##)/ms;
	ok(defined $text, "README has a section \"$heading\"");
	return defined $text ? $text : '';
}

sub rows
{
	my ($db, $sql) = @_;
	return map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql($db, $sql);
}

my $of_extension = q{(SELECT objid FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kms'))};

# Functions: in the table of functions with the names of all arguments.
my %functions;
my $functions = section('Functions');
foreach (rows('app',
		qq{SELECT p.proname, n.nspname, array_to_string(p.proargnames[1:p.pronargs], ' ')
		FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE p.oid IN $of_extension}))
{
	my ($name, $schema, $arguments) = @$_;
	$functions{ $schema eq 'kms' ? "kms.$name" : $name } = 1;
	next if $schema eq 'kms';
	my ($signature) = $functions =~ /^\| `$name\(([^`]*)\)/m;
	ok(defined $signature, "$name() is in the reference") or next;
	my @missing = grep { $signature !~ /\b$_\b/ } split / /, $arguments;
	is("@missing", '', "$name(): all arguments are named");
}
my @listed = $functions =~ /^\| `(kms_\w+)\(/mg;
my %seen;
is_deeply([ grep { $seen{$_}++ || !$functions{$_} } @listed ],
	[], 'the reference has no other function');

# Settings: name, default and who may set it.
my %settings;
my $settings = section('Settings');
my %context = (postmaster => 'restart', sighup => 'reload',
	superuser => 'superuser', user => 'anybody');
foreach (rows('postgres',
		q{SELECT s.name, current_setting(s.name), s.context
		FROM pg_settings AS s WHERE s.name LIKE 'kms.%'}))
{
	my ($name, $value, $context) = @$_;
	$settings{$name} = 1;
	my ($default, $when) =
	  $settings =~ /^\| `\Q$name\E` \| ([^|]*) \| [^|]* \| (\w+) \|/m;
	ok(defined $default, "$name is in the reference") or next;
	$default =~ s/`//g;
	is($default =~ s{^empty$}{}r, $value, "$name: default") unless $name =~ /_file$/;
	is($when, $context{$context}, "$name: who may set it");
}

# Tables and views: all columns in the row of each.
my %relations;
my $relations = section('Tables and views');
foreach (rows('app',
		qq{SELECT c.relname, string_agg(a.attname, ' ' ORDER BY a.attnum)
		FROM pg_class AS c JOIN pg_attribute AS a
		ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.oid IN $of_extension AND c.relkind IN ('r', 'v') GROUP BY 1}))
{
	my ($name, $columns) = @$_;
	$relations{"kms.$name"} = 1;
	my ($row) = $relations =~ /^\| `kms\.$name` \|(.*)$/m;
	ok(defined $row, "kms.$name is in the reference") or next;
	my @missing = grep { $row !~ /`$_`/ } split / /, $columns;
	is("@missing", '', "kms.$name: all columns are named");
}

# SQLSTATEs of our own.
my $errors = section('Errors');
my $source = slurp_file("$top/src/pg/errors.c");
foreach ($source =~ /MAKE_SQLSTATE\('K', 'M', '0', '0', '(\d)'\)/g)
{
	like($errors, qr/^\| `KM00$_` \|/m, "KM00$_ is in the reference");
}

# Operations of events.
my $operations = section('Events');
$source = slurp_file("$top/src/shmem/ring.h");
foreach ($source =~ /^\tKMS_OP_(\w+) = \d/mg)
{
	my $name = lc $_;
	next if $name =~ /^(?:verify|disable|enable|revoke|schedule_deletion|cancel_deletion|destroy)$/;
	like($operations, qr/`$name`/, "operation $name is in the reference");
}

# Nothing is named that is not there.
my %roles = map { $_ => 1 }
  slurp_file("$top/examples/grants.sql") =~ /\bTO (kms_\w+);/g;
my %programs = map { s{.*/|\.c$}{}gr => 1 } glob "$top/src/tools/*.c";
my %strange;
foreach ($readme =~ /\b(kms_[a-z_]+)\b/g)
{
	$strange{$_} = 1
	  unless $functions{$_} || $roles{$_} || $programs{$_};
}
foreach ($readme =~ /\b(kms\.[a-z_]+)\b/g)
{
	$strange{$_} = 1
	  unless $settings{$_} || $relations{$_} || $functions{$_} ||
	  /^kms\.(?:so|control)$/;
}
is(join(' ', sort keys %strange), '', 'README names nothing that is not there');

# Its grants are those of examples/grants.sql.
sub grants
{
	my ($text) = @_;
	$text =~ s/^--.*$//mg;
	$text =~ s/\s+/ /g;
	return [ sort $text =~ /(GRANT (?:EXECUTE|USAGE|SELECT) [^;]* TO kms_\w+;)/g ];
}
my @shown = $readme =~ /^```sql\n(.*?)^```$/gms;
is_deeply(grants(join "\n", @shown),
	grants(slurp_file("$top/examples/grants.sql")),
	'the grants are those of examples/grants.sql');

$node->stop;
done_testing();

# ---- Tools ---------------------------------------------------------------

sub run_in_dir
{
	my ($command, $input, $output) = @_;
	return IPC::Run::run($command, '<', \$input, '>&', $output,
		init => sub { chdir $dir or die "$dir: $!" });
}
