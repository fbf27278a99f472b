#!/bin/sh
# The master key in a file that only an RSA key on a PKCS#11 token opens (HSM,
# smart card; OpenSC's pkcs11-tool).  The key never leaves the token.
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
# bits; for more, take a larger one.  A wrong PIN given three times locks most
# tokens: this gives it once, and the server tries again at a reload only.
set -eu

module=${KMS_PKCS11_MODULE:-/usr/lib/softhsm/libsofthsm2.so}
token=kms
id=01
hash=SHA-1	# what SoftHSM 2 has; else SHA256

file=${1:?usage: pkcs11.sh FILE PIN-FILE}
pin_file=${2:?usage: pkcs11.sh FILE PIN-FILE}

# Not as an argument, which every user of the machine can see.
KMS_PIN=$(cat "$pin_file")
export KMS_PIN

# Some versions say on standard output what they do.
exec 3>&1 >&2
exec pkcs11-tool --module "$module" --token-label "$token" \
	--login --pin env:KMS_PIN --decrypt --id "$id" \
	--mechanism RSA-PKCS-OAEP --hash-algorithm "$hash" \
	--mgf "MGF1-$(printf %s "$hash" | tr -d -)" --input-file "$file" --output-file /dev/fd/3
