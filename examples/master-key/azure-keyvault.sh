#!/bin/sh
# The master key as a secret of an Azure key vault.
#
#   az keyvault secret set --vault-name VAULT --name kms-master-key --file master.key
#
#   kms.master_key_command = '/etc/kms/azure-keyvault.sh VAULT kms-master-key'
#
# Credentials are those of the managed identity or of the server's user
# (az login).  They need the right to get this secret.
set -eu

vault=${1:?usage: azure-keyvault.sh VAULT NAME}
name=${2:?usage: azure-keyvault.sh VAULT NAME}

exec az keyvault secret show --vault-name "$vault" --name "$name" \
	--query value --output tsv
