# Servers with kms: keys and ciphertexts, settings, calls by pgbench.
#
# $main is the session in which most rows work, on the server "product".  @issued
# has an element for each key of its table "cipher", whose devices have the
# numbers from 1.
package BenchServer;

use strict;
use warnings;

use BenchProcess;
use BenchTable;
use Exporter qw(import);
use Time::HiRes qw(usleep);

our @EXPORT = qw(
	$main $pin @issued prepare_server server_setting wait_for_pool
	keys_up_to issue_one encrypt_missing prepare_warm warm_sql
	available first_cipher silent decrypt_scripts dropped writer pgbench tps
	latencies
);

our $main;
our $pin = '1234';
our @issued;
my %first;
my $silent;

sub prepare_server
{
	my $session = shift;
	sql($session, 'CREATE EXTENSION kms');
	sql($session,
		'CREATE TABLE cipher (device int, key_id text, ciphertext text)');
	# The launcher reads the master key a moment after the start.
	for (1 .. 100)
	{
		return
		  if sql($session,
			"SELECT count(*) FROM kms_master_key_status() WHERE status = 'current'"
		  );
		usleep(100_000);
	}
	die "there is no master key\n";
}

sub server_setting
{
	my ($name, $value, $session) = @_;
	$session ||= $main;
	sql($session, "ALTER SYSTEM SET $name = '$value'");
	sql($session, 'SELECT pg_reload_conf()');
	for (1 .. 100)
	{
		return if sql($session, "SHOW $name") eq $value;
		usleep(50_000);
	}
	die "the setting was not read\n";
}

sub wait_for_pool
{
	my ($n, $session) = @_;
	for (1 .. 6000)
	{
		return
		  if sql($session || $main,
			"SELECT value FROM kms.status WHERE item = 'keys in the pool'") == $n;
		usleep(100_000);
	}
	die "the pool is not filled\n";
}

# Keys of devices 1 to n, with one ciphertext each in bench.cipher.
sub keys_up_to
{
	my $n = shift;
	while (@issued < $n)
	{
		push @issued, issue_one(@issued + 1);
	}
}

sub issue_one
{
	my $device = shift;
	return sql_us(
		$main, "INSERT INTO cipher SELECT $device, key_id, NULL
		FROM kms_issue_key('bench-$device')");
}

sub encrypt_missing
{
	sql($main, "UPDATE cipher SET ciphertext = kms_encrypt(key_id, '$pin')
		WHERE ciphertext IS NULL");
	sql($main, 'VACUUM ANALYZE cipher');
}

# Return a statement with N decrypts of one ciphertext.
sub prepare_warm
{
	my $session = shift;
	sql($session, 'PREPARE warm (text, text, int) AS
		SELECT count(kms_decrypt($1, $2)) FROM generate_series(1, $3)');
}

sub warm_sql
{
	my ($n,      $of)         = @_;
	my ($key_id, $ciphertext) = first_cipher($of);
	return "EXECUTE warm ('$key_id', '$ciphertext', $n)";
}

# Return whether the server has the extension, and say so in a note if not.
sub available
{
	my ($row, $name) = @_;
	return 1
	  if sql($main, "SELECT count(*) FROM pg_available_extensions WHERE name = '$name'");
	note("$row: $name is not installed, so not measured");
	return 0;
}

sub first_cipher
{
	my $session = shift || $main;
	$first{$session} ||= [
		split /\|/,
		sql($session,
			'SELECT key_id, ciphertext FROM cipher WHERE device = 1')
	];
	return @{ $first{$session} };
}

# A session on the server that records nothing.
sub silent
{
	unless ($silent)
	{
		$silent = session('silent');
		prepare_server($silent);
		sql($silent,
			"INSERT INTO cipher SELECT 1, key_id, kms_encrypt(key_id, '$pin')
			FROM kms_issue_key('bench-1')"
		);
	}
	return $silent;
}

# The same decrypt for pgbench on both servers.
sub decrypt_scripts
{
	my $silent = shift;
	keys_up_to(1);
	encrypt_missing();
	return (
		product => sprintf("SELECT kms_decrypt('%s', '%s')", first_cipher()),
		silent  => sprintf("SELECT kms_decrypt('%s', '%s')",
			first_cipher($silent)));
}

sub dropped
{
	return sql($main,
		"SELECT value FROM kms.status WHERE item = 'events dropped'");
}

# Return the writer's process id (0 if it does not run), its processor time, and
# the number of events so far.
sub writer
{
	my $pid = sql(
		$main, "SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'kms writer'") || 0;
	return (
		$pid,
		$pid ? settled($pid) : 0,
		sql($main, "SELECT value FROM kms.status
			WHERE item = 'events recorded'"));
}

# The latencies, in microseconds, of pgbench's transactions.
sub pgbench
{
	my ($server, $script, @options) = @_;
	my $file = "$work/pgbench.sql";
	my $summary;

	open my $out, '>', $file or die;
	print $out "$script;\n";
	close $out;
	unlink glob "$work/latency.*";
	open my $pipe, '-|', "$bin/pgbench", '-n', '-h', "$work/$server", '-U',
	  'postgres', '-f', $file, @options, 'postgres'
	  or die;
	{ local $/; $summary = <$pipe>; }
	close $pipe or die "pgbench failed\n";
	return $summary;
}

sub tps
{
	my $summary = shift;
	my ($tps) = $summary =~ /^tps = ([\d.]+)/m or die $summary;
	return $tps;
}

sub latencies
{
	my ($script, @options) = @_;
	my @latencies;

	pgbench('product', $script, '-l', "--log-prefix=$work/latency", @options);
	foreach my $file (glob "$work/latency.*")
	{
		open my $log, '<', $file or die;
		push @latencies, map { (split)[2] } <$log>;
	}
	return @latencies;
}

1;
