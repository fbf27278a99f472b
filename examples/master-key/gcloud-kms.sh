#!/bin/sh
# The master key in a file that Google Cloud KMS decrypts.
#
#   gcloud kms encrypt --location global --keyring kms --key master \
#       --plaintext-file master.key --ciphertext-file /etc/kms/master.key.gcp
#
#   kms.master_key_command = '/etc/kms/gcloud-kms.sh /etc/kms/master.key.gcp global kms master'
#
# Credentials are those of the instance or of the server's user.  They need
# the role Cloud KMS CryptoKey Decrypter on this key.
set -eu

file=${1:?usage: gcloud-kms.sh FILE LOCATION KEYRING KEY}
location=${2:?usage: gcloud-kms.sh FILE LOCATION KEYRING KEY}
keyring=${3:?usage: gcloud-kms.sh FILE LOCATION KEYRING KEY}
key=${4:?usage: gcloud-kms.sh FILE LOCATION KEYRING KEY}

exec gcloud kms decrypt --location "$location" --keyring "$keyring" \
	--key "$key" --ciphertext-file "$file" --plaintext-file - --quiet
