#!/usr/bin/env perl
# The packages of clients/ are packed, and used from the packed file: they
# encrypt what the database opens, ask for a key when it is time and not before,
# and send a secret again exactly once if its key was refused.  A package, an
# example or a compiler that cannot be run here is skipped by name.
use strict;
use warnings;

use Encode qw(decode);
use FindBin;
use lib "$FindBin::Bin/../perl";
use IPC::Run;
use JSON::PP;
use KmsCommand qw(last_line npm_install run write_file);
use KmsTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $dir = PostgreSQL::Test::Utils::tempdir();
my $json = JSON::PP->new->ascii->canonical;
my $device = 0;
# Keys of EC-P256 need no time to be made.
my @ec = (algorithm => 'EC-P256');
my %sent;

# npm and pip write to the home directory.
local $ENV{HOME} = $dir;
local $ENV{PIP_NO_INDEX} = 1;
local $ENV{PIP_DISABLE_PIP_VERSION_CHECK} = 1;
local $ENV{PYTHONPATH} = "$dir/site";
local $ENV{PYTHONDONTWRITEBYTECODE} = 1;

# The row of kms_issue_key as JSON, with the properties that the client wants.
my $issue = q{FROM kms_issue_key('DEVICE', NULL, nullif(:'algorithm', ''),
	nullif(:'oaep_hash', ''), nullif(:'mgf1_hash', ''))};
my $fetch =
  "SELECT to_jsonb(k) || jsonb_build_object('server_time', clock_timestamp()) FROM (SELECT * $issue) AS k";
my $decrypt = q{SELECT kms_decrypt(:'key_id', :'ciphertext', 'DEVICE')};

my @packages = (
	{
		name => 'Node',
		need => [ 'npm', '--version' ],
		pack => \&pack_node,
		run => [ 'node', "$dir/app/driver.js" ],
		driver => "$dir/app/driver.js",
		lacks => { 'sha256 sha1' => 1 },
		test => \&test_types
	},
	{
		name => 'Python',
		need => [ 'python3', '-c', 'import setuptools, wheel, pip, cryptography' ],
		pack => \&pack_python,
		run => [ 'python3', "$dir/driver.py" ],
		driver => "$dir/driver.py",
		# The package cryptography has these from a later version on.
		may_lack => { 'sha512-256 sha512-256' => 1 },
		test => \&test_drivers_of_python
	});

my $node = KmsTest->node('packages');
$node->safe_psql('postgres', 'CREATE EXTENSION kms');
$ENV{DATABASE_URL} = 'postgresql:///postgres?host=' . $node->host . '&port=' . $node->port . '&user=' . getpwuid($<);

test_package($_) foreach @packages;
test_both();

$node->stop;
done_testing();

# ---- Packing -------------------------------------------------------------

sub test_package
{
	my $package = shift;
	my $name = $package->{name};

  SKIP:
	{
		my ($status, undef, $why) = run($package->{need});
		skip "$name: " . last_line($why), 1 if $status != 0;
		$package->{pack}->($package) or return;

		my ($suffix) = $package->{driver} =~ /(\.\w+)\z/;
		write_file($package->{driver}, slurp_file("$FindBin::Bin/packages/driver$suffix"));
		start_driver($package);
		test_algorithms($package);
		test_digests($package);
		test_limit($package);
		test_header_and_label($package);
		test_cache($package);
		test_renewal($package);
		test_failed_renewal($package);
		test_refusals($package);
		test_expiry($package);
		test_other_errors($package);
		stop_driver($package);
		test_readme($package);
		$package->{test}->($package);
	}
	return;
}

sub is_done
{
	my ($name, $command, $in_dir) = @_;
	my ($status, $output, $errors) = run($command, '', $in_dir);
	is($status, 0, $name) or diag($output, $errors), return;
	return $output eq '' ? ' ' : $output;
}

sub copy_tree
{
	my ($from, $to) = @_;
	PostgreSQL::Test::Utils::system_or_bail('cp', '-R', $from, $to);
	is(slurp_file("$to/LICENSE"), slurp_file("$top/LICENSE"), "the license of $from is ours");
	return;
}

