# kms.master_key_command is run by the launcher, once at start and once at each
# reload, and by nothing else.  It prints the master keys, which go nowhere else.
# No command keeps the server from starting or the launcher from serving.  A
# command that fails leaves the keys in force and is not retried.  A command that
# does not end is killed with all processes that it has started.
use strict;
use warnings;

use File::Find;
use FindBin;
use IPC::Run;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

# Not protected, so that the test may count the launcher's descriptors.
my $node = KmsTest->node('command',
	master_key => undef,
	start => 0,
	init => [ allows_streaming => 1 ],
	conf => "kms.protect_memory = off\nlog_min_messages = debug1\nrestart_after_crash = on");
my $dir = $node->basedir;
my $script = "$dir/command";
my $key = KmsTest::random_master_key();
my $other = KmsTest::random_master_key();
my $good = "echo $key";

# Set the command.  Each run of it leaves its process id.
sub command
{
	my ($body) = @_;
	open my $file, '>', "$script.new" or die "$script: $!";
	print $file "echo \$\$ >>$dir/runs\n$body\n";
	close $file or die "$script: $!";
	rename "$script.new", $script or die "$script: $!";
}

sub runs
{
	return -e "$dir/runs" ? split /\n/, slurp_file("$dir/runs") : ();
}

sub set
{
	$node->append_conf('postgresql.conf', "$_[0]\n");
}

sub status
{
	return $node->safe_psql('postgres',
		"SELECT status, detail FROM kms_master_key_status() WHERE status NOT IN ('missing', 'current', 'available', 'running')");
}

# Wait for the process ids that the command leaves in a file, and return them.
sub left
{
	my ($name, $count) = @_;
	my @pids;
	KmsTest::poll(
		sub { @pids = -e "$dir/$name" ? split(/\n/, slurp_file("$dir/$name")) : ();
			@pids >= $count }) or die "$name: @pids";
	unlink "$dir/$name";
	return @pids;
}

# Return whether the processes are gone, so that not even a zombie is left.
sub gone
{
	my @pids = @_;
	return KmsTest::poll(sub { !grep { -e "/proc/$_" } @pids });
}

sub launcher
{
	return KmsTest::poll(
		sub { $node->safe_psql('postgres',
				"SELECT pid FROM pg_stat_activity WHERE backend_type = 'kms launcher'") });
}

