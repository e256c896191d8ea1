#!/usr/bin/env bash
# Runs the tests on software drivers that differ in compiler and limits, whatever this machine has installed:
#
#   ci/adapters.sh [NAME...]
#   ci/adapters.sh fetch [NAME...]    downloads the drivers, and runs nothing
#
#   lavapipe            Lavapipe of Mesa 22.3.6, Debian 12's own
#   lavapipe-backports  Lavapipe of Mesa 25.0.7, of Debian 12's backports
#   swiftshader         SwiftShader, the Vulkan driver within Chromium: at most 256 invocations a workgroup
#
# Without names all of them. Each is a package of Debian 12, downloaded once (mesa-vulkan-drivers 9 and 14 MB,
# chromium-common 32 MB, and apt's index, 9 MB) and unpacked, not installed, in the user's cache directory
# (ninvk/adapters). ADAPTER_TIMEOUT is the time limit of one package's tests, 20m without it.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/ninvk/adapters
timeout=${ADAPTER_TIMEOUT:-20m}

fail() {
	echo "adapters: $*" >&2
	exit 1
}

only="test"
if [ "${1:-}" = fetch ]; then
	only=fetch
	shift
fi
names=("$@")
[ $# -gt 0 ] || names=(lavapipe lavapipe-backports swiftshader)

# about NAME sets what is known of a driver: package, suite, name of the manifest, and what ninvk adapters says of it.
about() {
	case $1 in
	lavapipe) package=mesa-vulkan-drivers suite=bookworm manifest='lvp_icd*.json' says='"driver": "Mesa 22\.3\.6[^"]*"' ;;
	lavapipe-backports)
		package=mesa-vulkan-drivers suite=bookworm-backports manifest='lvp_icd*.json'
		says='"driver": "Mesa 25\.0\.7[^"]*"'
		;;
	swiftshader)
		package=chromium-common suite=bookworm-security manifest=vk_swiftshader_icd.json
		says='"name": "SwiftShader[^"]*"'
		;;
	*) fail "no driver is called $1; known are lavapipe, lavapipe-backports and swiftshader" ;;
	esac
}

# apt works on lists of its own, so that the machine's sources stay as they are and nobody need be root.
apt() {
	apt-get -qq -o Dir::Etc::SourceList="$cache/apt/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$cache/apt/lists" -o Dir::Cache="$cache/apt/cache" \
		-o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)" "$@"
}

# mirror SUITE is the address that this machine gets a suite from.
mirror() {
	local address
	address=$(apt-get --print-uris update | sed -n "s|^'\(.*\)/dists/$1/InRelease'.*|\1|p")
	[ -n "$address" ] || fail "the sources of apt, in /etc/apt, lack $1"
	head -n 1 <<<"$address"
}

# index fetches the index of packages, once in a run.
indexed=
index() {
	[ -z "$indexed" ] || return 0
	# shellcheck disable=SC1091 # it is there on every Debian
	[ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = bookworm ] ||
		fail "the drivers are packages of Debian 12: run this there, for example in a container of it"
	mkdir -p "$cache/apt/lists" "$cache/apt/cache"
	local main security signed=/usr/share/keyrings/debian-archive-keyring.gpg
	main=$(mirror bookworm)
	security=$(mirror bookworm-security)
	cat >"$cache/apt/sources.list" <<-END
		deb [signed-by=$signed] $main bookworm main
		deb [signed-by=$signed] $main bookworm-backports main
		deb [signed-by=$signed] $security bookworm-security main
	END
	echo "adapters: downloading the index of Debian 12's packages"
	apt update
	indexed=yes
}

# fetch NAME downloads and unpacks a driver, and points its manifest at the library; a folder that is there is whole.
fetch() {
	local folder=$cache/$1 new=$cache/$1.new file library
	[ ! -d "$folder" ] || return 0
	index
	echo "adapters: downloading $package of $suite"
	rm -rf "$new"
	mkdir -p "$new"
	(cd "$new" && apt download "$package/$suite") ||
		fail "apt-get could not download $package of $suite (its message is above)"
	file=$(echo "$new"/*.deb)
	dpkg-deb --field "$file" Version >"$new/version"
	dpkg-deb --extract "$file" "$new/root"
	find "$new/root" -name "$manifest" -exec cp {} "$new/icd.json" \;
	library=$(sed -n 's/.*"library_path": *"\([^"]*\)".*/\1/p' "$new/icd.json")
	library=$(find "$new/root" -name "$(basename "$library")" -type f)
	[ -n "$library" ] || fail "the package $file lacks the driver's library"
	rm "$file"
	sed -i "s|\"library_path\": *\"[^\"]*\"|\"library_path\": \"$folder${library#"$new"}\"|" "$new/icd.json"
	mv "$new" "$folder"
}

# prove NAME fails unless this driver, and no other, is what the program finds.
prove() {
	local library missing adapters
	library=$(sed -n 's/.*"library_path": *"\([^"]*\)".*/\1/p' "$VK_DRIVER_FILES")
	missing=$(ldd "$library" | awk '/not found/ { print $1 }')
	[ -z "$missing" ] ||
		fail "$1 needs libraries that are not here (${missing//$'\n'/, }); apt-get install mesa-vulkan-drivers brings them"
	adapters=$(bin/ninvk adapters --json) || fail "the program finds no adapter with $1"
	[ "$(grep -c '"index":' <<<"$adapters")" = 1 ] ||
		fail "with $1 the program should find one adapter, it finds: $adapters"
	grep -Eo "$says" <<<"$adapters" || fail "this is not $1, whose line would match $says: $adapters"
}

[ "$only" = fetch ] || [ -x bin/ninvk ] || fail "bin/ninvk is missing: make build"
for name in "${names[@]}"; do
	about "$name"
	fetch "$name"
done
[ "$only" != fetch ] || exit 0
mapfile -t packages < <(go list -f '{{range .Deps}}{{if eq . "ninvk/gpu"}}{{$.ImportPath}}{{end}}{{end}}' ./...)
packages+=(ninvk/gpu)
failed=()
for name in "${names[@]}"; do
	about "$name"
	export VK_DRIVER_FILES=$cache/$name/icd.json
	unset VK_ICD_FILENAMES NINVK_ADAPTER NINVK_FULL # the slow suites would take hours
	echo "adapters: $name, $package $(cat "$cache/$name/version")"
	prove "$name"
	go test -p 1 -count 1 -timeout "$timeout" "${packages[@]}" || failed+=("$name")
done
[ ${#failed[@]} -eq 0 ] || fail "tests failed on ${failed[*]}"
echo "adapters: all tests pass on ${names[*]}"
