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

# Return the findings of kms_check(), like KmsClient::findings().
sub findings
{
	my $self = shift;
	return KmsClient::findings($self->{node}, 'postgres');
}

1;
