#!/bin/sh
# The master key in a file that is encrypted with GnuPG.
#
#   gpg --homedir /etc/kms/gnupg --encrypt --recipient kms --output /etc/kms/master.key.gpg master.key
#
#   kms.master_key_command = '/etc/kms/gpg.sh /etc/kms/master.key.gpg /etc/kms/gnupg'
#
# The private key is one without a passphrase, in a folder of the server's
# user (0700), or one whose passphrase an agent of that user has already
# (gpg-preset-passphrase), or one on a card.  Nobody is asked: without a
# passphrase at hand it fails.  The agent that gpg starts stays.
set -eu

file=${1:?usage: gpg.sh FILE HOMEDIR}
home=${2:?usage: gpg.sh FILE HOMEDIR}

exec gpg --batch --no-tty --quiet --pinentry-mode error --homedir "$home" \
	--decrypt "$file"
