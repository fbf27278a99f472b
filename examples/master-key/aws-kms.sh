#!/bin/sh
# The master key in a file that AWS KMS decrypts.
#
#   aws kms encrypt --key-id alias/kms --plaintext fileb://master.key \
#       --encryption-context purpose=kms-master-key \
#       --query CiphertextBlob --output text | base64 -d > /etc/kms/master.key.aws
#
#   kms.master_key_command = '/etc/kms/aws-kms.sh /etc/kms/master.key.aws alias/kms'
#
# Credentials are those of the instance or of the server's user.  They need
# kms:Decrypt for this key and this context.
set -eu

file=${1:?usage: aws-kms.sh FILE KEY-ID}
key=${2:?usage: aws-kms.sh FILE KEY-ID}

# Two steps, because a pipe would hide a failure of the first.
plain=$(aws kms decrypt --key-id "$key" --ciphertext-blob "fileb://$file" \
	--encryption-context purpose=kms-master-key \
	--query Plaintext --output text)
printf %s "$plain" | base64 -d
