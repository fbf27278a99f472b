#!/bin/sh
# The master key in a file that is encrypted with age.
#
#   age-keygen -o /etc/kms/identity.txt
#   age -r "$(age-keygen -y /etc/kms/identity.txt)" -o /etc/kms/master.key.age master.key
#
#   kms.master_key_command = '/etc/kms/age.sh /etc/kms/master.key.age /etc/kms/identity.txt'
#
# The identity belongs to the server's user (0400).  Keep it out of the backups
# that contain the encrypted file.  age has plugins for tokens and TPMs.
set -eu

file=${1:?usage: age.sh FILE IDENTITY}
identity=${2:?usage: age.sh FILE IDENTITY}

exec age --decrypt --identity "$identity" "$file"
