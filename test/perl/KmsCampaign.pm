# The load of test/campaign/load.c, and what its drivers do besides: run
# programs, ask servers, compare what clients noted with rows of the trail.
package KmsCampaign;
use strict;
use warnings;

use Exporter 'import';
use IO::Handle;
use IPC::Open2;
use POSIX ();
use Time::HiRes qw(time usleep);

our @EXPORT_OK = qw(append_to must poll quietly slurp);

sub must
{
	system(@_) == 0 or die "failed: @_\n";
}

# Return whether a program succeeds; append its output to a file.
sub quietly
{
	my ($log, @command) = @_;
	my $pid = fork // die "fork: $!\n";
	if ($pid == 0)
	{
		open STDIN,  '<',  '/dev/null';
		open STDOUT, '>>', $log;
		open STDERR, '>&', \*STDOUT;
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	waitpid $pid, 0;
	return $? == 0;
}

sub append_to
{
	my ($path, $text) = @_;
	open my $file, '>>', $path or die "$path: $!\n";
	print $file $text;
	close $file or die "$path: $!\n";
}

sub slurp
{
	my $path = shift;
	local $/;
	open my $file, '<', $path or die "$path: $!\n";
	return scalar <$file>;
}

# Wait until a condition is true and return its value; die after so many
# seconds.
sub poll
{
	my ($seconds, $what, $condition) = @_;
	my $end = time + $seconds;
	my $answer;
	until ($answer = $condition->())
	{
		die "not within $seconds s: $what\n" if time > $end;
		usleep(50_000);
	}
	return $answer;
}

# program, directory (which has "keys"), run, clients, seed, conninfo, state
# (see load.c).
sub start
{
	my ($class, %load) = @_;
	$load{pid} = open2($load{out}, $load{in}, 'bash', '-c', 'exec "$@" 2>>"$0"',
		"$load{directory}/load.log", @load{qw(program)}, 'run',
		@load{qw(directory run clients seed conninfo)}, $load{state} // ());
	$load{in}->autoflush;
	return bless \%load, $class;
}

# Send a command to the load and return the lines of its answer.
sub tell
{
	my ($self, $what) = @_;
	my @answer;
	print { $self->{in} } "$what\n";
	while (1)
	{
		my $line = readline $self->{out} // die "the load has ended\n";
		chomp $line;
		return @answer if $line eq 'done';
		push @answer, $line;
	}
}

# End the load and return the number of calls, the number of acknowledged
# calls, and the errors by SQLSTATE.
sub end
{
	my $self   = shift;
	my @lines  = $self->tell('end');
	my %errors = map { /^error (\S+) (\d+)/ ? ($1 => $2) : () } @lines;
	my ($issued, $acknowledged) =
	  map { /^calls (\d+) (\d+)/ ? ($1, $2) : () } @lines;
	waitpid $self->{pid}, 0;
	die "the load failed\n" if $? != 0;
	return ($issued, $acknowledged, \%errors);
}

# Compare the notes of the load with the output of a shell command: lines of
# audit_context, operation and status.  Return counts by their names.
sub compare
{
	my ($self, $rows) = @_;
	my $command = "{ $rows; } | '$self->{program}' check '$self->{directory}'"
	  . " '$self->{run}' $self->{clients} 2>'$self->{directory}/findings'";
	open my $pipe, '-|', 'bash', '-o', 'pipefail', '-c', $command
	  or die "bash: $!\n";
	my %found = map { /^(\w+) (\d+)$/ ? ($1 => $2) : () } <$pipe>;
	close $pipe && defined $found{rows}
	  or die "the trail could not be compared\n";
	return %found;
}

1;
