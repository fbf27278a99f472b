# The writer signs the trail: at intervals, and each 10,000 tickets exactly,
# also what was written while there was no master key.  Whoever has a
# checkpoint and the public key can verify it with the openssl command.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use IPC::Run;
use KmsTest;
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('primary', conf => 'kms.audit_checkpoint_interval = 1');

$node->safe_psql('postgres', 'CREATE EXTENSION kms');

sub sql
{
	return $node->safe_psql('postgres', shift);
}

# Wait for a signature of all that is there; returns the last ticket.
sub signed
{
	my $last = sql('SELECT kms_flush_events(); SELECT max(ticket) FROM kms.event');
	ok(KmsTest::poll(
			sub { sql("SELECT count(*) FROM kms.event_checkpoint WHERE ticket >= $last") }),
		"signed up to ticket $last");
	return $last;
}
sql("SELECT key_id FROM kms_issue_key('a device')");
signed();
print sql("SELECT * FROM kms.event_checkpoint"), "\n";
print sql("SELECT * FROM kms_audit_checkpoints()"), "\n";
print sql("SELECT * FROM kms_check()"), "\n";
print sql("SELECT * FROM kms_master_key_status()"), "\n";
done_testing();
