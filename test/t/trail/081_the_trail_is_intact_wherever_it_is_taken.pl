# The trail stays intact, and holds the heads that were noted of it, on a
# standby and after its promotion, after a dump and restore (also by several
# jobs and into a database of another encoding) and in events that follow there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../../perl";
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $primary = KmsTest->node('primary', init => [ allows_streaming => 1 ],
	conf => 'kms.maintenance = off');
my $master_key = slurp_file(KmsTest::master_key_path($primary));

sub verify
{
	my ($node, $db, $head) = @_;
	$head = defined $head ? "'$head'" : 'NULL';
	return $node->safe_psql($db,
		"SELECT intact, last_ticket, finding FROM kms_audit_verify($head)");
}

# Record some events and return the last ticket.
sub go_on
{
	my ($node, $db, $name) = @_;
	return $node->safe_psql($db,
		"SET application_name = '$name';
		DO \$\$ BEGIN
			PERFORM set_config('kms.audit_context', letter() || ' request', true);
			PERFORM kms_revoke_key(key_id, letter() || ' reason') FROM kms_issue_key('$name ' || letter());
			PERFORM kms_try_decrypt('none', 'AAAA');
		END \$\$;
		DO 'BEGIN PERFORM kms_flush_events(); END';
		SELECT max(ticket) FROM kms.event");
}

sub head
{
	my ($node, $db) = @_;
	return $node->safe_psql($db, 'SELECT kms_audit_head()');
}

# A character, of each encoding, that has two or three bytes in UTF-8.
my %letter = (
	UTF8 => '\xc3a9', LATIN1 => '\xe9', EUC_JP => '\xa4a2',
	WIN1252 => '\x80', SQL_ASCII => '\x41');
foreach my $encoding (sort keys %letter)
{
	my $db = "of $encoding";
	$primary->safe_psql('postgres',
		"CREATE DATABASE \"$db\" ENCODING '$encoding' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
	$primary->safe_psql($db,
		"CREATE EXTENSION kms; CREATE FUNCTION letter() RETURNS text LANGUAGE sql
			AS \$\$SELECT convert_from('$letter{$encoding}', '$encoding')\$\$");
	my $last = go_on($primary, $db, 'first');
	is(verify($primary, $db), "t|$last|", "$encoding: intact");
	is( $primary->safe_psql($db,
			"SELECT count(*) FROM kms.event WHERE context = letter() || ' reason' AND audit_context = letter() || ' request'"),
		'1', "$encoding: with what it says");
}

# ---- A standby -----------------------------------------------------------

my $db = 'of UTF8';
my $noted = head($primary, $db);
my $last = go_on($primary, $db, 'second');
my $standby = KmsTest->standby($primary, 'standby');
$primary->wait_for_catchup('standby', 'replay', $primary->lsn('insert'));
is(head($standby, $db), head($primary, $db), 'a standby has the head');
is(verify($standby, $db, $noted), "t|$last|", 'the trail of a standby is intact');
$standby->promote;
$last = go_on($standby, $db, 'promoted');
is(verify($standby, $db, $noted), "t|$last|", 'the trail goes on when the standby is promoted');
$standby->stop;

is( $primary->safe_psql($db,
		'BEGIN READ ONLY; SELECT intact FROM kms_audit_verify(); COMMIT'),
	't', 'a read-only transaction can verify the trail');
is( $primary->safe_psql($db,
		"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT kms_try_decrypt('none', 'AAAA'); SELECT kms_flush_events();
		SELECT intact FROM kms_audit_verify(); COMMIT") =~ s/\s//gr,
	'1t', 'a transaction with an older snapshot can verify the trail');

# ---- Dump and restore ----------------------------------------------------

my $target = KmsTest->node('target', conf => 'kms.maintenance = off',
	master_key => [ split /\n/, $master_key ]);
foreach my $case (
	[ 'of UTF8', 'UTF8' ], [ 'of UTF8', 'UTF8', '--jobs=2' ],
	[ 'of LATIN1', 'UTF8' ], [ 'of EUC_JP', 'UTF8' ])
{
	my ($from, $encoding, @options) = @$case;
	my $name = join ' ', "a trail $from in $encoding", @options;
	my $dump = "$dir/dump";

	$noted = head($primary, $from);
	command_ok([ 'rm', '-rf', $dump ]) if -e $dump;
	$primary->command_ok(
		[ 'pg_dump', '-Fd', '-f', $dump, '-d', $primary->connstr($from) ],
		"$name: dumped");
	$target->safe_psql('postgres',
		"CREATE DATABASE \"$name\" ENCODING '$encoding' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
	$target->command_ok(
		[ 'pg_restore', '--exit-on-error', @options, '-d', $target->connstr($name), $dump ],
		"$name: restored");
	# A gap may have been recorded already.
	like(verify($target, $name, $noted), qr/^t\|\d+\|$/, "$name: intact");
	$last = go_on($target, $name, 'restored');
	is(verify($target, $name, $noted), "t|$last|", "$name: and goes on");
	is( $target->safe_psql($name,
			"SELECT count(*) FROM kms.event WHERE context = letter() || ' reason'"),
		$primary->safe_psql($from,
			"SELECT 1 + count(*) FROM kms.event WHERE context = letter() || ' reason'"),
		"$name: all of it");
}
$_->stop foreach $primary, $target;
done_testing();
