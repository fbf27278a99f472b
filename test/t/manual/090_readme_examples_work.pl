# The examples of README.md and of the pages of docs/ work as shown.
#
# Blocks that follow a line "<!-- test -->" are run in order: sql (one session
# for those that follow each other), sh, and programs of clients, which print
# a ciphertext of 4711 for the key in the file key_id.  "<!-- test KM001 -->"
# says that the block's last statement fails with this SQLSTATE.  A block
# "text" behind a block of sql is what psql prints.
#
# Each page begins with an empty database "app" and without roles.  If it says
# that it goes on from another page, the blocks of that page are run first.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Find;
use File::Spec::Functions qw(abs2rel canonpath catfile);
use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../../..";
my $node = KmsTest->node('manual', conf => 'kms.audit_checkpoint_interval = 1s');
my $dir = PostgreSQL::Test::Utils::tempdir();

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'app';
local $ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT session_user');
local $ENV{KMS_TREE} = $top;

# The command that runs the program of a client, and one that fails if the client
# cannot be run here.
my %client = (
	js => { run => [ 'node', '-e' ], need => [ 'node', '--version' ] },
	python => {
		run => [ 'python3', '-c' ],
		need => [ 'python3', '-c', 'import cryptography' ]
	});

# Wait for what the examples of a page need and a reader has after a minute.
my %wait_for = ('docs/operate/trail.md' =>
	  "SELECT count(*) > 0 FROM kms_audit_checkpoints() WHERE kind = 'checkpoint'");

my @paths = ('README.md');
find({ wanted => sub { push @paths, abs2rel($_, $top) if /\.md$/ }, no_chdir => 1 },
	"$top/docs");
my %pages = map { $_ => read_page($_) } @paths;
my $count = 0;

foreach my $path (sort @paths)
{
	my $page = $pages{$path};
	next unless @{ $page->{blocks} };
	$count += @{ $page->{blocks} };
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS app WITH (FORCE)');
	$node->safe_psql('postgres', "SELECT format('DROP ROLE %I', rolname) FROM pg_roles
		WHERE NOT rolsuper AND rolname !~ '^pg_' \\gexec");
	$node->safe_psql('postgres', 'CREATE DATABASE app');
	run_page($path);
}
cmp_ok($count, '>', 30, 'there are examples');

$node->stop;
done_testing();

# ---- Pages ---------------------------------------------------------------

sub read_page
{
	my $path = shift;
	my $text = slurp_file("$top/$path");
	my ($after) = $text =~ /\bcontinue from\s+\[[^\]]*\]\(([^)#]+)\)/;
	my (@blocks, $marks);

	while ($text =~
		/^( *)<!-- test(?: (\w{5}))? -->\n\1```(sql|sh|js|python)\n(.*?)^\1```$(?:\n\n\1```text\n(.*?)^\1```$)?/gms)
	{
		my ($indent, $state, $kind, $block, $output) = ($1, $2, $3, $4, $5);
		my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
		$block =~ s/^$indent//gm;
		push @blocks,
		  { state => $state, kind => $kind, text => $block, output => $output, name => "$path:$line" };
	}
	$marks = () = $text =~ /^ *<!-- test/gm;
	is(scalar(@blocks), $marks, "$path: each mark stands before a block that can be run");
	return {
		blocks => \@blocks,
		after => defined $after ? resolve(dirname($path), $after) : undef
	};
}

# A path of the tree, from a link in a page of this folder.
sub resolve
{
	my ($folder, $link) = @_;
	my $path = canonpath(catfile($folder, $link));

	1 while $path =~ s{(?:^|(?<=/))(?!\.\./)[^/]+/\.\./}{};
	return $path;
}

sub run_page
{
	my $path = shift;
	my @chain;

	for (my $at = $path; defined $at; $at = $pages{$at}{after})
	{
		die "$at: there is no such page\n" unless $pages{$at};
		die "$at: goes on from itself\n" if grep { $_ eq $at } @chain;
		unshift @chain, $at;
	}
	my @blocks = map { @{ $pages{$_}{blocks} } } @chain;
	while (@blocks)
	{
		my $client = $client{ $blocks[0]{kind} };
		if ($client)
		{
			run_client($client, shift @blocks);
		}
		elsif ($blocks[0]{kind} eq 'sh')
		{
			my $block = shift @blocks;
			my $output;
			if ($wait_for{$path})
			{
				KmsTest::poll(sub { $node->safe_psql('app', $wait_for{$path}) eq 't' });
			}
			my $ok = run_in_dir([ 'bash', '-eu', '-o', 'pipefail', '-c',
					$block->{text} ], '', \$output);
			ok($ok, "sh, $block->{name}") or diag($output);
		}
		else
		{
			# One session for all the blocks of sql that follow each other.
			my @session;
			push @session, shift @blocks while @blocks && $blocks[0]{kind} eq 'sql';
			run_session(@session);
		}
	}
}

sub run_client
{
	my ($client, $block) = @_;
	my $ignored;
	my $there = eval { run_in_dir($client->{need}, '', \$ignored) };

  SKIP:
	{
		skip "$block->{kind} is not installed here", 1 unless $there;

		my $ciphertext;
		run_in_dir([ @{ $client->{run} }, $block->{text} ], '', \$ciphertext);
		my $key_id = slurp_file("$dir/key_id");
		chomp($key_id, $ciphertext);
		is( $node->safe_psql(
				'app', "SELECT kms_try_decrypt('$key_id', '$ciphertext')"),
			'4711', "$block->{kind}, $block->{name}");
	}
}

sub run_session
{
	my @session = @_;
	my $script = '';
	my $output;

	foreach my $i (0 .. $#session)
	{
		my $state = $session[$i]{state};
		$script .= "\\set ON_ERROR_STOP " . ($state ? 0 : 1) . "\n";
		$script .= "\\echo begin:$i\n$session[$i]{text}";
		$script .= "\n\\echo done:$i:" . ($state ? ':SQLSTATE' : '00000') . "\n";
	}
	run_in_dir([ 'psql', '-X', '-q' ], $script, \$output);
	foreach my $i (0 .. $#session)
	{
		my $expected = $session[$i]{state} || '00000';
		my ($state) = $output =~ /^done:$i:(\w*)$/m;
		is(defined $state ? $state : 'not reached',
			$expected, "sql, $session[$i]{name}")
		  or diag($output);
		next unless defined $session[$i]{output};

		my ($printed) = $output =~ /^begin:$i\n(.*?)\ndone:$i:/ms;
		is(join("\n", map { s/\s+$//r } split /\n/, $printed // ''),
			join("\n", split /\n/, $session[$i]{output}), "$session[$i]{name} prints what is shown");
	}
}

sub run_in_dir
{
	my ($command, $input, $output) = @_;
	return IPC::Run::run($command, '<', \$input, '>&', $output,
		init => sub { chdir $dir or die "$dir: $!" });
}
