# Search the memory of a process, or a file that was made from it.
#
#   my $memory = KmsMemory::of($pid);
#   is(KmsMemory::count($memory, KmsMemory::numbers($pem)), 0);
package KmsMemory;

use strict;
use warnings;

use File::Find;
use IPC::Run;
use PostgreSQL::Test::Utils;

# Return the writable memory of a process of our own user, as /proc/PID/mem has
# it, or undef with $! if it cannot be read.  "private" leaves out shared
# mappings.  "wiped" also leaves out the stack, because a signal saves registers
# there, which nothing can wipe.
sub of
{
	my ($pid, %opt) = @_;
	my $kind = $opt{private} || $opt{wiped} ? 'p' : '[ps]';
	my $memory = '';

	open my $in, '<:raw', "/proc/$pid/mem" or return undef;
	foreach (split /\n/, slurp_file("/proc/$pid/maps"))
	{
		my ($from, $to) = /^(\w+)-(\w+) rw-$kind/ or next;
		next if $opt{wiped} && /\[stack\]$/;

		# A mapping may be closed to us; what is behind it is not.
		sysseek $in, hex $from, 0 or next;
		sysread $in, my $piece, hex($to) - hex($from);
		$memory .= $piece if defined $piece;
	}
	return $memory;
}

# Return how many of these strings the memory holds.
sub count
{
	my ($memory, @strings) = @_;
	return scalar(grep { index($memory, $_) >= 0 } @strings);
}

# The files below a directory that are not empty.
sub files
{
	my ($top) = @_;
	my @files;
	find(
		{
			no_chdir => 1,
			wanted => sub { push @files, $_ if -f $_ && -s $_ }
		},
		$top);
	return @files;
}

# Which of the files hold one of the strings.
sub holding
{
	my ($files, @strings) = @_;
	my @found;
	my $any = join '|', map { quotemeta } @strings;
	foreach my $path (@$files)
	{
		open my $file, '<:raw', $path or next;
		my $content = do { local $/; <$file> };
		next unless defined $content;
		push @found, $path if $content =~ /$any/;
	}
	return @found;
}

# The private numbers of a key as they may be in memory: hex, big endian,
# little endian.  Parts that are long enough to be found nowhere else.
sub numbers
{
	my ($pem) = @_;
	my ($text, $errors);
	my @numbers;

	IPC::Run::run([qw(openssl pkey -noout -text)], '<', \$pem, '>', \$text, '2>', \$errors)
	  or die "openssl pkey: $errors";
	if ($text =~ /^priv:\n((?: +[0-9a-f:]+\n)+)/m)
	{
		my $hex = $1 =~ s/[^0-9a-f]//gr;
		return forms(substr $hex, -48);
	}
	foreach my $name (qw(privateExponent prime1 prime2 exponent1 exponent2))
	{
		my ($hex) = $text =~ /^$name:\n((?: +[0-9a-f:]+\n)+)/m or die "no $name";
		$hex =~ s/[^0-9a-f]//g;
		push @numbers, forms(substr $hex, 16, 64);
	}
	return @numbers;
}

# The same of a master key, which is 64 digits.
sub forms
{
	my ($hex) = @_;
	my $bytes = pack 'H*', $hex;
	return ($hex, $bytes, scalar reverse $bytes);
}

1;
