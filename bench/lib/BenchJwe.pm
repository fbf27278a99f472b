# The rows of JWE and of elliptic curves: jwe, ec.
package BenchJwe;

use strict;
use warnings;

use BenchFigures;
use BenchProcess;
use BenchServer;
use BenchTable;
use Exporter qw(import);

our @EXPORT = qw(jwe ec);

# In each call of kms_decrypt_jwe, 1 kB is opened.
my $content = 'x' x 1024;
my $keys    = 100;

sub jwe
{
	my @rows = (
		[ 'RSA-2048', 'RSA-OAEP-256', '<= 1.12' ],
		[ 'EC-P256',  'ECDH-ES',      '<= 0.40', '<= 0.55' ],
		[ 'X25519',   'ECDH-ES',      '<= 0.25', '<= 0.55' ]);

	sql($main, 'CREATE TABLE jwe (algorithm text, jwe text)');
	sql($main, 'PREPARE jwe (text, int) AS
		SELECT count(kms_decrypt_jwe($1, NULL)) FROM generate_series(1, $2)');
	foreach (@rows)
	{
		my ($algorithm, $alg, $open, $first) = @$_;
		my $n = $first ? $keys : 1;
		sql($main, "INSERT INTO jwe SELECT '$algorithm', kms_encrypt_jwe(key_id, '$content', alg => '$alg')
			FROM generate_series(1, $n) AS g, kms_issue_key('jwe-$algorithm-' || g, algorithm => '$algorithm')");
	}
	sql($main, 'VACUUM ANALYZE jwe');
	jwe_open(@$_) foreach @rows;
	server_setting('kms.key_cache_size', 16);
	jwe_first_use(@$_) foreach grep { $_->[3] } @rows;
	server_setting('kms.key_cache_size', 128);
	sql($main, 'DEALLOCATE jwe');
}

sub jwe_open
{
	my ($algorithm, $alg, $target) = @_;
	my $n = 300;
	my (@bare, @measured);
	my $jwe = sql($main, "SELECT jwe FROM jwe WHERE algorithm = '$algorithm' LIMIT 1");

	sql($main, "EXECUTE jwe ('$jwe', 2000)");
	each_us(bare(), 'warm', 500);
	for (1 .. 15)
	{
		push @bare,     each_us(bare(), 'warm', $n);
		push @measured, sql_us($main, "EXECUTE jwe ('$jwe', $n)") / $n;
	}
	of_bare("JWE $alg, $algorithm, 1 kB, key open", $target, \@measured, \@bare);
}

sub jwe_first_use
{
	my ($algorithm, $alg, undef, $target) = @_;
	my (@bare, @measured);
	my $each = "SELECT count(kms_decrypt_jwe(jwe, NULL)) FROM jwe WHERE algorithm = '$algorithm'";

	sql($main, $each);
	for (1 .. 15)
	{
		push @bare,     each_us(bare(), 'warm', 150);
		push @measured, sql_us($main, $each) / $keys;
	}
	of_bare("JWE $alg, $algorithm, 1 kB, one key per row", $target, \@measured, \@bare);
}

sub of_bare
{
	my ($what, $target, $measured, $bare) = @_;
	result(
		row         => 'jwe',
		what        => "$what: of the bare RSA operation",
		target      => $target,
		result      => ratios($measured, $bare),
		result_unit => '×',
		measured    => $measured,
		unit        => 'µs',
		yardstick   => $bare,
		name        => 'bare');
}

# Each key in a statement and a transaction of its own.
sub ec
{
	my $n = 200;

	sql($main, 'CREATE TABLE ec_row (a int)');
	foreach my $algorithm ('EC-P256', 'X25519')
	{
		my (@bare, @issued, @many);
		for my $round (1 .. 9)
		{
			push @bare, sql_us($main, join ";\n",
				map { "INSERT INTO ec_row VALUES ($_)" } 1 .. $n) / $n;
			push @issued, sql_us($main, join ";\n",
				map { "SELECT key_id FROM kms_issue_key('ec-$round-$_', algorithm => '$algorithm')" } 1 .. $n) / $n;
			push @many, sql_us($main, "SELECT count(k.key_id) FROM generate_series(1, 2000) AS n,
				kms_issue_key('many-$round-' || n, algorithm => '$algorithm') AS k") / 2000;
		}
		result(
			row         => 'ec',
			what        => "new $algorithm keys per second of a core",
			target      => '>= 800',
			result      => [ map { 1e6 / $_ } @issued ],
			result_unit => '',
			measured    => \@issued,
			unit        => 'µs',
			yardstick   => \@bare,
			name        => 'INSERT of a row');
		result(
			row         => 'ec',
			what        => "the same, 2000 in a statement",
			result      => [ map { 1e6 / $_ } @many ],
			result_unit => '',
			measured    => \@many,
			unit        => 'µs',
			yardstick   => \@bare,
			name        => 'INSERT of a row');
	}
	sql($main, 'DROP TABLE ec_row');
}

1;
