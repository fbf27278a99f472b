# Run the blocks of a page of the manual with other programs (Patroni,
# pgBackRest and their like), and check the outcome: for the programs of test/ha.
#
# A block follows a line "<!-- ha NAME -->".  Its paths are those of a server of
# Debian; each program maps them to its own.
package KmsPractice;
use strict;
use warnings;

use Exporter 'import';
use FindBin;
use IO::Socket::INET;
use KmsCampaign qw(append_to quietly slurp);
use POSIX ();

our @EXPORT_OK = qw(ok is like note finish_checks run block free_ports begin end_program
  end_programs started);

my ($passed, $failed) = (0, 0);
my %pids;    # of programs that were started, by name

sub ok
{
	my ($good, $name) = @_;
	$good ? $passed++ : $failed++;
	printf "%s %d - %s\n", $good ? 'ok' : 'not ok', $passed + $failed, $name;
	return $good;
}

sub is
{
	my ($found, $expected, $name) = @_;
	ok($found eq $expected, $name) or note("found: $found");
}

sub like
{
	my ($found, $expected, $name) = @_;
	ok(scalar($found =~ $expected), $name) or note("found: $found");
}

sub note
{
	my $text = join '', @_;
	chomp $text;
	print map { "#   $_\n" } split /\n/, $text;
}

# Run all checks, print how many failed, and return the exit status.
sub finish_checks
{
	my $checks = shift;
	eval { $checks->(); 1; } or ok(0, 'the test came to its end: ' . ($@ =~ s/\n/ /gr));
	print "$passed passed, $failed failed\n";
	return $failed == 0 && $passed > 0 ? 0 : 1;
}

# Run a program; return its exit status and what it printed.
sub run
{
	my (@command) = @_;
	my $pid = open my $out, '-|';
	die "fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		open STDIN,  '<',  '/dev/null';
		open STDERR, '>&', \*STDOUT;
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	local $/;
	my $answer = <$out> // '';
	close $out;
	return ($? >> 8, $answer);
}

# Return a block of a page, with each path replaced by the caller's.
sub block
{
	my ($page, $name, %path) = @_;
	my ($indent, $text) =
	  slurp("$FindBin::Bin/../../docs/$page") =~ /^( *)<!-- ha \Q$name\E -->\n *```\w*\n(.*?)^ *```$/ms
	  or die "$page has no block \"$name\"\n";
	$text =~ s/^$indent//gm;
	$text =~ s/sudo -u postgres //g;
	$text =~ s{/usr/lib/postgresql/\d+/bin/}{}g;
	$text =~ s/\Q$_\E/$path{$_}/g foreach sort { length $b <=> length $a } keys %path;
	my ($left) = $text =~ m{((?<![\w.])/(?:etc|var|usr/local)/\S*)};
	die "the block \"$name\" names $left\n" if defined $left;
	return $text;
}

# Ports that nobody uses; all are taken before the first is given back.
sub free_ports
{
	my @sockets = map {
		IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
		  or die "no free port: $!\n"
	} 1 .. shift;
	return map { $_->sockport } @sockets;
}

# Start a program in the background, with a log and a file for its pid.
sub begin
{
	my ($work, $name, @command) = @_;
	my $pid = fork // die "fork: $!\n";
	if ($pid == 0)
	{
		POSIX::setsid();
		open STDIN,  '<',  '/dev/null';
		open STDOUT, '>>', "$work/$name.log";
		open STDERR, '>&', \*STDOUT;
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	append_to("$work/$name.pid", "$pid\n");
	$pids{$name} = { pid => $pid, file => "$work/$name.pid" };
}

sub end_program
{
	my ($name, $signal) = @_;
	my $program = delete $pids{$name} // return;
	kill $signal, $program->{pid};
	waitpid $program->{pid}, 0;
	unlink $program->{file};
}

sub end_programs
{
	local $?;
	end_program($_, 'TERM') foreach reverse sort keys %pids;
}

sub started
{
	return sort keys %pids;
}

1;
