# "make sbom" lists the libraries that kms.so is linked with, in valid CycloneDX,
# and the same bytes for the same build.
use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::Bin/../../perl";
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = abs_path("$FindBin::Bin/../../..");
my ($version) = slurp_file("$tree/kms.control") =~ /^default_version = '(.*)'/m;
plan skip_all => 'there is no readelf' if system('command -v readelf >/dev/null 2>&1') != 0;
chomp(my $library = qx(pg_config --pkglibdir) =~ s/\n//r . '/kms.so');

# Return the list for a library, made with this environment.
sub sbom
{
	my ($of, @compiler) = @_;
	my ($output, $errors) = ('', '');
	IPC::Run::run([ "$tree/packaging/sbom", $version, $of, 'pg_config', @compiler ],
		'<', \undef, '>', \$output, '2>', \$errors)
	  or die "sbom: $errors";
	return $output;
}

delete $ENV{SOURCE_DATE_EPOCH};
my $text = sbom($library, 'cc');
my $bom = decode_json($text);

# ---- What the schema of CycloneDX 1.5 requires ------------------------------

is($bom->{bomFormat}, 'CycloneDX', 'format');
is($bom->{specVersion}, '1.5', 'version of the format');
is($bom->{version}, 1, 'version of the list');
my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;
like($bom->{serialNumber}, qr/\Aurn:uuid:$uuid\z/, 'serial number is a UUID');
my %allowed = map { $_ => 1 } qw(bom-ref cpe licenses name properties purl type version);
my %refs;
foreach my $part ($bom->{metadata}{component}, @{ $bom->{components} })
{
	like($part->{type}, qr/\A(?:application|library)\z/, "$part->{name}: type");
	ok(length $part->{name}, "$part->{name}: name");
	is(join(' ', grep { !$allowed{$_} } keys %$part), '', "$part->{name}: no key that the schema does not have");
	like($part->{purl}, qr{\Apkg:generic/[\w.-]+(?:\@[\w.]+)?\z}, "$part->{name}: package URL");
	ok(!$refs{ $part->{'bom-ref'} }++, "$part->{name}: its reference is unique");
	like($part->{cpe}, qr/\Acpe:2\.3:a:\w+:\w+:[\w.]+(?::\*){7}\z/, "$part->{name}: CPE") if exists $part->{cpe};
	is(ref $_->{license}, 'HASH', "$part->{name}: license") foreach @{ $part->{licenses} || [] };
}
is_deeply([ sort map { $_->{ref} } @{ $bom->{dependencies} } ], [ sort keys %refs ],
	'the dependencies of each part are there');

# ---- What there is -----------------------------------------------------------

my %parts = map { $_->{name} => $_ } @{ $bom->{components} };
is($bom->{metadata}{component}{name}, 'kms', 'the list is about kms');
is($bom->{metadata}{component}{version}, $version, 'version of kms');
my ($openssl) = qx(echo OPENSSL_FULL_VERSION_STR | cc -E -P -include openssl/opensslv.h -x c -) =~ /"([^"]*)"\s*\z/;
is($parts{openssl}{version}, $openssl, 'version of OpenSSL');
like($parts{libxcrypt}{version}, qr/\A\d+\.\d+/, 'version of libcrypt');
like(qx(pg_config --version), qr/^PostgreSQL \Q$parts{postgresql}{version}\E\b/, 'version of PostgreSQL');
my %needed = map { $_->{properties} ? ($_->{properties}[0]{value} => 1) : () } @{ $bom->{components} };
foreach my $name (map { /\(NEEDED\).*\[(.*)\]/ ? $1 : () } split /\n/, qx(readelf -dW $library))
{
	next if $name =~ /^(?:ld-|lib(?:pthread|m|dl|rt)\.)/;
	ok($needed{$name}, "$name is listed");
}
is(exists $parts{crypto_mb}, scalar(qx(readelf -dW $library) =~ /libcrypto_mb\.so/), 'crypto_mb is listed if it is linked');

# Multi-buffer RSA, which few machines can build: a library and a header of its names.
{
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $mb = "$dir/libcrypto_mb.so.11";
	mkdir "$dir/crypto_mb" or die $!;
	append_to_file("$dir/crypto_mb/version.h",
		"#define MBX_VER_MAJOR  1\n#define MBX_VER_MINOR  0\n#define MBX_VER_REV    14\n");
	system_or_bail('sh', '-c', "echo 'int mbx(void) { return 1; }' | cc -shared -fPIC -Wl,-soname,libcrypto_mb.so.11 -o $mb -x c -");
	system_or_bail('sh', '-c', "echo 'int mbx(void); int use(void) { return mbx(); }' | cc -shared -fPIC -o $dir/use.so -x c - -x none $mb");
	my ($part) = grep { $_->{name} eq 'crypto_mb' } @{ decode_json(sbom("$dir/use.so", 'cc', "-I$dir"))->{components} };
	is($part->{version}, '1.0.14', 'version of crypto_mb');
}

# A library that nobody has heard of is listed all the same.
{
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $odd = "$dir/libodd.so.7";
	system_or_bail('sh', '-c', "echo 'int odd(void) { return 1; }' | cc -shared -fPIC -Wl,-soname,libodd.so.7 -o $odd -x c -");
	system_or_bail('sh', '-c', "echo 'int odd(void); int use(void) { return odd(); }' | cc -shared -fPIC -o $dir/use.so -x c - -x none $odd");
	my ($part) = grep { $_->{name} eq 'libodd.so.7' } @{ decode_json(sbom("$dir/use.so", 'cc'))->{components} };
	ok($part, 'an unknown library is listed');
	ok(!exists $part->{version}, 'without a version');
}
is((grep { $_->{name} eq 'openssl' } @{ decode_json(sbom($library, 'false'))->{components} })[0]{version},
	undef, 'without a compiler no version is invented');

# ---- Reproducible ------------------------------------------------------------

is(sbom($library, 'cc'), $text, 'the same build gives the same bytes');
ok(!exists $bom->{metadata}{timestamp}, 'without SOURCE_DATE_EPOCH there is no time');
{
	local $ENV{SOURCE_DATE_EPOCH} = 1767225600;
	local $ENV{TZ} = 'Asia/Tokyo';
	my $dated = decode_json(sbom($library, 'cc'));
	is($dated->{metadata}{timestamp}, '2026-01-01T00:00:00Z', 'SOURCE_DATE_EPOCH is its time, in UTC');
	isnt($dated->{serialNumber}, $bom->{serialNumber}, 'other content has another serial number');
}

done_testing();