command($good);
set("kms.master_key_command = 'exec sh $script'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
my ($id, $pem) = KmsClient::issue($node, 'postgres', 'phone');
my $ciphertext = KmsTest::encrypt_with_openssl($pem, 'secret');
my $decrypt = "SELECT kms_decrypt('$id', '$ciphertext')";

sub works
{
	my ($name) = @_;
	ok( KmsTest::poll(
			sub { KmsClient::sqlstate($node, 'postgres', $decrypt) eq '00000' }),
		$name);
}

# Reload and test that the command is run once and its keys are accepted.
sub reads
{
	my ($name) = @_;
	my $before = runs();
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	ok( KmsTest::poll(
			sub {
				runs() == $before + 1 &&
				  $node->safe_psql('postgres',
					"SELECT count(*) FROM kms_check() WHERE finding ~ 'master key'") == 0;
			}),
		$name);
}

# ---- Once at start, once a reload ----------------------------------------

is($node->safe_psql('postgres', $decrypt), 'secret', 'its key opens');
$node->safe_psql('postgres', "$decrypt; SELECT kms_issue_key('phone $_')") foreach 1 .. 3;
$node->safe_psql('postgres', 'SELECT kms_flush_events(); SELECT kms_maintain()');
is(scalar(runs()), 1, 'the command was run once at start, and by no session');
my $pid = launcher();
my $descriptors = () = glob "/proc/$pid/fd/*";
foreach (1 .. 5)
{
	reads('the command is run once at a reload');
}
is(scalar(runs()), 6, 'the command is run at no other time');
is(scalar(() = glob "/proc/$pid/fd/*"), $descriptors,
	'the launcher has no descriptor more');
ok(gone(runs()), 'the launcher has waited for each process');

# ---- What it is given, and what it can see -------------------------------

command(<<"SH");
ls -l /proc/self/fd >$dir/fds
cut -d' ' -f5 /proc/\$\$/stat >$dir/group
echo \$\$ >>$dir/group
pwd >$dir/cwd
$good
SH
reads('a command that looks around');
my $fds = slurp_file("$dir/fds");
like($fds, qr{ 0 -> /dev/null\n.* 1 -> .*\n.* 2 -> pipe:\S+\n.* 3 -> /proc/\d+/fd\n$},
	'the command has the three descriptors that each program has, and no other');
my ($group, $leader) = split /\n/, slurp_file("$dir/group");
is($group, $leader, 'the command leads a process group of its own');
is(slurp_file("$dir/cwd"), $node->data_dir . "\n", 'the command runs in the data directory');

# The signals that the shell gets from the launcher, before it waits for a child,
# which changes them.  The C library uses 32 and 33 itself.
command("exec grep '^Sig[BI]' /proc/self/status >$dir/signals");
$node->reload;
ok(KmsTest::poll(sub { status() =~ /printed nothing/ }), 'a command that prints no key is refused');
unlike(slurp_file("$dir/signals") =~ s/0000000180000000$/0/mr, qr/[1-9a-f]\S*$/m,
	'no signal is blocked or ignored');

# ---- What it does wrong --------------------------------------------------

my @bad = (
	[ 'exit code', qr/ended with exit code 3; the server log/, "$good; exit 3" ],
	[ 'a signal', qr/ended by signal 9; the server log/, "$good; kill -9 \$\$" ],
	[ 'no time limit kept', qr/did not end within 400 ms/, "$good; exec sleep 1000" ],
	[ 'no end of output', qr/printed more than 64 kB/, 'exec yes' ],
	[ '64 kB and a byte', qr/printed more than 64 kB/, "$good; head -c 65472 /dev/zero" ],
	[ 'nothing printed', qr/printed nothing/, ':' ],
	[ 'nothing printed there', qr/printed nothing/, "$good >&2" ],
	[ 'only a comment', qr/\|no key/, "echo '# $key'" ],
	[ 'a line that is no key', qr/line 2: not 64 hex/, "$good; echo ${\ substr $other, 1}" ],
	[ 'half a key', qr/line 1: not 64 hex/, "printf ${\ substr $key, 0, 40}" ],
	[ 'what is not there', qr/exit code 127/, "exec $dir/nowhere" ]);

# Only one of these commands may run into the time limit.
foreach my $case (@bad)
{
	my ($name, $reason, $body) = @$case;

	set('kms.master_key_command_timeout = ' . ($body =~ /sleep/ ? '400ms' : '60s'));
	command($body);
	my $before = runs();
	$node->reload;
	ok( KmsTest::poll(
			sub {
				KmsClient::findings($node, 'postgres') =~
				  /^error: the master key command is refused, and the keys read before are in force: /m;
			}),
		"$name at a reload: kms_check() says that the old keys are in force");
	like(status(), qr/^refused\|.*$reason|^refused$reason/, "$name: status says why");
	is($node->safe_psql('postgres', $decrypt), 'secret', "$name: and they are");
	is(scalar(runs()), $before + 1, "$name: it was run once");
	ok(gone(runs()), "$name: nothing of it is left");

	$node->restart;
	like(KmsClient::error($node, 'postgres', $decrypt),
		qr/KM007: master key is not available\nHINT:  .*kms\.master_key_command/,
		"$name: the server starts, decrypt says KM007");
	like(status(), qr/^refused\|.*$reason|^refused$reason/, "$name at a start: status says why");
	like(KmsClient::findings($node, 'postgres'),
		qr/^error: the master key command is refused: .*\(Mend it and reload/m,
		"$name: so does kms_check()");
	is($node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'master key'"),
		'refused', "$name: and kms.status");
	is(scalar(runs()), $before + 2, "$name: it was run once more and not again");
	command($good);
	reads("$name: a reload with a good one heals");
	is($node->safe_psql('postgres', $decrypt), 'secret', "$name: decrypt works");
}
my $log = slurp_file($node->logfile);
like($log, qr/LOG:  master key command cannot be used, the keys read before stay in force\n.*DETAIL:  the command ended with exit code 3/,
	'the log says why the command is refused');
like($log, qr/LOG:  master key command cannot be used\n.*DETAIL:  the command printed nothing/,
	'the log reports it at a start, too');

# ---- Both settings, or none ----------------------------------------------

my $file = KmsTest::master_key_path($node);
KmsTest::write_master_key($file, $key);
my $before = runs();
set("kms.master_key_file = '$file'");
$node->reload;
ok(KmsTest::poll(sub { status() =~ /^refused\|kms.master_key_file and kms.master_key_command are both set; set one/ }),
	'both are set: refused');
is($node->safe_psql('postgres', $decrypt), 'secret', 'with both set the keys stay in force');
set("kms.master_key_command = ''");
$node->reload;
ok(KmsTest::poll(sub { status() eq '' }), 'the file alone is read');
set("kms.master_key_file = ''");
$node->reload;
ok(KmsTest::poll(sub { status() =~ /^unset\|/ }), 'neither: there is no key');
is(KmsClient::sqlstate($node, 'postgres', $decrypt), 'KM007', 'without a source of keys a call fails');
is(scalar(runs()), $before, 'none of this runs the command');
set("kms.master_key_command = 'exec sh $script'");
reads('set again, it is run');

# ---- Standard error, and what is never written ---------------------------

command(<<"SH");
set -x
KEY=$key
printf '\\033[1mPlease touch the token\\n' >&2
printf 'no end of line' >&2
echo "label:\$KEY"
set +x
i=0; while [ \$i -lt 200 ]; do echo "\$i and so on, and so on, and so on, and so on" >&2; i=\$((i+1)); done
SH
my $offset = -s $node->logfile;
reads('a command that talks');
$log = substr slurp_file($node->logfile), $offset;
like($log, qr/LOG:  kms\.master_key_command: \?\[1mPlease touch the token$/m,
	'the standard error of the command is in the log');
like($log, qr/LOG:  kms\.master_key_command: \+ KEY=\[not shown\]$/m,
	'a key in its standard error is not');
like($log, qr/: \(the rest is left out\)$/m, 'only some lines of the standard error are in the log');
cmp_ok(() = $log =~ /and so on$/mg, '<', 200, 'at most 200 lines of the standard error are in the log');

command("yes a | head -n 1000 >&2; $good");
$offset = -s $node->logfile;
reads('a command that says little, often');
$log = substr slurp_file($node->logfile), $offset;
is(scalar(() = $log =~ /kms\.master_key_command: a$/mg), 200, 'has some lines in the log');
like($log, qr/: \(the rest is left out\)$/m, 'the rest of many short lines is left out of the log');

command("printf 'no end of line' >&2; exit 4");
$node->reload;
ok(KmsTest::poll(sub { status() =~ /exit code 4/ }), 'a command that fails');
like(slurp_file($node->logfile), qr/: no end of line$/m,
	'its last words are in the log, too');
command($good);
reads('a good command after a bad one is accepted');

my @processes = grep { -r "$_/environ" } glob '/proc/[0-9]*';
my $seen = 0;
my @with_key;
foreach my $process (@processes)
{
	foreach my $name (qw(environ cmdline))
	{
		open my $in, '<:raw', "$process/$name" or next;
		my $content = do { local $/; <$in> };
		next unless defined $content;
		$seen++ if index($content, $node->data_dir) >= 0;
		push @with_key, "$process/$name" if index($content, $key) >= 0;
	}
}
cmp_ok($seen, '>', 0, 'the processes of the server were looked at');
is("@with_key", '', 'no environment or command line holds the key');
my @files;
find({ no_chdir => 1, wanted => sub { push @files, $_ if -f } }, $node->data_dir);
is(join(' ', grep { index(slurp_file($_), $key) >= 0 } @files), '',
	'no file of the data directory holds the key');
is(index(slurp_file($node->logfile), $key), -1, 'the server log does not hold the key');
is(index(slurp_file($node->logfile), $other), -1, 'the server log does not hold a line that was no key');
ok((grep { index(slurp_file($_), $script) >= 0 } @files), 'the search finds what is there');

# ---- What it has started -------------------------------------------------

my $family = "sleep 1000 & echo \$! >>$dir/family; (sleep 1000; :) & echo \$! >>$dir/family";

set('kms.master_key_command_timeout = 400ms');
command("$family; echo \$\$ >>$dir/family; wait");
$node->reload;
my @family = left('family', 3);
ok(KmsTest::poll(sub { status() =~ /did not end/ }), 'a command that does not end in time is an error');
ok(gone(@family), 'the late command is killed with all that it has started');

set('kms.master_key_command_timeout = 60s');
command("$family; $good");
reads('a command that leaves processes behind is accepted');
ok(gone(left('family', 2)), 'processes that the command leaves behind are killed');

# A process that has left the group is not killed, and is waited for when it
# ends.
command("setsid sleep 1000 >/dev/null 2>&1 & $good; while [ \$(ps -o sid= -p \$!) = \$(ps -o sid= -p \$\$) ]; do :; done; echo \$! >$dir/family");
reads('a command that leaves a daemon is accepted');
my ($daemon) = left('family', 1);
ok(-e "/proc/$daemon", 'the daemon lives');
kill 'TERM', $daemon;
KmsTest::poll(sub { !-e "/proc/$daemon" || slurp_file("/proc/$daemon/stat") =~ /\) Z / });
command($good);
reads('a command after the end of the daemon is accepted');
ok(gone($daemon), 'the daemon is waited for');

# ---- While it runs -------------------------------------------------------

my $slow = "$family; echo \$\$ >>$dir/family; while [ ! -e $dir/go ]; do sleep 0.05; done; $good";
command($slow);
$node->restart;
@family = left('family', 3);
like(status(), qr/^unread\|kms.master_key_command is still running/,
	'while the command runs the status says so');
like(KmsClient::findings($node, 'postgres'),
	qr/^error: the master key command has been running since /m, 'while the command runs kms_check() says so');
is($node->safe_psql('postgres', "SELECT value FROM kms.status WHERE item = 'master key'"),
	'unread', 'while the command runs kms.status says so');
$node->safe_psql('postgres', 'CREATE DATABASE waiting');
$node->safe_psql('waiting', 'CREATE EXTENSION kms');
is(KmsClient::sqlstate($node, 'waiting', "SELECT kms_public_key('none')"),
	'KM002', 'an event is recorded');
is($node->safe_psql('waiting', "SELECT kms_flush_events(); SELECT count(*) > 0 FROM kms.event WHERE status = 'failure'")
	=~ s/.*\n//sr, 't', 'the event is written, because the launcher has started a writer');
my $start = time;
is(KmsClient::sqlstate($node, 'postgres', $decrypt), 'KM007', 'a call that needs the key waits');
cmp_ok(time - $start, '>=', 4, 'the call waits for some seconds');
my $session = KmsClient->session($node, 'postgres');
$session->send($decrypt);
$node->wait_until_waiting($session) or die 'the call does not wait';
open my $go, '>', "$dir/go" or die $!;
close $go;
is($session->receive, 'secret', 'a call that waits gets the key when it is there');
ok(gone(@family), 'the processes of the command are gone');
unlink "$dir/go";

# A reload while the command runs kills it and runs it again.
$before = runs();
$node->reload;
@family = left('family', 3);
is($session->query($decrypt), 'secret', 'while the command runs at a reload the keys stay in force');
is(status(), '', 'there is no complaint while the command runs at a reload');
is($session->query("SELECT detail FROM kms_master_key_status() WHERE status = 'running'"),
	'kms.master_key_command is running; the keys read before are in force.', 'the status says that the command runs');
$node->reload;
ok(gone(@family), 'another reload kills the command');
@family = left('family', 3);
is(scalar(runs()), $before + 2, 'another reload runs the command again');
is(scalar(grep { -e "/proc/$_" } runs()), 1, 'one command is running');
is($session->query($decrypt), 'secret', 'the keys are in force while the command runs again');

# The first command after no key at all.
set("kms.master_key_command = ''");
$node->reload;
ok(gone(@family), 'the command is killed when the setting is removed');
ok(KmsTest::poll(sub { status() =~ /^unset/ }), 'without the command no key is left');
set("kms.master_key_command = 'exec sh $script'");
$node->reload;
@family = left('family', 3);
like(status(), qr/^unread\|kms.master_key_command is still running/, 'a command that is set after that is waited for');
open $go, '>', "$dir/go" or die $!;
close $go;
is($session->query($decrypt), 'secret', 'a call that needs the key waits for the command');
unlink "$dir/go";
ok(gone(@family), 'the command has ended');
$node->reload;
@family = left('family', 3);

# Another source while it runs.
set("kms.master_key_file = '$file'\nkms.master_key_command = ''");
$node->reload;
ok(gone(@family), 'the command is killed when a file takes its place');
ok(KmsTest::poll(sub { status() eq '' }), 'the file is read');
set("kms.master_key_file = ''\nkms.master_key_command = 'exec sh $script'");
$session->quit;

# ---- The end of the launcher ---------------------------------------------

$node->reload;
@family = left('family', 3);
$pid = launcher();
$before = runs();
is($node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)"), 't',
	'the launcher is told to end');
ok(gone(@family), 'the launcher that ends kills the command');
@family = left('family', 3);
is(scalar(runs()), $before + 1, 'the next launcher runs the command again');
is($node->safe_psql('postgres', $decrypt), 'secret', 'the keys have stayed in force');
ok($node->stop('fast'), 'a stop');
ok(gone(@family), 'ends the command');

# If the launcher is killed, its supervisor ends the command.
command("$family; echo \$\$ >>$dir/family; wait");
$node->start;
@family = left('family', 3);
ok($node->stop('immediate'), 'an immediate stop');
ok(gone(@family), 'an immediate stop ends the command with all that it has started');

$node->start;
@family = left('family', 3);
$pid = launcher();
command($good);
kill 'KILL', $pid;
ok(gone(@family), 'a kill -9 of the launcher ends the command');
KmsClient::wait_until_up($node);
works('the command is run again after the kill');

# ---- On a standby --------------------------------------------------------

my $standby = KmsTest->standby($node, 'standby', start => 0);
$before = runs();
$standby->start;
ok( KmsTest::poll(
		sub { KmsClient::sqlstate($standby, 'postgres', $decrypt) eq '00000' }),
	'a standby gets its keys from the command');
is(scalar(runs()), $before + 1, 'a standby runs the command once');
$standby->promote;
is( $standby->safe_psql('postgres',
		"SELECT kms_decrypt(key_id, '$ciphertext') FROM kms_issue_key('phone')"),
	'secret', 'its keys stay in force when it is promoted');
is(scalar(runs()), $before + 1, 'a promotion does not run the command again');
$standby->stop;

# ---- Where the postmaster is process 1 ------------------------------------

# As in a container.  A process that a command leaves behind becomes a child of
# the postmaster, which restarts all if a child that it does not know is killed.
my $alone;
sub restarts
{
	my ($offset) = @_;
	return scalar(() = substr(slurp_file($node->logfile), $offset) =~ /terminated by signal/g);
}

END
{
	$alone->kill_kill if $alone;
}
SKIP:
{
	my @alone = qw(unshare --map-current-user --pid --fork --kill-child --mount-proc);
	skip 'no namespace of processes is to be had', 9 if system("@alone true 2>/dev/null") != 0;
	$node->stop;
	set('kms.master_key_command_timeout = 300ms');
	command("$family; wait");
	$offset = -s $node->logfile;
	$alone = IPC::Run::start([ @alone, 'postgres', '-D', $node->data_dir ],
		'>>', $node->logfile, '2>>', $node->logfile);
	KmsClient::wait_until_up($node);
	is($node->safe_psql('postgres', "SELECT pg_read_file('postmaster.pid', 0, 2)"),
		"1\n", 'the postmaster is process 1');
	ok(KmsTest::poll(sub { status() =~ /did not end/ }), 'a command that does not end is killed, too');
	command("$family; $good");
	reads('processes that a command leaves behind are killed, too');
	unlike(substr(slurp_file($node->logfile), $offset), qr/terminated by signal/,
		'the server goes on when such processes are killed');

	# A process that a shell has started finds no reader when the shell is killed.
	set('kms.master_key_command_timeout = 60s');
	unlink "$dir/family";
	command("echo \$\$ >>$dir/family; x=\$(sleep 1; exec echo $key); echo \$x");
	$offset = -s $node->logfile;
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	left('family', 1);
	$node->psql('postgres', q{COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'});
	ok(KmsTest::poll(sub { restarts($offset) == 1 }), 'a kill -9 of a session restarts the server');
	ok(KmsTest::poll(sub { -e "$dir/family" }), 'the restarted server runs the command again');
	KmsClient::wait_until_up($node);
	works('the restarted server has its key');
	usleep(3_000_000);    # longer than the command takes
	is(restarts($offset), 1, 'nothing that the command had started restarts it again');
	is($node->safe_psql('postgres', $decrypt), 'secret', 'the server goes on after the restart');
	unlink "$dir/family";
	kill 'INT', split / /, slurp_file("/proc/$_/task/$_/children")
	  foreach $alone->{KIDS}[0]{PID};
	$alone->finish;
	$alone = undef;
	unlink "$dir/family";
	command($good);
	$node->start;
}

# ---- Where it can be set -------------------------------------------------

foreach my $setting ('kms.master_key_command', 'kms.master_key_file')
{
	foreach my $statement (
		"SET $setting = 'x'",
		"SET LOCAL $setting = 'x'",
		"SELECT set_config('$setting', 'x', false)",
		"ALTER SYSTEM SET $setting = 'x'",
		"ALTER SYSTEM RESET $setting",
		"ALTER DATABASE postgres SET $setting = 'x'",
		"ALTER ROLE ALL SET $setting = 'x'",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET $setting = 'x' AS 'SELECT 1'")
	{
		is(KmsClient::sqlstate($node, 'postgres', $statement), '55P02',
			"a superuser cannot $statement");
	}
	local $ENV{PGOPTIONS} = "-c $setting=x";
	like(KmsClient::connection_error($node, 'postgres'),
		qr/parameter "$setting" cannot be changed now/, "a superuser cannot set $setting when connecting");
}
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN');
is( KmsClient::sqlstate($node, 'postgres',
		'SET ROLE plain; SHOW kms.master_key_command'),
	'42501', 'a plain user does not see the command');
is( $node->safe_psql('postgres',
		"SET ROLE plain; SELECT count(*) FROM pg_settings WHERE name = 'kms.master_key_command'"),
	'0', 'a plain user does not see the command in pg_settings');

$node->stop;
done_testing();
