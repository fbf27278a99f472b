# The beginning and the end of test/faults and test/patroni: a copy of the tree,
# built and installed beside a private copy of PostgreSQL's binaries.  Sourced;
# "usage" and "make_installation" come before "run".  Sets $work, $product_bin
# and as_server, the prefix of a command that runs as the servers' user.
set -Eeuo pipefail
shopt -s inherit_errexit nullglob
exec </dev/null

script=$(realpath "$0")
cd "$(dirname "$script")/.."

# No server or make of the caller's takes part.
for name in $(compgen -e); do
	case $name in
		PG[A-Z]* | MAKE* | MFLAGS | PERL5*) unset "$name" ;;
	esac
done
export LC_ALL=C

usage() {
	sed -n 's/^#   \(test.*\)/usage: \1/p; s/^#    \( *\[.*\)/   \1/p' "$script" >&2
	exit 2
}

work=
child=
own_space=()
as_server=()
finish() {
	local status=$? file
	trap - EXIT INT TERM ERR
	set +e
	[ -n "$work" ] || exit "$status"
	cd /
	[ -z "$child" ] || { kill -KILL "$child"; wait "$child"; } 2>/dev/null
	# Servers in a namespace have ended with it, and their pids were of the namespace.
	[ ${#own_space[@]} -gt 0 ] || for file in "$work"/*.pid "$work"/node*/data/postmaster.pid; do
		kill -QUIT "$(head -n 1 "$file")"
	done 2>/dev/null
	if [ "$status" -eq 0 ]; then
		rm -rf "$work"
	else
		rm -rf "$work/tree" "$work/product"
		echo "logs: $work"
	fi
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'echo "$0: line $LINENO: a command failed" >&2' ERR

# quietly COMMAND...: its output only if it fails.
quietly() {
	"$@" >"$work/output" 2>&1 || {
		tail -n 30 "$work/output" >&2
		return 1
	}
}

# make_installation [ARGUMENT]: of test/install-deps.
make_installation() {
	local pg_config=${PG_CONFIG:-pg_config} product

	work=$(mktemp -d "/tmp/kms-$(basename "$script").XXXXXX")
	quietly test/install-deps "$@"

	test/copy-tree "$work/tree"

	if [ "$(id -u)" -eq 0 ]; then
		chown -R postgres "$work"
		as_server=(runuser -u postgres --)
	fi
	as_server+=(env "HOME=$work")
	cd "$work/tree"

	echo "building for $("$pg_config" --version)"
	quietly "${as_server[@]}" make -s -j"$(nproc)"
	product=$("${as_server[@]}" test/private-installation "$work/product" "$pg_config")
	product_bin=${product%/*}
	quietly "${as_server[@]}" make -s install PG_CONFIG="$product"
	quietly "${as_server[@]}" gcc -O2 -Wall -I"$("$pg_config" --includedir)" \
		-o "$work/load" test/campaign/load.c -lpq -lcrypto -lpthread

	# Processes that are left behind end with the namespace, whose init waits
	# for orphans.
	if [ "$(id -u)" -eq 0 ] &&
		unshare --mount --pid --fork --mount-proc true 2>/dev/null; then
		own_space=(unshare --mount --pid --fork --kill-child --mount-proc
			bash -c '"$@"; exit $?' init)
	fi
}

# run COMMAND...: in a space of its own; with its status.
run() {
	local status=0

	"${own_space[@]}" "$@" &
	child=$!
	wait "$child" || status=$?
	child=
	return "$status"
}
