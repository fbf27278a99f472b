# kms-master-key makes a file that the server accepts, replaces none, leaves
# nothing behind if it fails, and says by its exit status what happened.  Calls
# by root are in test/package.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $packaging = "$FindBin::Bin/../../../packaging";
my $program = "$packaging/kms-master-key";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $me = getpwuid $>;
my $n = 0;

# Return the exit status, and what was printed.
sub make
{
	my (@arguments) = @_;
	my ($output, $errors) = ('', '');
	IPC::Run::run([ $program, @arguments ], '<', \undef, '>', \$output, '2>', \$errors);
	return ($? >> 8, $output, $errors);
}

sub is_refused
{
	my ($status, $reason, $name, @arguments) = @_;
	my ($got, $output, $errors) = make(@arguments);
	is($got, $status, "$name: exit status $status");
	like($errors, qr/^kms-master-key: $reason$/m, "$name: says why");
	is($output, '', "$name: does not claim to have made a file");
}

sub mode
{
	return sprintf '%04o', (stat shift)[2] & 07777;
}

# Return a new directory with this mode.
sub directory
{
	my ($mode) = @_;
	my $new = "$dir/directory" . ++$n;
	mkdir $new or die "$new: $!";
	chmod $mode, $new or die "$new: $!";
	return $new;
}

sub files_in
{
	opendir my $handle, shift or die $!;
	return join ' ', sort grep { !/^\.\.?$/ } readdir $handle;
}

# A program that is found before the real one.
sub stand_in
{
	my ($name, $script) = @_;
	my $bin = directory(0700);
	open my $file, '>', "$bin/$name" or die "$bin/$name: $!";
	print $file "#!/bin/sh\n$script\n";
	close $file or die "$bin/$name: $!";
	chmod 0700, "$bin/$name" or die "$bin/$name: $!";
	return "$bin:$ENV{PATH}";
}

# ---- What is made --------------------------------------------------------

my $file = "$dir/it's new/master.key";
my ($status, $output, $errors) = make($file);
is($status, 0, 'a new file in a new directory: exit status 0');
is($errors, '', 'nothing is on standard error');
like(slurp_file($file), qr/\A[0-9a-f]{64}\n\z/, '64 hexadecimal digits');
is(mode($file), '0600', 'mode of the file');
is(mode("$dir/it's new"), '0700', 'mode of the new directory');
is(files_in("$dir/it's new"), 'master.key', 'nothing else is left there');

# The printed line is taken as it stands.
my ($setting) = $output =~ /^ +(kms\.master_key_file = .*)$/m;
my $node = KmsTest->node('made', master_key => undef, conf => $setting);
is($node->safe_psql('postgres', 'CREATE EXTENSION kms; SELECT status FROM kms_master_key_status()'),
	'current', 'the server accepts the file, by the setting that was printed');
unlike(KmsClient::findings($node, 'postgres'), qr/master key/, 'kms_check() has no complaint about it');

my $second = directory(0755) . '/key';
is((make('--owner', $me, '--', $second))[0], 0, 'the own name as owner');
isnt(slurp_file($second), slurp_file($file), 'two keys differ');

# ---- What is never replaced ----------------------------------------------

my $before = slurp_file($file);
is_refused(3, '.* exists already', 'a file', $file);
is(slurp_file($file), $before, 'the file is as before');
my $place = directory(0700);
symlink "$place/nowhere", "$place/link" or die $!;
is_refused(3, '.* exists already', 'a dangling link', "$place/link");
mkdir "$place/made" or die $!;
is_refused(3, '.* exists already', 'a directory', "$place/made");
is(files_in($place), 'link made', 'nothing came of it');

my $contested = directory(0700);
my @runs = map { my $out = ''; IPC::Run::start([ $program, "$contested/key" ], '<', \undef, '>&', \$out) } 1 .. 8;
$_->finish foreach @runs;
is(join(' ', sort map { $_->full_result >> 8 } @runs), '0 3 3 3 3 3 3 3', 'of eight at once, one makes the file');
is(files_in($contested), 'key', 'the others leave nothing');
like(slurp_file("$contested/key"), qr/\A[0-9a-f]{64}\n\z/, 'the file is complete');

# ---- Arguments and places ------------------------------------------------

is_refused(2, 'unknown option --force; see .*', 'an unknown option', '--force', "$place/key");
is_refused(2, '--owner needs the name of a user', 'no owner', '--owner');
is_refused(2, 'only one file can be made', 'two paths', "$place/a", "$place/b");
is_refused(2, 'key is not an absolute path', 'a relative path', 'key');
is_refused(2, '.* is not the name of a file', 'no name', "$place/");
is_refused(2, '.* is not the name of a file', 'a name that is no file', "$place/..");
is_refused(2, 'the path has a control character', 'a line break', "$place/a\nb");
is_refused(1, 'there is no user nobody-has-this-name', 'an unknown owner',
	'--owner=nobody-has-this-name', "$place/key");