sub pack_node
{
	my $package = shift;
	my $source = "$dir/node";

	copy_tree("$top/clients/node", $source);
	my $output = is_done('Node: the tests of the package pass',
		[ 'node', '--test', glob("$source/test/*.test.js") ]) or return;
	like($output, qr/^# pass [1-9]\d+$/m, 'Node: there are such tests');

	$output = is_done('Node: npm packs it', [qw(npm pack --json --offline)], $source) or return;
	my ($packed) = @{ decode_json($output) };
	is_deeply([ sort map { $_->{path} } @{ $packed->{files} } ],
		[ qw(LICENSE README.md index.d.mts index.d.ts index.js index.mjs lib/client.js lib/encrypt.js
			  lib/errors.js lib/key.js lib/pg.js package.json) ],
		'Node: the package has what is used, and no tests');
	$package->{file} = "$source/$packed->{filename}";
	mkdir "$dir/app" or die "$dir/app: $!";
	write_file("$dir/app/package.json", '{"private": true}');
	return is_done('Node: the packed file is installed',
		[ qw(npm install --offline --ignore-scripts --no-audit --no-fund), $package->{file} ], "$dir/app");
}

sub pack_python
{
	my $source = "$dir/python";

	copy_tree("$top/clients/python", $source);
	is_done('Python: pip builds a wheel',
		[ qw(python3 -m pip wheel --no-build-isolation --no-deps --wheel-dir), "$dir/wheels", $source ]) or return;
	my ($wheel) = glob("$dir/wheels/*.whl");
	is_done('Python: the wheel is installed',
		[ qw(python3 -m pip install --no-deps --target), "$dir/site", $wheel ]) or return;
	ok(-f "$dir/site/kms_device_client/py.typed", 'Python: the package is typed');
	my ($metadata) = glob("$dir/site/kms_device_client-*/METADATA");
	like(slurp_file($metadata), qr/^License(?:-Expression)?: PostgreSQL$/m, 'Python: the package names its license');

	# The tests see the installed package, because they name no other.
	my (undef, undef, $errors) = run([qw(python3 -m unittest)], '', "$source/tests");
	like($errors, qr/^Ran [1-9]\d+ tests .*^OK/ms, 'Python: the tests of the package pass') or diag($errors);
	return 1;
}

# ---- The driver ----------------------------------------------------------

sub start_driver
{
	my $package = shift;
	my %driver = (in => '', out => '', err => '');

	$driver{timer} = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
	$driver{run} = IPC::Run::start([ @{ $package->{run} }, $node->connstr('postgres') ],
		'<', \$driver{in}, '>', \$driver{out}, '2>', \$driver{err}, $driver{timer});
	$package->{driver_of} = \%driver;
	return;
}

sub stop_driver
{
	my $driver = shift->{driver_of};
	$driver->{run}->finish;
	is($driver->{err}, '', 'the driver had nothing to complain');
	return;
}

# Let the driver do something, and return its answer.
sub ask
{
	my ($package, %command) = @_;
	my $driver = $package->{driver_of};

	$driver->{timer}->reset;
	$driver->{in} .= $json->encode(\%command) . "\n";
	$driver->{run}->pump until $driver->{out} =~ s/\A(.*)\n//;
	return decode_json($1);
}

# Make a client of a device, a new one unless it is named; return the device.
sub client
{
	my ($package, %option) = @_;
	my $sql = delete $option{sql} // $fetch;
	my $name = delete $option{device} // lc($package->{name}) . '-' . ++$device;

	ask($package, do => 'client', options => \%option,
		sql => { fetch => $sql =~ s/DEVICE/$name/r, submit => $decrypt =~ s/DEVICE/$name/r });
	return $name;
}

# Encrypt a text; return the key's id, the ciphertext and the answer.
sub encrypt
{
	my ($package, $text, %option) = @_;
	my $answer = ask($package, do => 'encrypt', secret => { text => $text }, options => \%option);
	my ($key_id, undef, $ciphertext) = @{ ($answer->{result} // [ [] ])->[0] };
	return ($key_id, $ciphertext, $answer);
}

sub key_id { return (encrypt(@_))[0] }

sub send_secret
{
	my ($package, %option) = @_;
	return ask($package, do => 'send', secret => { text => '4711' }, %option);
}

# Change the key of a device with a function of kms.
sub change
{
	my ($function, $key_id, @arguments) = @_;
	$node->safe_psql('postgres',
		"SELECT $function(" . join(', ', map { "'$_'" } $key_id, @arguments) . ')');
	return;
}

# ---- What the database opens ---------------------------------------------

sub test_algorithms
{
	my $package = shift;
	my @secrets = (
		{ text => '' },
		{ text => decode('UTF-8', 'Größe, Übermaß; 密码; 🔑') },
		{ text => 'x' x 30000 },
		{ hex => '00ff800d0a' });

	foreach my $algorithm (qw(RSA-2048 RSA-3072 RSA-4096 EC-P256 X25519))
	{
		# Both languages encrypt for the same key.
		my $name = client($package, device => $algorithm, algorithm => $algorithm,
			$algorithm =~ /^RSA/ ? (oaep_hash => 'sha256') : ());
		foreach my $secret (@secrets)
		{
			my $answer = ask($package, do => 'encrypt', secret => $secret);
			my ($key_id, $form, $jwe) = @{ $answer->{result}[0] };
			my $hex = $secret->{hex} // unpack 'H*', Encode::encode('UTF-8', $secret->{text});
			my $opened = exists $secret->{hex} ? "kms_decrypt_jwe_bytea('$jwe', '$name')"
			  : "convert_to(kms_decrypt_jwe('$jwe', '$name'), 'UTF8')";
			my $alg = $algorithm =~ /^RSA/ ? 'RSA-OAEP-256' : 'ECDH-ES';
			is($node->safe_psql('postgres', "SELECT $opened, (kms_jwe_header('$jwe') -> 'protected') - 'epk'"),
				qq(\\x$hex|{"alg": "$alg", "enc": "A256GCM", "kid": "$key_id"}),
				"$package->{name}: JWE, $algorithm, " . length($hex) / 2 . ' bytes');
		}
		my ($key_id, $jwe) = encrypt($package, "for $algorithm");
		push @{ $sent{$algorithm} }, [ $name, $key_id, $jwe ];
	}
	return;
}

# A block has the digests of the key, and a JWE has the alg of its JWK.
sub test_digests
{
	my $package = shift;

	foreach my $digests ([ 'sha1', 'sha1' ], [ 'sha256', 'sha256' ], [ 'sha384', 'sha384' ], [ 'sha512', 'sha512' ],
		[ 'sha512-256', 'sha512-256' ], [ 'sha256', 'sha1' ])
	{
		my $what = "@$digests";
		my $name = client($package, device => $what, oaep_hash => $digests->[0], mgf1_hash => $digests->[1],
			algorithm => 'RSA-2048');
		my ($key_id, $jwe) = encrypt($package, '4711');
		is($node->safe_psql('postgres', "SELECT kms_decrypt('$key_id', '$jwe', '$name'),
				kms_jwe_header('$jwe') #>> '{protected,alg}' = coalesce(kms_jwk('$key_id') ->> 'alg', 'RSA-OAEP-256')"),
			'4711|t', "$package->{name}: JWE, key with $what");

		($key_id, my $block, my $answer) = encrypt($package, '4711', form => 'block');
		if ($package->{lacks}{$what} || $package->{may_lack}{$what} && $answer->{error})
		{
			is($answer->{error}{name}, 'UnsupportedForm', "$package->{name}: block, $what: its library has none");
			like($answer->{error}{message}, qr/the form "jwe"/, "$package->{name}: block, $what: JWE is suggested");
			next;
		}
		is($node->safe_psql('postgres', "SELECT kms_decrypt('$key_id', '$block', '$name')"),
			'4711', "$package->{name}: block, $what");
		push @{ $sent{"block $what"} }, [ $name, $key_id, $block ];
	}
	return;
}

sub test_limit
{
	my $package = shift;
	my $name = client($package, device => 'RSA-2048', algorithm => 'RSA-2048', oaep_hash => 'sha256', form => 'block');
	my ($key_id, $block) = encrypt($package, 'a' x 190);
	is($node->safe_psql('postgres', "SELECT kms_decrypt('$key_id', '$block')"),
		'a' x 190, "$package->{name}: the longest block");

	my $answer = ask($package, do => 'encrypt', secret => { text => 'a' x 191 });
	is($answer->{error}{name}, 'SecretTooLong', "$package->{name}: a byte more is refused");
	like($answer->{error}{message}, qr/191 bytes.* 190: .*"jwe"/, "$package->{name}: the error names the remedy");
	unlike($answer->{error}{message}, qr/aaa/, "$package->{name}: the error does not show the secret");
	return;
}

sub test_header_and_label
{
	my $package = shift;
	my $name = client($package, algorithm => 'X25519');
	my (undef, $jwe) = encrypt($package, '4711', header => { purpose => 'login' }, iat => JSON::PP::true);
	is($node->safe_psql('postgres', "SELECT kms_decrypt_jwe('$jwe', '$name'), h ->> 'purpose',
			now() - to_timestamp((h ->> 'iat')::float8) BETWEEN '-1 minute' AND '5 minutes'
			FROM (SELECT kms_jwe_header('$jwe') -> 'protected' AS h) AS j"),
		'4711|login|t', "$package->{name}: the header says the purpose and the time");

	client($package, device => 'RSA-2048', algorithm => 'RSA-2048', form => 'block');
	my ($key_id, $block) = encrypt($package, '4711', label => unpack 'H*', 'pin');
	is($node->safe_psql('postgres', "SELECT kms_decrypt('$key_id', '$block', label => 'pin')"),
		'4711', "$package->{name}: a block with a label");
	return;
}

# ---- The key of the client -----------------------------------------------

sub test_cache
{
	my $package = shift;
	my $name = client($package, @ec);
	my $answer = ask($package, do => 'encrypt', secret => { text => '4711' }, times => 20);
	my %ids = map { $_->[0] => 1 } @{ $answer->{result} };
	is(scalar(keys %ids) . " $answer->{fetches}", '1 1', "$package->{name}: 20 callers at once share a fetch");
	is((encrypt($package, '4711'))[2]{fetches}, 1, "$package->{name}: the key is kept");

	# The old key still decrypts, so nobody need ask.
	my ($old) = keys %ids;
	change('kms_rotate_key', $name);
	$answer = send_secret($package);
	is_deeply([ @$answer{qw(result fetches submits)} ],
		[ '4711', 1, 1 ], "$package->{name}: after a rotation the old key serves");
	change('kms_revoke_key', $old, 'lost');
	$answer = send_secret($package);
	is_deeply([ @$answer{qw(result fetches submits)} ],
		[ '4711', 2, 2 ], "$package->{name}: until it is revoked");
	isnt(key_id($package, '4711'), $old, "$package->{name}: then it has the rotated one");
	return;
}

# A key whose renew_at comes in the test.
sub test_renewal
{
	my $package = shift;
	client($package, @ec, retry_seconds => 0, sql => "SET kms.key_lifetime = '3s'; $fetch");
	my $old = key_id($package, '4711');
	my ($new, $fetches);

	KmsTest::poll(
		sub {
			($new, undef, my $answer) = encrypt($package, '4711');
			$fetches = $answer->{fetches};
			return $new ne $old;
		});
	isnt($new, $old, "$package->{name}: from renew_at on the client has the next key");
	is($fetches, 2, "$package->{name}: and has asked once");
	return;
}

sub test_failed_renewal
{
	my $package = shift;
	client($package, @ec, retry_seconds => 0, sql => $fetch =~ s/clock_timestamp\(\)/k.renew_at/r);
	my $old = key_id($package, '4711');
	my $answer = ask($package, do => 'encrypt', secret => { text => '4711' }, sql => { fetch => 'SELECT 1/0' });
	is($answer->{result}[0][0], $old, "$package->{name}: if the renewal fails, the old key serves");
	is($answer->{fetches}, 2, "$package->{name}: it was tried");

	# The same, but the key has expired.
	client($package, @ec, sql => "SET kms.key_lifetime = '1s'; $fetch");
	$old = key_id($package, '4711');
	KmsTest::poll(sub { $node->safe_psql('postgres', "SELECT kms_key_state('$old')") eq 'expired' });
	$answer = ask($package, do => 'encrypt', secret => { text => '4711' }, sql => { fetch => 'SELECT 1/0' });
	is($answer->{error}{sqlstate}, '22012', "$package->{name}: an expired key does not, and the error passes through");
	return;
}

sub test_refusals
{
	my $package = shift;

	foreach my $change ([ 'kms_revoke_key', 'lost' ], ['kms_disable_key'], ['kms_schedule_key_deletion'])
	{
		my $name = client($package, @ec);
		my $old = key_id($package, '4711');
		change($change->[0], $old, @$change[ 1 .. $#$change ]);
		my $answer = send_secret($package);
		is_deeply([ @$answer{qw(result fetches submits)} ],
			[ '4711', 2, 2 ], "$package->{name}: $change->[0]: sent again once, with another key")
		  or diag(explain($answer));
		isnt(key_id($package, '4711'), $old, "$package->{name}: $change->[0]: the client keeps that key");
	}

	my $name = client($package, @ec);
	my $answer = send_secret($package, sql => { submit =>
			"SELECT kms_revoke_key(:'key_id', 'lost') \\g /dev/null\n$decrypt" =~ s/DEVICE/$name/r });
	is_deeply([ $answer->{error}{sqlstate}, @$answer{qw(fetches submits)} ],
		[ 'KM004', 2, 2 ], "$package->{name}: a second refusal passes through");
	return;
}

# The client believes that the key is valid, as with a clock that is behind.
sub test_expiry
{
	my $package = shift;
	my $forever = q{|| jsonb_build_object('renew_at', '2099-01-01 00:00:00Z', 'expires_at', '2099-01-01 00:00:00Z') FROM (};
	my $name = client($package, @ec,
		sql => "SET kms.key_lifetime = '1s'; " . $fetch =~ s/ FROM \(/$forever/r);
	my $old = key_id($package, '4711');

	KmsTest::poll(sub { $node->safe_psql('postgres', "SELECT kms_key_state('$old')") eq 'expired' });
	is(key_id($package, '4711'), $old, "$package->{name}: a client may not know that its key has expired");
	my $answer = send_secret($package, sql => { fetch => $fetch =~ s/DEVICE/$name/r });
	is_deeply([ @$answer{qw(result fetches submits)} ],
		[ '4711', 2, 2 ], "$package->{name}: after KM003 it is sent again once, with another key")
	  or diag(explain($answer));
	return;
}

sub test_other_errors
{
	my $package = shift;
	my $name = client($package, @ec);

	# A key of another device, a wrong form, and a fault of the statement.
	foreach my $error ([ 'KM002', q{SELECT kms_decrypt(:'key_id', :'ciphertext', 'other')} ],
		[ '22023', q{SELECT kms_decrypt(:'key_id', :'ciphertext', label => 'x')} ], [ '22012', 'SELECT 1/0' ])
	{
		my $answer = send_secret($package, sql => { submit => $error->[1] });
		is_deeply([ $answer->{error}{sqlstate}, $answer->{submits} ],
			[ $error->[0], 1 ], "$package->{name}: $error->[0] passes through at once");
	}

	$name = client($package, @ec);
	my $old = key_id($package, '4711');
	change('kms_destroy_key', $old, $old);
	my $answer = send_secret($package);
	is_deeply([ $answer->{error}{sqlstate}, $answer->{submits} ],
		[ 'KM002', 1 ], "$package->{name}: a destroyed key: the error passes through");
	is_deeply([ @{ send_secret($package) }{qw(result submits)} ],
		[ '4711', 1 ], "$package->{name}: a destroyed key: the next call has another key");

	# A backend that does not heed what is wanted.
	client($package, algorithm => 'RSA-2048', sql => $fetch =~ s/nullif\(:'algorithm', ''\)/'EC-P256'/r);
	is((encrypt($package, '4711'))[2]{error}{name},
		'InvalidKey', "$package->{name}: a key of another kind than asked for is refused");
	return;
}

# ---- Both languages ------------------------------------------------------

# One call opens all messages of both, which differ only in values.
sub test_both
{
	my @rows;

	foreach my $what (sort keys %sent)
	{
		push @rows, @{ $sent{$what} };
		next if @{ $sent{$what} } < 2 || $what =~ /^block/;
		my @found = map {
			$node->safe_psql('postgres', "SELECT string_agg(format('%s %s', key, jsonb_typeof(value)), ', ' ORDER BY key)
				FROM jsonb_each(kms_jwe_header('$_->[2]') -> 'protected')")
		} @{ $sent{$what} };
		is($found[0], $found[1], "both languages send the same parameters for $what");
	}

  SKIP:
	{
		skip 'no package could be used', 1 unless @rows;
		my @arrays = map {
			my $n = $_;
			'ARRAY[' . join(', ', map { "'$_->[$n]'" } @rows) . ']'
		} 1, 2, 0;
		is($node->safe_psql('postgres', 'SELECT count(*), count(plaintext), count(sqlstate) FROM kms_decrypt_batch('
				  . join(', ', @arrays) . ')'),
			scalar(@rows) . '|' . scalar(@rows) . '|0',
			'kms_decrypt_batch opens what all have sent');
	}
	return;
}

# ---- README, types and drivers -------------------------------------------

# The block that follows "<!-- run -->" prints the block "text" behind it.
sub test_readme
{
	my $package = shift;
	my $is_node = $package->{name} eq 'Node';
	my ($program, $expected) = slurp_file("$top/clients/" . lc($package->{name}) . '/README.md') =~
	  /^<!-- run -->\n```\w+\n(.*?)^```\n+```text\n(.*?)^```$/ms
	  or return fail("$package->{name}: README has an example");
	my $file = $is_node ? "$dir/readme/main.mjs" : "$dir/main.py";

  SKIP:
	{
		my ($status, $why);
		if ($is_node)
		{
			mkdir "$dir/readme" or die "$dir/readme: $!";
			($status, $why) = npm_install("$dir/readme", pg => '8', 'kms-device-client' => "file:$package->{file}");
		}
		else
		{
			($status, undef, $why) = run([ 'python3', '-c', 'import psycopg' ]);
		}
		skip "$package->{name}: README: " . last_line($why), 1 if $status != 0;

		write_file($file, $program);
		my ($failed, $output, $errors) = run([ $is_node ? 'node' : 'python3', $file ]);
		is($output, $expected, "$package->{name}: the example of README prints what it shows")
		  or diag("status $failed: $errors");
	}
	return;
}

# A compiler accepts the types, in both kinds of modules, and refuses misuse.
sub test_types
{
	my $package = shift;
	my $program = slurp_file("$FindBin::Bin/packages/types.ts");
	mkdir "$dir/types" or die "$dir/types: $!";

  SKIP:
	{
		my ($status, $why) =
		  npm_install("$dir/types", typescript => '5', 'kms-device-client' => "file:$package->{file}");
		skip 'TypeScript: ' . last_line($why), 1 if $status != 0;
		write_file("$dir/types/$_", $program) foreach 'types.mts', 'types.cts';
		is_done('TypeScript: the types are those of the package',
			[ "$dir/types/node_modules/.bin/tsc", qw(--noEmit --strict --exactOptionalPropertyTypes --target es2022
				  --module node16 --moduleResolution node16 types.mts types.cts) ], "$dir/types");
	}
	return;
}

sub test_drivers_of_python
{
	my $package = shift;

	foreach my $driver ('psycopg', 'psycopg2')
	{
	  SKIP:
		{
			my ($status, undef, $why) = run([ 'python3', '-c', "import $driver" ]);
			skip "$driver: " . last_line($why), 1 if $status != 0;

			my (undef, $output, $errors) = run([ 'python3', "$FindBin::Bin/packages/issue.py", $driver ]);
			is($output, "committed\nrefused in a transaction\nKM004 is seen\n4711\n",
				"$driver: issue_with works with its connections")
			  or diag($errors);
		}
	}

  SKIP:
	{
		my ($status, undef, $why) = run([ 'python3', '-m', 'mypy', '--version' ]);
		skip 'mypy: ' . last_line($why), 1 if $status != 0;
		is_done('mypy: the types are right',
			[ qw(python3 -m mypy --strict --cache-dir), "$dir/mypy", "$dir/site/kms_device_client" ]);
	}
	return;
}
