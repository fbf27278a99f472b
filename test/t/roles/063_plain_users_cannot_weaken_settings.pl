# A plain user can change no setting of kms: not when connecting, not for the
# user's role, not in a session.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsClient;
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = KmsTest->node('settings');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
$node->safe_psql('postgres',
	'CREATE ROLE plain LOGIN CREATEROLE CREATEDB; GRANT EXECUTE ON FUNCTION kms_issue_key, kms_rotate_key, kms_rate_limit_status TO plain');

my @settings = split /\n/,
  $node->safe_psql('postgres',
	"SELECT name || '|' || reset_val FROM pg_settings WHERE name LIKE 'kms.%' AND name NOT IN ('kms.audit_context', 'kms.progress_interval') ORDER BY 1");
cmp_ok(scalar @settings, '>=', 20, 'there are settings');

foreach (@settings)
{
	my ($name, $value) = split /\|/, $_, 2;
	{
		local $ENV{PGOPTIONS} = "-c $name=$value";
		like(KmsClient::connection_error($node, 'postgres', '-U', 'plain'),
			qr/FATAL: .*(?:permission denied|cannot be changed|cannot be set)/,
			"$name cannot be set by PGOPTIONS");
	}
	foreach my $statement (
		"SET $name = '$value'",
		"SET LOCAL $name = '$value'",
		"SELECT set_config('$name', '$value', false)",
		"ALTER ROLE plain SET $name = '$value'",
		"ALTER ROLE ALL SET $name = '$value'",
		"ALTER SYSTEM SET $name = '$value'")
	{
		my ($status, undef, $error) =
		  $node->psql('postgres', $statement, extra_params => [ '-U', 'plain' ]);
		ok($status != 0 && $error =~ /permission denied|cannot be changed|must be superuser/,
			"$statement is refused");
	}
}

# Users may configure what they own, but not beyond their rights.
$node->safe_psql('postgres', 'CREATE DATABASE mine', extra_params => [ '-U', 'plain' ]);
my ($status, undef, $error) = $node->psql('postgres',
	'ALTER DATABASE mine SET kms.keygen_limit = 1000', extra_params => [ '-U', 'plain' ]);
ok($status != 0, 'the owner of a database cannot set its policy');

# The limit holds for a user who tries.
$node->safe_psql('postgres', "SELECT kms_rotate_key('phone')",
	extra_params => [ '-U', 'plain' ]) foreach 1 .. 5;
($status, undef, $error) = $node->psql('postgres',
	"SET session_replication_role = replica; SET row_security = off; SELECT kms_rotate_key('phone')",
	extra_params => [ '-U', 'plain' ]);
ok($status != 0, 'the limit holds');
($status, undef, $error) = $node->psql('postgres',
	"BEGIN; SAVEPOINT s; SELECT kms_rotate_key('phone')",
	extra_params => [ '-U', 'plain' ]);
like($error, qr/rate limit/, 'in a savepoint, too');

# A superuser may give a role and a database a policy.
$node->safe_psql('postgres',
	"ALTER ROLE plain SET kms.keygen_limit = 6; ALTER DATABASE mine SET kms.key_algorithm = 'RSA-3072'");
is( $node->safe_psql('postgres', "SELECT used, allowed FROM kms_rate_limit_status('phone')",
		extra_params => [ '-U', 'plain' ]),
	'5|6',
	"a superuser's policy holds for the role");
is($node->safe_psql('mine', 'SHOW kms.key_algorithm'), 'RSA-3072', 'the policy of a superuser holds for the database');

$node->stop;
done_testing();
