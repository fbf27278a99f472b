# kms_check() names the roles that have rights which only the owner of the
# extension should have, no matter how they got them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use Test::More;

my $node = KmsTest->node('rights', conf => 'kms.maintenance = off');
$node->safe_psql('postgres', 'CREATE ROLE app; CREATE ROLE "The App"; CREATE ROLE member; CREATE ROLE "group";
	GRANT "group" TO member; CREATE ROLE dbo; CREATE DATABASE app OWNER dbo');
$node->safe_psql('app', 'CREATE SCHEMA keys; CREATE EXTENSION kms SCHEMA keys');

sub findings
{
	return $node->safe_psql('app',
		"SELECT severity || ': ' || finding FROM keys.kms_check()");
}

# The right is named, and no longer when it is taken again.
sub named
{
	my ($what, $grant, $finding, $revoke) = @_;
	$node->safe_psql('app', $grant);
	like(findings(), qr/^$finding$/m, "$what is named");
	$node->safe_psql('app', $revoke);
	unlike(findings(), qr/roles may|everybody may/, "$what is not named any more");
}

unlike(findings(), qr/roles may|everybody may/, 'nobody has a right after CREATE EXTENSION, the database\'s owner included');

my $writers = 'warning: roles may write tables or sequences of kms:';
named('a member of pg_write_all_data', 'GRANT pg_write_all_data TO app', "$writers app \\(all\\)",
	'REVOKE pg_write_all_data FROM app');
named('a member of pg_write_all_data that does not inherit it',
	'ALTER ROLE app NOINHERIT; GRANT pg_write_all_data TO app', "$writers app \\(all\\)",
	'REVOKE pg_write_all_data FROM app; ALTER ROLE app INHERIT');
named('who may write a column', 'GRANT UPDATE (state) ON kms.key TO "The App"', "$writers \"The App\" \\(kms\\.key\\)",
	'REVOKE ALL ON kms.key FROM "The App"; REVOKE UPDATE (state) ON kms.key FROM "The App"');
named('a member of who may delete', 'GRANT DELETE ON kms.event, kms.denial TO "group"',
	"$writers \"group\" \\(kms\\.denial, kms\\.event\\), member \\(kms\\.denial, kms\\.event\\)",
	'REVOKE ALL ON kms.event, kms.denial FROM "group"');
named('who may empty a table', 'GRANT TRUNCATE ON kms.pepper TO app', "$writers app \\(kms\\.pepper\\)",
	'REVOKE TRUNCATE ON kms.pepper FROM app');
named('who may exhaust a sequence', 'GRANT UPDATE ON kms.event_outbox_event_id_seq TO app',
	"$writers app \\(kms\\.event_outbox_event_id_seq\\)", 'REVOKE UPDATE ON kms.event_outbox_event_id_seq FROM app');
named('PUBLIC', 'GRANT INSERT ON kms.denial TO PUBLIC', "$writers PUBLIC \\(kms\\.denial\\)",
	'REVOKE INSERT ON kms.denial FROM PUBLIC');
named('who may make triggers', 'GRANT TRIGGER ON kms.event TO app',
	'warning: roles may make triggers on tables of kms: app \(kms\.event\)',
	'REVOKE TRIGGER ON kms.event FROM app');
named('who may make foreign keys', 'GRANT REFERENCES ON kms.key TO app',
	'notice: roles may make foreign keys to tables of kms: app',
	'REVOKE REFERENCES ON kms.key FROM app');

named('who may call every function', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA keys TO app',
	'warning: roles may call every function of kms, break-glass included: app',
	'REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA keys FROM app');
my $dangerous = 'notice: roles may destroy keys, open what refused keys protect, import keys, forget devices or accept a changed trail:';
foreach my $function (qw(kms_destroy_key kms_decrypt_recover kms_decrypt_recover_bytea kms_import_key kms_forget_device
	kms_audit_accept))
{
	named("who may call $function", "GRANT EXECUTE ON FUNCTION keys.$function TO app",
		"$dangerous app \\($function\\)", "REVOKE EXECUTE ON FUNCTION keys.$function FROM app");
}
named('a function for everybody', 'GRANT EXECUTE ON FUNCTION keys.kms_decrypt TO PUBLIC',
	'error: everybody may call functions of kms: kms_decrypt', 'REVOKE EXECUTE ON FUNCTION keys.kms_decrypt FROM PUBLIC');
named('who may create functions beside those of kms', 'GRANT CREATE ON SCHEMA keys TO app',
	'warning: roles may create objects beside those of kms: app \(schema keys\)',
	'REVOKE CREATE ON SCHEMA keys FROM app');

# The owner of the database may create objects in schema public.
$node->safe_psql('postgres', 'CREATE DATABASE plain OWNER dbo');
$node->safe_psql('plain', 'CREATE EXTENSION kms');
like(KmsClient::findings($node, 'plain'),
	qr/^warning: roles may create objects beside those of kms: dbo \(schema public\) \(.*ALTER SCHEMA public OWNER TO/m,
	'the owner of the database is named if kms is in schema public');
$node->safe_psql('plain', 'ALTER SCHEMA public OWNER TO postgres');
unlike(KmsClient::findings($node, 'plain'), qr/beside those of kms/, 'the role is not named when the hint was followed');

# Foreign keys that existed before.
$node->safe_psql('app', 'CREATE TABLE good (a text REFERENCES kms.key, b varchar(128) REFERENCES kms.key)');
unlike(findings(), qr/foreign keys whose/, 'a foreign key of text is no finding');

# A foreign key that needs a cast can only be made while kms is not loaded.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$node->safe_psql('app', 'CREATE TABLE bad (a name CONSTRAINT casting REFERENCES kms.key)');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'kms'");
$node->restart;
like(findings(), qr/^error: foreign keys whose check may run code of others: casting of public\.bad$/m,
	'a foreign key that needs a cast is named');
$node->safe_psql('app', 'DROP TABLE bad');
unlike(findings(), qr/foreign keys whose/, 'the finding ends when the object is dropped');
$node->stop;
done_testing();
