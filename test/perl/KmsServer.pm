# The base of KmsAnchor and KmsAudit, which both have a server in {node}.
package KmsServer;

use strict;
use warnings;

use KmsClient;

sub sql
{
	my ($self, $sql) = @_;
	return $self->{node}->safe_psql('postgres', $sql);
}

# What kms_check() says, as KmsClient::findings() returns it.
sub findings
{
	my $self = shift;
	return KmsClient::findings($self->{node}, 'postgres');
}

1;
