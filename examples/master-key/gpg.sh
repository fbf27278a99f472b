#!/bin/sh
# The master key in a file that is encrypted with GnuPG.
#
#   gpg --homedir /etc/kms/gnupg --encrypt --recipient kms --output /etc/kms/master.key.gpg master.key
#
#   kms.master_key_command = '/etc/kms/gpg.sh /etc/kms/master.key.gpg /etc/kms/gnupg'
#
# The private key has no passphrase and is in a folder of the server's user
# (0700), or an agent of that user already has its passphrase
# (gpg-preset-passphrase), or it is on a card.  The command never prompts: if it
# would need a passphrase, it fails.  The agent that gpg starts keeps running.
set -eu

file=${1:?usage: gpg.sh FILE HOMEDIR}
home=${2:?usage: gpg.sh FILE HOMEDIR}

exec gpg --batch --no-tty --quiet --pinentry-mode error --homedir "$home" \
	--decrypt "$file"
