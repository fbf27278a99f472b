#!/usr/bin/env perl
# The Python of docs/design/field-format.md opens the values of that page and
# computes its blind indexes: the page suffices to read what kms has stored.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../perl";
use JSON::PP;
use KmsCommand qw(last_line run);
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$FindBin::Bin/../../docs/design/field-format.md");
my $text = qr{`[^`]*`|empty|bytes `[0-9a-f]+`|[\d,]+ times `.`};
my ($status, undef, $errors) = run([ 'python3', '-c', 'import cryptography' ]);

plan skip_all => 'Python has no package cryptography here: ' . last_line($errors)
  unless $status == 0;

my %key = $page =~ /^\| (key of every version|id of the field key|index key) \| `([0-9a-f]+)` \|$/gm;
my (@values, @indexes);
while ($page =~ /^\| ([^|]+) \| \d+ \| ($text) \| ($text) \| `([0-9a-f]+)` \|$/gm)
{
	push @values, { name => $1, context => bytes($2), plaintext => bytes($3), value => $4 };
}
while ($page =~ /^\| ([^|]+) \| ($text) \| `(\w+)` \| ($text) \| `([0-9a-f]+)` \|$/gm)
{
	push @indexes, { name => $1, scope => bytes($2), fold => $3, text => bytes($4), index => $5 };
}
is(scalar @values, 5, 'the page has five values');
is(scalar @indexes, 9, 'the page has nine blind indexes');

my $program = join "\n", $page =~ /^```python\n(.*?)^```$/gms;
$program .= <<'END';

import json, sys
given = json.load(sys.stdin)
for v in given['values']:
    print(open_value(bytes.fromhex(given['key']), bytes.fromhex(v['value']), bytes.fromhex(v['context'])).hex())
for v in given['indexes']:
    print(blind_index(bytes.fromhex(given['index_key']), bytes.fromhex(given['id']), bytes.fromhex(v['scope']),
        v['fold'], bytes.fromhex(v['text'])).hex())
v = given['values'][0]
try:
    open_value(bytes.fromhex(given['key']), bytes.fromhex(v['value']), b'another context')
except Exception as error:
    print(type(error).__name__)
END
my $given = {
	key => $key{'key of every version'},
	index_key => $key{'index key'},
	id => $key{'id of the field key'},
	values => \@values,
	indexes => \@indexes
};
($status, my $output, $errors) = run([ 'python3', '-c', $program ], encode_json($given));
is($status, 0, 'the program runs') or diag($errors);
my @lines = split /\n/, $output;
is(shift @lines, $_->{plaintext}, "$_->{name}: opened") foreach @values;
is(shift @lines, $_->{index}, "$_->{name}: blind index") foreach @indexes;
is(shift @lines, 'InvalidTag', 'another context does not open a value');

done_testing();

# Return in hexadecimal what a cell of the tables stands for.
sub bytes
{
	my $cell = shift;
	return '' if $cell eq 'empty';
	return $1 if $cell =~ /^bytes `(.*)`$/;
	my ($times, $character) = $cell =~ /^([\d,]+) times `(.)`$/;
	return unpack 'H*', $character x ($times =~ s/,//gr) if defined $times;
	return unpack 'H*', $cell =~ s/^`|`$//gr;
}
