#!/bin/sh
# The master key in a file that OpenBao or Vault decrypts, with a key of the
# engine transit that never leaves it.
#
#   base64 -w 0 master.key | bao write -field=ciphertext transit/encrypt/kms \
#       plaintext=- > /etc/kms/master.key.transit
#
#   kms.master_key_command = '/etc/kms/vault-transit.sh /etc/kms/master.key.transit kms'
#
# Address and token: see vault-kv.sh.  The token needs transit/decrypt/kms.
set -eu

file=${1:?usage: vault-transit.sh FILE KEY}
key=${2:?usage: vault-transit.sh FILE KEY}

tool=vault
if command -v bao >/dev/null; then
	tool=bao
fi

# Two steps, because a pipe would hide a failure of the first.
plain=$("$tool" write -field=plaintext "transit/decrypt/$key" "ciphertext=@$file")
printf %s "$plain" | base64 -d
