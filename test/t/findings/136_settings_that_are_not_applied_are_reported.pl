# A typo in a setting of kms, wherever it was made, is an error of kms_check():
# the server only warns at its start and takes the default.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('typo', conf => 'kms.maintenance = off', start => 0);
my $conf = $node->data_dir . '/postgresql.conf';
my $good = slurp_file($conf);

sub findings
{
	return KmsClient::findings($node, 'postgres');
}

sub complaints
{
	return join "\n", grep { /^(?:error|warning|notice: settings)/ && !/fsync/ } split /\n/, findings();
}

sub write_conf
{
	my $lines = shift;
	open my $file, '>', $conf or die "$conf: $!";
	print $file $good, $lines;
	close $file or die "$conf: $!";
}

# ---- In files, at the start -------------------------------------------------

my $other = $node->data_dir . '/other.conf';
write_conf("kms.audit = 'requird'\nkms.require_tsl = on\ninclude 'other.conf'\n");
append_to_file($other, "KMS.Require_TSL = on\n");
append_to_file($node->data_dir . '/postgresql.auto.conf', "kms.event_detail = 'everything'\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
is($node->safe_psql('postgres', 'SHOW kms.audit'), 'best_effort', 'a server starts with a typo');
my $findings = findings();
like($findings, qr/^error: parameter "kms\.audit" has an invalid value \(\S+postgresql\.conf:\d+\) and is not applied \(.*SHOW kms\.audit/m,
	'a wrong value is an error of kms_check()');
like($findings, qr/^error: there is no parameter "kms\.require_tsl" \(\S+postgresql\.conf:\d+\)/m, 'a wrong name is an error of kms_check()');
like($findings, qr/^error: there is no parameter "KMS\.Require_TSL" \(\S+other\.conf:1\)/m,
	'a wrong name in capitals and in an included file is found');
like($findings, qr/^error: parameter "kms\.event_detail" has an invalid value \(\S+postgresql\.auto\.conf:\d+\)/m,
	'a wrong name that ALTER SYSTEM has written is found');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET kms.event_detail');
write_conf('');
$node->reload;
ok(KmsTest::poll(sub { complaints() eq '' }), 'corrected and reloaded there is no complaint');

# ---- Later -------------------------------------------------------------------

write_conf("kms.audit = 'required'\nkms.audit = 'best_effort'\n");
is(complaints(), '', 'a line that a later line overrides is no finding');
write_conf("kms.event_ring_size = 2MB\n");
$node->reload;
ok( KmsTest::poll(sub { findings() =~ /^notice: settings that were changed wait for a restart: kms\.event_ring_size/m }),
	'a setting that waits for a restart is a notice');
unlike(findings(), qr/invalid value/, 'a setting that waits for a restart is not an invalid value');
$node->restart;
is(complaints(), '', 'after the restart there is no complaint');
write_conf('');
$node->reload;
ok( KmsTest::poll(sub { findings() =~ /^notice: settings that were changed wait for a restart: kms\.event_ring_size/m }),
	'a line that is removed waits for a restart, too');
unlike(complaints(), qr/^error/m, 'a line that is removed is no error');
$node->restart;
write_conf("wrok_mem = 1MB\nkms.audit = required\n");
like(complaints(), qr/^error: a reload applies nothing, because parameter "wrok_mem" \(\S+:\d+\) is not known/m,
	'a name because of which a reload applies nothing is an error');
write_conf("kms.audit = 'required\n");
like(complaints(), qr/^error: a configuration file cannot be read \(\S+:\d+\): syntax error/m, 'a file with a syntax error is an error');
write_conf('');
$node->reload;
ok(KmsTest::poll(sub { complaints() eq '' }), 'corrected and reloaded there is no complaint');

# ---- On the command line ------------------------------------------------------

$node->stop;
command_ok([ 'pg_ctl', '-D', $node->data_dir, '-l', $node->logfile, '-w', '-o',
		'-c kms.audit=requird --kms.require-tsl=on -c kms.audit_timeout=7s --cluster-name=typo', 'start' ],
	'a server starts with a typo on its command line');
$node->_update_pid(1);
$findings = findings();
like($findings, qr/^error: parameter "kms\.audit" has an invalid value on the server's command line and is not applied/m,
	'a wrong value on the command line is an error');
like($findings, qr/^error: there is no parameter "kms\.require_tsl", which the server was started with/m, 'a wrong name on the command line is an error');
unlike($findings, qr/audit_timeout/, 'a correct value on the command line is no error');
is($node->safe_psql('postgres', 'SHOW kms.audit_timeout'), '7s', 'a correct value is applied');
$node->stop;

# ---- Settings of a database or role ------------------------------------------------------

# Without the library the server accepts any name.
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->start;
$node->safe_psql('postgres', "CREATE ROLE app; ALTER DATABASE postgres SET kms.audit = 'requird';
	ALTER ROLE app SET kms.require_tsl = 'on'; ALTER ROLE ALL SET kms.key_algorithm = 'RSA-3072'");
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'kms'");
$node->restart;
$findings = findings();
like($findings, qr/^error: parameter "kms\.audit" is set for database postgres and is not applied, because/m,
	'a value of ALTER DATABASE that the server refuses is an error');
like($findings, qr/^error: there is no parameter "kms\.require_tsl", which is set for role app/m,
	'a wrong name of ALTER ROLE is an error');
unlike($findings, qr/key_algorithm/, 'a setting that is applied is no finding');
my ($hint) = $findings =~ /"kms\.audit" is set.*(UPDATE pg_catalog.*)\.\)$/m;
$node->safe_psql('postgres', "$hint; ALTER ROLE app RESET \"kms.require_tsl\"");
unlike(findings(), qr/parameter/, 'the hint works when followed');
$node->stop;
done_testing();
