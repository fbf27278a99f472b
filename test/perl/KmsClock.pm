# A server whose clock is wrong (libfaketime).
#
#   KmsClock->available or plan skip_all => 'libfaketime is not installed';
#   my $clock = KmsClock->new('server');
#   my $node = KmsTest->node('server', start => 0);
#   $clock->start($node);
#   $clock->set($node, '+200d');
package KmsClock;

use strict;
use warnings;

use KmsTest;
use PostgreSQL::Test::Utils;

# The library, if it is installed.
sub library
{
	my ($library) = glob '/usr/lib/*/faketime/libfaketime.so.1';
	return $library;
}

sub available
{
	return defined library();
}

# Before PostgreSQL 16 the postmaster forks workers in a signal handler, which
# interrupts select().  libfaketime does not fake time within its own select(),
# so it would never do so again in a worker.
my $select = <<'C';
#define _GNU_SOURCE
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
	struct timespec left, *t = 0;

	if (timeout)
	{
		left.tv_sec = timeout->tv_sec;
		left.tv_nsec = timeout->tv_usec * 1000;
		t = &left;
	}
	return syscall(SYS_pselect6, n, r, w, e, t, 0);
}
C

# The libraries to load before all others.
sub preload
{
	my $base = PostgreSQL::Test::Utils::tempdir() . '/select';
	my $cc = $ENV{CC} || 'cc';

	PostgreSQL::Test::Utils::append_to_file("$base.c", $select);
	system("$cc -shared -fPIC -o $base.so $base.c") == 0 or die $cc;
	return "$base.so:" . library();
}

# A clock that is right.
sub new
{
	my ($class, $name) = @_;
	my $self = bless {
		file => PostgreSQL::Test::Utils::tempdir() . "/$name.clock",
		preload => preload() }, $class;

	$self->write('+0d');
	return $self;
}

sub write
{
	my ($self, $offset) = @_;

	# in one step: processes read it at any moment
	PostgreSQL::Test::Utils::append_to_file("$self->{file}.new", "$offset\n");
	rename "$self->{file}.new", $self->{file} or die "$self->{file}: $!";
	return;
}

# The server alone is to see this clock.
sub start
{
	my ($self, $node) = @_;
	local $ENV{LD_PRELOAD} = $self->{preload};
	local $ENV{FAKETIME_TIMESTAMP_FILE} = $self->{file};
	local $ENV{FAKETIME_NO_CACHE} = 1;
	local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;

	$node->start;
	return;
}

sub restart
{
	my ($self, $node, $offset) = @_;

	$node->stop;
	$self->write($offset);
	$self->start($node);
	return;
}

# Put the clock of a running server ahead or back, '+200d' or '-1d' of what is
# right.
sub set
{
	my ($self, $node, $offset) = @_;
	my ($days) = $offset =~ /^([-+]\d+)d$/ or die $offset;

	$self->write($offset);
	KmsTest::poll(
		sub {
			my $now = $node->safe_psql('postgres',
				'SELECT extract(epoch FROM clock_timestamp())::bigint');
			return abs($now - time - 86400 * $days) < 3600;
		}) or die "the clock is not $offset";
	return;
}

1;
