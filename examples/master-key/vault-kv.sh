#!/bin/sh
# The master key as a secret of OpenBao or Vault, in the engine kv.
#
#   bao kv put -mount=secret kms master-key=@master.key
#
#   kms.master_key_command = '/etc/kms/vault-kv.sh secret kms master-key'
#
# The address and the token come from the files of the server's user that the
# tool reads (~/.vault-token, or an agent's), or from the environment of the
# server (VAULT_ADDR, BAO_ADDR).  The token needs the right to read this secret.
set -eu

mount=${1:?usage: vault-kv.sh MOUNT PATH FIELD}
path=${2:?usage: vault-kv.sh MOUNT PATH FIELD}
field=${3:?usage: vault-kv.sh MOUNT PATH FIELD}

tool=vault
if command -v bao >/dev/null; then
	tool=bao
fi

exec "$tool" kv get -mount="$mount" -field="$field" "$path"
