# Sessions of pgbench that decrypt without a pause, and which of the calls that
# were acknowledged to them are in a trail.
#
#   my $load = KmsLoad->start($node, 'round1', "SELECT kms_decrypt(…)");
#   $node->stop('immediate');
#   $load->finish;
#   is_deeply($load->match($other), { lost => [], doubled => [] });
package KmsLoad;

use strict;
use warnings;

use IPC::Run;
use KmsTest;
use PostgreSQL::Test::Utils;

use constant CLIENTS => 8;

# Start the load and return when some calls have been acknowledged.  The name, of letters and
# digits, is in the context of each event; each call is known as "client:n".
sub start
{
	my ($class, $node, $name, $sql) = @_;
	my $base = PostgreSQL::Test::Utils::tempdir() . "/$name";
	my $self = bless { name => $name, base => $base, out => '', err => '' },
	  $class;

	PostgreSQL::Test::Utils::append_to_file("$base.sql", <<"SQL");
\\set n :n + 1
SELECT set_config('kms.audit_context', '$name:' || :client_id || ':' || :n, false) \\; $sql;
SQL
	$self->{run} = IPC::Run::start(
		[
			'pgbench', '-n', '-h', $node->host, '-p', $node->port,
			'-c', CLIENTS, '-T', 600, '-D', 'n=0', '-f', "$base.sql",
			'-l', '--log-prefix', $base, 'postgres'
		],
		'>', \$self->{out}, '2>', \$self->{err});
	KmsTest::poll(sub { -s "$base." . $self->{run}->{KIDS}[0]{PID} })
	  or die "no call ends: $self->{err}";
	return $self;
}

# Wait until all sessions have lost their server.
sub finish
{
	my $self = shift;
	my @last = (0) x CLIENTS;

	eval { $self->{run}->finish };
	foreach (map { split /\n/, PostgreSQL::Test::Utils::slurp_file($_) }
		glob "$self->{base}.[0-9]*")
	{
		my ($client, $n) = split / /;
		$last[$client] = $n if $n > $last[$client];
	}
	$self->{acknowledged} =
	  [ map { my $client = $_; map { "$client:$_" } 1 .. $last[$client] }
		  0 .. $#last ];
}

# Return the calls that were acknowledged.  Call finish() first.
sub acknowledged
{
	my $self = shift;
	return @{ $self->{acknowledged} };
}

# Return the calls of this load in a trail, in the rows that meet the condition.
# A call that was recorded twice is returned twice.
sub recorded
{
	my ($self, $node, $where) = @_;

	$where = 'true' unless defined $where;
	return $self->known(split /\n/,
		$node->safe_psql('postgres',
			"SELECT audit_context FROM kms.event
			WHERE operation = 'decrypt' AND ($where)"));
}

# Return the calls of this load among these contexts of events.
sub known
{
	my ($self, @contexts) = @_;
	return map { /^$self->{name}:(\d+:\d+)$/ } @contexts;
}

sub match
{
	my ($self, $node) = @_;
	my %times;

	$times{$_}++ foreach $self->recorded($node);
	return {
		lost => [ grep { !$times{$_} } $self->acknowledged ],
		doubled => [ grep { $times{$_} > 1 } sort keys %times ]
	};
}

1;
