#!/usr/bin/env bash
# Makes archives to hand on, in bin/dist: for this system, and on Linux for Windows as well where mingw-w64 is there
# (Debian: gcc-mingw-w64-x86-64). Each has the program, README, LICENSE, NOTICE and the licences of all that is linked
# (ci/pack); SHA256SUMS has their sums. The same commit and the same compilers make the same bytes, in whatever folder.
# With the word trial what was made is tried: sums, the program of this system on a photo, and all of it made once more
# in another folder. Macs make the archives for macOS.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=bin/dist

# program FILE builds it for the system that GOOS and the like tell.
program() {
	go build -trimpath -ldflags '-s -w' -o "$1" ./cmd/ninvk
}

# archive FILE... packs a program, with that of the page, which is in it; more are flags of ci/pack.
archive() {
	local file=$1
	shift
	go run ./ci/pack -version "$version" -out $dist "$@" "$file" ./cmd/web
}

make_all() {
	rm -rf $dist
	mkdir -p $dist/programs
	go generate ./web
	program $dist/programs/ninvk
	version=$($dist/programs/ninvk version | cut -d' ' -f2)
	archive $dist/programs/ninvk
	[ "$(go env GOOS)" = linux ] || return 0
	if ! command -v x86_64-w64-mingw32-gcc >/dev/null; then
		echo "dist: no archive for Windows: there is no x86_64-w64-mingw32-gcc (Debian: gcc-mingw-w64-x86-64)"
		return 0
	fi
	GOOS=windows GOARCH=amd64 CGO_ENABLED=1 CC=x86_64-w64-mingw32-gcc program $dist/programs/ninvk.exe
	# The start of a program and some of C's library are linked from mingw-w64.
	archive $dist/programs/ninvk.exe -toolchain /usr/share/doc/mingw-w64-x86-64-dev/copyright
}

# Sums, the program on a photo, and the same bytes from another folder, where nothing was compiled before.
try_all() {
	local work here=$PWD
	work=$(mktemp -d)
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$work'" EXIT
	(cd $dist && sha256sum --check SHA256SUMS)
	tar -xf $dist/ninvk-*-linux-*.tar.gz -C "$work"
	local program=("$work"/ninvk-*/ninvk)
	"${program[0]}" predict --top 1 docs/images/cat.png | tee "$work/said"
	grep -qw cat "$work/said"
	mkdir "$work/again"
	git ls-files -z --cached --others --exclude-standard |
		tar -c --null --verbatim-files-from -T - | tar -x -C "$work/again"
	cp -a .git "$work/again"
	(cd "$work/again" && GOCACHE=$work/cache ci/dist.sh)
	cmp $dist/SHA256SUMS "$work/again/$dist/SHA256SUMS"
	echo "dist: made twice, in $here and in $work/again, to the same bytes"
}

make_all
[ "${1:-}" != trial ] || try_all
