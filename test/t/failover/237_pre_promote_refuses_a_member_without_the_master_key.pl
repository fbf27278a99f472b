# examples/patroni/pre_promote accepts a member that has the master keys of all
# databases, and refuses one that does not or does not answer, within its time
# limit.  Settings of a database and its owner have no say.  An operator can
# override it for an hour, and name a master key that is lost.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $script = "$FindBin::Bin/../../../examples/patroni/pre_promote";
my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ], conf => 'kms.maintenance = off');
my @master_key = split /\n/, slurp_file(KmsTest::master_key_path($primary));

# The databases: one without the extension, one with an awkward name.
my $name = q(a'b\\c "d");
$primary->safe_psql('postgres', $_) foreach (
	'CREATE DATABASE app',
	'CREATE DATABASE "a\'b\\c ""d"""',
	'CREATE ROLE weak',
	'CREATE ROLE ready LOGIN');
foreach my $database ('app', $name)
{
	$primary->safe_psql($database, 'CREATE SCHEMA "my keys"; CREATE EXTENSION kms SCHEMA "my keys"');
}
$primary->safe_psql('app', q(SET search_path = "my keys"; SELECT kms_issue_key('phone')));
my $fingerprint = $primary->safe_psql('app', 'SELECT master_key_id FROM "my keys".kms_master_key_status()');

my $standby = KmsTest->standby($primary, 'standby', start => 0);
my $file = KmsTest::master_key_path($standby);
$standby->append_conf('postgresql.conf', "kms.master_key_file = '$file'");
$standby->start;

# Return the script's exit status and what it says.
sub ask
{
	my ($node, @words) = @_;
	my $conninfo = 'host=' . $node->host . ' port=' . $node->port;
	$conninfo .= ' ' . pop @words if @words && $words[-1] =~ /=/;
	my $said = '';
	IPC::Run::run([ $script, '--override', $node->basedir . '/anyway', @words, $conninfo ], '>&', \$said);
	return ($? >> 8, $said);
}

sub answers
{
	my ($node, $words, $status, $pattern, $what) = @_;
	my ($found, $said) = ask($node, @$words);
	is($found, $status, $what) or diag($said);
	like($said, $pattern, "$what: words");
}

answers($primary, [], 0, qr/^$/, 'a server with the master key is accepted');
answers($standby, [], 1, qr/^pre_promote: dbname='.*': master key.* (?:is missing|cannot be opened)/m,
	'a standby without a master key is refused');
answers($standby, [ '--lost', $fingerprint ], 1, qr/^pre_promote: dbname='.*': master key: \w+/m,
	'and also if that key is lost, because it has none');

KmsTest::write_master_key($file);
$standby->reload;
KmsTest::poll(sub { (ask($standby, '--lost', $fingerprint))[0] == 0 });
answers($standby, [], 1, qr/master key $fingerprint is missing/, 'a standby with another master key is refused');
answers($standby, [ '--lost', $fingerprint ], 0, qr/^$/, 'unless the first one is said to be lost');

# The operator overrides it.
my $anyway = $standby->basedir . '/anyway';
append_to_file($anyway, '');
answers($standby, [], 0, qr/promoting without asking/, 'a new file overrides it');
utime time - 7200, time - 7200, $anyway or die;
answers($standby, [], 1, qr/is missing/, 'a file of two hours ago does not');
utime time + 7200, time + 7200, $anyway or die;
answers($standby, [], 1, qr/is missing/, 'nor does a file from the future');

KmsTest::write_master_key($file, @master_key);
$standby->reload;
KmsTest::poll(sub { (ask($standby))[0] == 0 });
answers($standby, [], 0, qr/^$/, 'with the master key in place it is accepted');

# Settings that an owner of a database can make.
my $lsn = $primary->safe_psql('postgres', <<'SQL');
ALTER DATABASE app SET default_transaction_isolation = serializable;
ALTER DATABASE app SET role = weak;
ALTER DATABASE app SET statement_timeout = 1;
ALTER DATABASE app SET lock_timeout = 1;
ALTER DATABASE app SET search_path = public;
ALTER DATABASE app SET local_preload_libraries = 'nothing';
ALTER DATABASE app CONNECTION LIMIT 0;
SELECT pg_current_wal_lsn();
SQL
KmsTest::poll(sub { $standby->safe_psql('postgres', "SELECT pg_last_wal_replay_lsn() >= '$lsn'") eq 't' });
answers($standby, [], 0, qr/^$/, 'settings of a database do not matter');
$primary->safe_psql('postgres', 'ALTER DATABASE app CONNECTION LIMIT -1');

# A role with the rights that the manual names.
answers($primary, [ '--limit', 2, 'user=ready' ], 1, qr/permission denied/, 'a role without rights learns nothing');
foreach my $database ('app', $name)
{
	local $ENV{PGOPTIONS} = '-c role=none -c local_preload_libraries= -c statement_timeout=0';
	$primary->safe_psql($database, 'GRANT USAGE ON SCHEMA "my keys" TO ready;
		GRANT EXECUTE ON FUNCTION "my keys".kms_master_key_status TO ready');
}
answers($primary, [ 'user=ready' ], 0, qr/^$/, 'and with them it does the job');

# A password that nobody can type, and a lock that somebody holds.
my $hba = slurp_file($primary->data_dir . '/pg_hba.conf');
append_to_file($primary->data_dir . '/pg_hba.new', "local all ready scram-sha-256\n$hba");
rename $primary->data_dir . '/pg_hba.new', $primary->data_dir . '/pg_hba.conf' or die;
$primary->reload;
KmsTest::poll(sub { (ask($primary, '--limit', 1, 'user=ready'))[0] == 1 });
answers($primary, [ '--limit', 2, 'user=ready' ], 1, qr/no password supplied/, 'no password is asked for');
my $holder = KmsClient->session($primary, $name);
$holder->query('BEGIN; LOCK kms.key IN ACCESS EXCLUSIVE MODE');
is($holder->{state}, '00000', 'a table is locked');
answers($primary, [ '--limit', 2 ], 1, qr/no answer within 2 s/, 'a database that is locked is refused');
$holder->query('ROLLBACK');
$holder->quit;
answers($primary, [], 0, qr/^$/, 'and accepted when the lock is gone');

# No answer.
my $pid = (split /\n/, slurp_file($standby->data_dir . '/postmaster.pid'))[0];
kill 'STOP', $pid;
my $start = time;
answers($standby, [ '--limit', 2 ], 1, qr/no answer within 2 s/, 'a server that hangs is refused');
cmp_ok(time - $start, '<', $PostgreSQL::Test::Utils::timeout_default, 'the time is limited');
kill 'CONT', $pid;
$standby->stop;
answers($standby, [ '--limit', 2 ], 1, qr/no answer within 2 s/, 'a server that is down is refused');
answers($standby, [ '--limit', '2; id' ], 2, qr/usage/, 'a wrong limit is refused');
answers($standby, [ '--lost', "x' OR true --" ], 2, qr/usage/, 'a wrong fingerprint is refused');

$primary->stop;
done_testing();