is_refused(1, 'the directory above .* does not exist', 'two directories that do not exist', "$place/a/b/key");
SKIP:
{
	skip 'root may do this', 6 if $> == 0;
	is_refused(1, 'only root can make a file for user root', 'another owner', '-o', 'root', "$place/key");
	my $closed = directory(0500);
	is_refused(1, "no file can be made in \Q$closed\E", 'a directory that is not writable', "$closed/key");
}
is_refused(4, 'users other than the owner of .* can write there',
	sprintf('a directory of mode %04o', $_), directory($_) . '/key')
  foreach 0770, 0707, 01777;
sub below
{
	my ($mode) = @_;
	my $below = directory($mode) . '/below';
	mkdir $below, 0700 or die "$below: $!";
	return "$below/key";
}
is_refused(4, 'users other than the owner of .* can write there',
	'a directory that others can rename', below(0770));
my $data = $node->data_dir;
is_refused(4, '.* is a data directory, so backups of it would contain the key',
	'in the data directory', "$data/master.key");
is_refused(4, '.* is a data directory, .*', 'below it, in a new directory', "$data/kms/master.key");
symlink $data, "$place/data" or die $!;
is_refused(4, '.* is a data directory, .*', 'through a link', "$place/data/global/master.key");
mkdir "$place/PG_15_202209061" or die $!;
is_refused(4, '.* is in a tablespace, so backups would contain the key',
	'in a tablespace', "$place/PG_15_202209061/master.key");
ok(!-e "$data/master.key", 'nothing is in the data directory');

# ---- Failures ------------------------------------------------------------

foreach my $case (
	[ 'openssl fails', 'exit 1', 'openssl made no random bytes' ],
	[ 'openssl prints too little', 'echo 00ff', 'openssl printed something else than 64 hexadecimal digits' ],
	[
		'openssl prints two lines',
		'echo 0000000000000000000000000000000000000000000000000000000000000000; echo x',
		'openssl printed something else .*'
	])
{
	my ($name, $script, $reason) = @$case;
	my $empty = directory(0700);
	local $ENV{PATH} = stand_in('openssl', $script);
	is_refused(1, $reason, $name, "$empty/key");
	is(files_in($empty), '', "$name: nothing is left");
}
{
	my $empty = directory(0700);
	local $ENV{PATH} = stand_in('sync', 'exit 1');
	is_refused(1, 'the file cannot be synced', 'the disk fails', "$empty/key");
	is(files_in($empty), '', 'the disk fails: nothing is left');
}
{
	# Each stand-in notes the moment by what the directory has.
	my $order = directory(0700);
	my $notes = "$dir/synced";
	local $ENV{PATH} = stand_in('sync', qq{ls "$order" | grep -c '^key\$' >>"$notes"; shift; [ -e "\$1" ] && echo "\${1#$order}" >>"$notes"; exec /bin/sync "\$@"});
	is((make("$order/key"))[0], 0, 'the file is synced: exit status 0');
	like(slurp_file($notes), qr{\A0\n/\.kms-master-key\.\w+\n1\n\n\z},
		'the file is synced before it has its name, and its directory afterwards');
}
{
	# A stop in the middle, and the mode of what is there at that moment.
	my $stopped = directory(0700);
	my $ready = "$dir/ready";
	local $ENV{PATH} = stand_in('openssl', qq{echo secret; echo >"$ready"; exec sleep 1000});
	my $out = '';
	my $run = IPC::Run::start([ $program, "$stopped/key" ], '<', \undef, '>&', \$out);
	ok(KmsTest::poll(sub { -e $ready }), 'the key is being written');
	my ($temporary) = glob "$stopped/.kms-master-key.*";
	is(mode($temporary), '0600', 'only its owner can read the temporary file');
	ok(!-e "$stopped/key", 'the file does not exist yet');
	my ($pid) = map { $_->{PID} } @{ $run->{KIDS} };
	my ($child) = split ' ', slurp_file("/proc/$pid/task/$pid/children");
	kill 'TERM', $pid, $child;
	$run->finish;
	isnt($run->full_result, 0, 'terminated: fails');
	is(files_in($stopped), '', 'terminated: nothing is left');
}
{
	# The shell's trace has each argument of each command.
	my $traced = directory(0700);
	my $trace = '';
	IPC::Run::run([ '/bin/sh', '-x', $program, "$traced/key" ], '<', \undef, '>&', \$trace);
	chomp(my $key = slurp_file("$traced/key"));
	like($trace, qr/^\+ ln /m, 'the trace has the commands');
	unlike($trace, qr/\Q$key\E/, 'the key is no argument of a command');
}

# ---- Help ----------------------------------------------------------------

($status, $output) = make('--help');
is($status, 0, '--help: exit status 0');
my $page = slurp_file("$packaging/kms-master-key.1") =~ s/\\-/-/gr;
my @named = $output =~ /^ +(-\w), (--\w+)/mg;
push @named, $output =~ /^  (\d)  /mg;
is(scalar @named, 9, '--help names two options and five exit statuses');
like($page, qr/^\.B\w* .*\Q$_\E\b/m, "the manual page names $_") foreach @named;

$node->stop;
done_testing();
