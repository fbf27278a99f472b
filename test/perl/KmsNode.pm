# The servers that KmsTest makes: a PostgreSQL::Test::Cluster with methods for
# what most tests do in the database postgres.
#
#   my $node = KmsTest->node('primary');
#   $node->sql('CREATE EXTENSION kms');
#   $node->calls('before', "kms_decrypt($arguments)", 10);
#   is($node->recorded('before'), '10');
package KmsNode;

use strict;
use warnings;

use KmsTest;
use PostgreSQL::Test::Cluster;
use Test::More;

our @ISA = ('PostgreSQL::Test::Cluster');

# Run statements that succeed, and return their rows.
sub sql
{
	my ($self, $sql) = @_;
	return $self->safe_psql('postgres', $sql);
}

# Test what statements return.
sub is_sql
{
	my ($self, $sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($self->sql($sql), $expected, $name);
}

# Return the value of an item of kms.status.
sub status
{
	my ($self, $item) = @_;
	return $self->sql("SELECT value FROM kms.status WHERE item = '$item'");
}

# Change settings and wait until new sessions have them.
sub set
{
	my ($self, %settings) = @_;

	$self->append_conf('postgresql.conf',
		join '', map { "$_ = '$settings{$_}'\n" } sort keys %settings);
	$self->reload;
	foreach my $name (sort keys %settings)
	{
		KmsTest::poll(sub { $self->sql("SHOW $name") eq $settings{$name} })
		  or die "$name does not become $settings{$name}";
	}
	return;
}

# Evaluate an expression for as many rows in a session of this application
# name, and return how many results were not null.
sub calls
{
	my ($self, $name, $expression, $count) = @_;
	return $self->sql("SET application_name = '$name';
		SELECT count($expression) FROM generate_series(1, $count)");
}

# Return how many calls of this application name have been recorded.
sub recorded
{
	my ($self, $name) = @_;
	return KmsTest::events($self, 'postgres', "application_name = '$name'");
}

# Wait until a session of KmsClient waits for something that kms does.
sub wait_until_waiting
{
	my ($self, $session) = @_;
	return KmsTest::poll(
		sub {
			$self->sql("SELECT wait_event_type = 'Extension' FROM pg_stat_activity
				WHERE pid = $session->{pid}") eq 't';
		});
}

# Wait for a writer of the database postgres and return its process id.
sub writer
{
	my $self = shift;
	return KmsTest::poll(
		sub {
			$self->sql("SELECT min(pid) FROM pg_stat_activity
				WHERE backend_type = 'kms writer' AND datname = 'postgres'");
		});
}

1;
