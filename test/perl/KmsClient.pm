# The client's side of a test: calls with their SQLSTATE, sessions that stay
# open, and processes that are watched.
#
#   like(KmsClient::error($node, 'postgres', $sql), qr/KM007: master key/);
#   my $session = KmsClient->session($node, 'postgres');
#   is($session->query('SELECT 1'), '1');
package KmsClient;

use strict;
use warnings;

use IPC::Run;
use KmsTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Run statements and return what psql prints on stderr: "ERROR:  KM001: …" with
# detail and hint, or "".
sub error
{
	my ($node, $db, $sql) = @_;
	my (undef, undef, $errors) = $node->psql($db, $sql,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $errors;
}

# Connect with these options of psql and return what it prints on stderr.
# Nothing is written to psql, because it may end before it reads that.
sub connection_error
{
	my ($node, $db, @options) = @_;
	my $errors = '';

	IPC::Run::run([ 'psql', '-XAtq', @options, '-d', $node->connstr($db), '-c', 'SELECT 1' ],
		'<', '/dev/null', '>', '/dev/null', '2>', \$errors);
	return $errors;
}

# "00000" if the statements succeed, else the SQLSTATE of the first error.
sub sqlstate
{
	my $errors = error(@_);
	return $1 if $errors =~ /(?:ERROR|FATAL):  (\w{5}):/;
	return '00000';
}

# Issue a key; returns its id and the public key.
sub issue
{
	my ($node, $db, $device) = @_;
	my $row = $node->safe_psql($db,
		"SELECT key_id, public_key FROM kms_issue_key('$device')");
	my ($key_id, $pem) = $row =~ /^([^|]+)\|(.*)$/s;
	return ($key_id, "$pem\n");
}

# Return the findings of kms_check() as lines "severity: finding (hint)".
sub findings
{
	my ($node, $db) = @_;
	return $node->safe_psql($db,
		"SELECT severity || ': ' || finding || ' (' || hint || ')' FROM kms_check()");
}

# Test that kms_check() soon has no complaint, apart from fsync.
sub is_healthy
{
	my ($node, $db, $name) = @_;
	my $complaint = qr/^(?:error|warning): (?!fsync)/m;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	KmsTest::poll(sub { findings($node, $db) !~ $complaint });
	return unlike(findings($node, $db), $complaint, $name);
}

# Wait until the server takes connections.
sub wait_until_up
{
	my $node = shift;

	# psql may end before it has read the statement
	KmsTest::poll(sub { eval { ($node->psql('postgres', 'SELECT 1'))[0] == 0 } })
	  or die 'the server does not come back';
}

# Create these databases with the extension and a key, and return for each the
# statement that decrypts something with it.
sub databases
{
	my ($node, @databases) = @_;
	my %decrypt;

	foreach my $db (@databases)
	{
		$node->safe_psql('postgres', "CREATE DATABASE $db") unless $db eq 'postgres';
		$node->safe_psql($db, 'CREATE EXTENSION kms');
		my ($key, $pem) = issue($node, $db, 'phone');
		$decrypt{$db} = "SELECT kms_decrypt('$key', '" . KmsTest::encrypt_with_openssl($pem, 'secret') . "')";
	}
	return %decrypt;
}

# Return how many worker slots are taken by parallel queries.
sub slots_taken
{
	my ($node) = @_;
	return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
}

# Take so many worker slots in sessions of the role nobody, and return the
# sessions.
sub take_slots
{
	my ($node, $count) = @_;
	my @takers;

	KmsTest::poll(
		sub {
			return 1 if slots_taken($node) >= $count;
			my $taker = KmsClient->session($node, 'postgres');
			$taker->query('SET SESSION AUTHORIZATION nobody');
			$taker->query("SELECT set_config(name, 'on', false) FROM pg_settings
				WHERE name IN ('force_parallel_mode', 'debug_parallel_query')");
			$taker->send('SELECT pg_sleep(3600)');
			push @takers, $taker;
			return 0;
		}) or die 'not all slots are taken';
	return @takers;
}

# ---- A session that stays open -------------------------------------------

sub session
{
	my ($class, $node, $db) = @_;
	my $self = bless { in => '', out => '', err => '', state => '' }, $class;

	$self->{timer} = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
	$self->{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d',
			$node->connstr($db)
		],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err},
		$self->{timer});
	$self->{pid} = $self->query('SELECT pg_backend_pid()');
	return $self;
}

# Send statements without waiting for them.
sub send
{
	my ($self, $sql) = @_;
	$self->{in} .= "$sql\n;\n\\echo done:SQLSTATE\n";
	$self->{run}->pump_nb;
}

# Wait for what was sent; returns its rows, and sets $session->{state}.
sub receive
{
	my $self = shift;

	$self->{timer}->reset;
	$self->{run}->pump until $self->{out} =~ /^done(\w{5})$/m ||
	  $self->{timer}->is_expired;
	die "no answer: $self->{err}" unless $self->{out} =~ s/^done(\w{5})\n//m;
	$self->{state} = $1;
	my $rows = $self->{out};
	$self->{out} = '';
	chomp $rows;
	return $rows;
}

sub query
{
	my ($self, $sql) = @_;
	$self->send($sql);
	return $self->receive;
}

sub quit
{
	my $self = shift;
	$self->{in} .= "\\q\n";
	$self->{run}->finish;
}

1;
