#!/bin/sh
# The master key in a file that only an RSA key on a PKCS#11 token decrypts (HSM,
# smart card; OpenSC's pkcs11-tool).  The RSA key never leaves the token.
#
#   pkcs11-tool --module MODULE --token-label kms --login --keypairgen \
#       --key-type rsa:2048 --id 01 --label master --usage-decrypt
#   pkcs11-tool --module MODULE --token-label kms --read-object --type pubkey \
#       --id 01 --output-file public.der
#   openssl pkeyutl -encrypt -pubin -keyform DER -inkey public.der \
#       -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 \
#       -in master.key -out /etc/kms/master.key.p11
#
#   kms.master_key_command = '/etc/kms/pkcs11.sh /etc/kms/master.key.p11 /etc/kms/pin'
#
# Up to three master keys without labels fit, with SHA-1 and an RSA key of 2048
# bits; for more, use a larger RSA key.  A wrong PIN given three times locks most
# tokens, so this script gives it once, and the server retries only at a reload.
set -eu

module=${KMS_PKCS11_MODULE:-/usr/lib/softhsm/libsofthsm2.so}
token=kms
id=01
hash=SHA-1	# for SoftHSM 2; otherwise SHA256

file=${1:?usage: pkcs11.sh FILE PIN-FILE}
pin_file=${2:?usage: pkcs11.sh FILE PIN-FILE}

# Pass the PIN by the environment, because every user can see arguments.
KMS_PIN=$(cat "$pin_file")
export KMS_PIN

# Some versions print progress messages on standard output.
exec 3>&1 >&2
exec pkcs11-tool --module "$module" --token-label "$token" \
	--login --pin env:KMS_PIN --decrypt --id "$id" \
	--mechanism RSA-PKCS-OAEP --hash-algorithm "$hash" \
	--mgf "MGF1-$(printf %s "$hash" | tr -d -)" --input-file "$file" --output-file /dev/fd/3
