# Processes and sessions that rows measure, and the processor time they take.
#
# $work is the directory of the servers, $bin that of PostgreSQL's programs.
package BenchProcess;

use strict;
use warnings;

use Exporter qw(import);
use IO::Handle;
use IPC::Open2;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
	$work $bin $bits status command send_line receive bare key_file
	each_us session connection leave sql submit answer sql_us wall_us
	cpu settled
);

our ($work, $bin);
our $bits = 2048;
my $bare;

# Processor time of a process, in microseconds; exact while it sleeps.
sub cpu
{
	my $pid = shift;
	open my $file, '<', "/proc/$pid/schedstat" or die "schedstat: $!";
	my ($ns) = <$file> =~ /^(\d+)/;
	return $ns / 1000;
}

# A backend answers a moment before it sleeps.
sub settled
{
	my $pid = shift;
	my $before;
	my $cpu = cpu($pid);
	do
	{
		$before = $cpu;
		usleep(300);
		$cpu = cpu($pid);
	} while ($cpu != $before);
	return $cpu;
}

sub status
{
	my ($pid, $field) = @_;
	open my $file, '<', "/proc/$pid/status" or die "status: $!";
	foreach (<$file>)
	{
		return $1 if /^$field:\s+(\d+) kB/;
	}
	die "no $field";
}

sub command
{
	my %process;
	$process{pid} = open2($process{out}, $process{in}, @_);
	return \%process;
}

sub send_line
{
	my ($process, $line) = @_;
	print { $process->{in} } "$line\n";
	$process->{in}->flush;
}

sub receive
{
	my $process = shift;
	my $line    = readline $process->{out};
	die "a process ended\n" unless defined $line;
	chomp $line;
	return $line;
}

sub bare
{
	$bare ||= command("$work/bare", key_file());
	return $bare;
}

sub key_file
{
	my $path = "$work/bare.pem";
	system("openssl genrsa -traditional -out '$path' $bits 2>/dev/null") == 0
	  or die
	  unless -e $path;
	return $path;
}

# Return the microseconds of one of N operations in bare or a peer.
sub each_us
{
	my ($process, $name, $n) = @_;
	send_line($process, "$name $n");
	my (undef, $cpu) = split ' ', receive($process);
	return $cpu / 1000 / $n;
}

sub session
{
	my $session = connection(@_);
	$session->{backend} = sql($session, 'SELECT pg_backend_pid()');
	return $session;
}

# The same without a statement.
sub connection
{
	my ($server, $database) = @_;
	local $ENV{PGAPPNAME} = 'bench';
	return command("$bin/psql", '-XAtq', '-v', 'ON_ERROR_STOP=1',
		'-h', "$work/" . ($server || 'product'),
		'-U', 'postgres', '-d', $database || 'postgres');
}

sub leave
{
	my $session = shift;
	close $session->{in};
	close $session->{out};
	waitpid $session->{pid}, 0;
}

sub sql
{
	my ($session, $text) = @_;
	submit($session, $text);
	return answer($session);
}

sub submit
{
	my ($session, $text) = @_;
	send_line($session, "$text;\n\\echo --end--");
}

sub answer
{
	my $session = shift;
	my @lines;
	while ((my $line = receive($session)) ne '--end--')
	{
		push @lines, $line;
	}
	return join "\n", @lines;
}

# Return the microseconds of processor time that the backend takes.
sub sql_us
{
	my ($session, $text) = @_;
	my $before = settled($session->{backend});
	sql($session, $text);
	return settled($session->{backend}) - $before;
}

sub wall_us
{
	my ($session, $text) = @_;
	my $start = time;
	sql($session, $text);
	return (time() - $start) * 1e6;
}

1;
