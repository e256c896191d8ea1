#!/usr/bin/env bash
# Makes a machine ready to build, run and test ninvk: Go, a C compiler (for cgo), a Vulkan loader and a Vulkan driver.
# On Debian and Ubuntu it installs what is missing, says what that is, and asks nothing; elsewhere it says what is
# needed. Where nothing is missing it prints one line and changes nothing. With the word full: for make test-full, which
# has a browser open the pages, OpenCV read exported models, torchvision save weights, trains on Fashion-MNIST, and
# trains by several processes that Open MPI or MPICH started, on one machine and as on two, and looks for faults in the
# scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob
PATH=$PATH:/usr/sbin:/sbin # ldconfig, for users other than root

fail() {
	echo "setup: $*" >&2
	exit 1
}

# --- Go, which distributions carry in versions too old -------------------------------------------------------------
wanted=$(awk '$1 == "go" { print $2 }' go.mod)
command -v go >/dev/null ||
	fail "there is no go command; install Go $wanted or later (https://go.dev/dl/) and see that it is in PATH"
go env GOVERSION >/dev/null ||
	fail "this is $(GOTOOLCHAIN=local go version 2>/dev/null | cut -d' ' -f3 || true)," \
		"go.mod asks for Go $wanted or later: https://go.dev/dl/"

# --- Other systems ---------------------------------------------------------------------------------------------------
case $(uname -s) in
Linux) ;;
Darwin)
	echo "setup: macOS needs Xcode's command line tools (xcode-select --install) and nothing else"
	exit 0
	;;
MINGW* | MSYS* | CYGWIN*)
	echo "setup: Windows needs gcc of mingw-w64 in PATH (for example from https://www.msys2.org/)" \
		"and the driver of your graphics card"
	exit 0
	;;
*)
	echo "setup: needed are a C compiler and a Vulkan loader with a driver"
	exit 0
	;;
esac

# --- What is missing -------------------------------------------------------------------------------------------------
# A program that includes a header is compiled and linked: gcc may be there without the C library's headers.
compiles() {
	command -v "$1" >/dev/null &&
		printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' | "$@" -x c -o /dev/null - 2>/dev/null
}

has_driver() {
	[ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] || return 0
	local manifests=(/usr/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json
		"${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}"/vulkan/icd.d/*.json)
	[ ${#manifests[@]} -gt 0 ]
}

packages=()
read -ra compiler <<<"$(go env CC)"
compiles "${compiler[@]}" || packages+=(gcc libc6-dev)
# Not grep -q, which would end ldconfig by a broken pipe.
ldconfig -p 2>/dev/null | grep -F libvulkan.so.1 >/dev/null || packages+=(libvulkan1)
has_driver || packages+=(mesa-vulkan-drivers)
if [ "${1:-}" = full ] && ! command -v chromium chromium-browser google-chrome >/dev/null; then
	packages+=(chromium)
fi
if [ "${1:-}" = full ] && ! /usr/bin/python3 -c 'import cv2' 2>/dev/null; then
	packages+=(python3-opencv)
fi
if [ "${1:-}" = full ] && ! /usr/bin/python3 -c 'import torchvision' 2>/dev/null; then
	packages+=(python3-torchvision)
fi

if [ "${1:-}" = full ] && [ ! -d /usr/share/datasets/fashion-mnist ]; then
	packages+=(dataset-fashion-mnist)
fi

if [ "${1:-}" = full ]; then
	command -v mpirun.openmpi >/dev/null || packages+=(openmpi-bin)
	command -v tc >/dev/null || packages+=(iproute2)
	command -v shellcheck >/dev/null || packages+=(shellcheck)
fi

# Beside Open MPI, whose packages it would take the place of, MPICH is unpacked where the tests look for it
# (dist/mpitest); the libraries that it needs are those of Open MPI, but for some of its launcher.
mpich=${XDG_CACHE_HOME:-$HOME/.cache}/ninvk/mpich
unpack_mpich() {
	[ ! -d "$mpich" ] || return 0
	command -v apt-get >/dev/null || return 0
	local new=$mpich.new lacking
	echo "setup: unpacking MPICH into $mpich"
	rm -rf "$new"
	mkdir -p "$new"
	unpack_package() {
		(cd "$new" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$1") ||
			fail "apt-get could not download $1 (its message is above)"
		dpkg-deb --extract "$new/$1"_*.deb "$new"
	}
	unpack_package mpich
	unpack_package libmpich12
	# Debian names the package of a library after it: libslurm38 has libslurm.so.38.
	lacking=$(LD_LIBRARY_PATH=$(echo "$new"/usr/lib/*-linux-gnu) ldd "$new/usr/bin/mpiexec.hydra" |
		sed -n 's/^\s*\(lib.*\)\.so\.\(.*\) => not found/\1\2/p')
	for p in $lacking; do
		unpack_package "$p"
	done
	rm "$new"/*.deb
	mv "$new" "$mpich"
}

if [ ${#packages[@]} -eq 0 ]; then
	[ "${1:-}" != full ] || unpack_mpich
	echo "setup: $(go env GOVERSION), a C compiler, the Vulkan loader and a Vulkan" \
		"driver${1:+, a browser, OpenCV, torchvision, Fashion-MNIST, Open MPI, MPICH, shellcheck} are here;" \
		"nothing to install"
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "setup: missing, under the names that Debian gives them: ${packages[*]};" \
		"install them by this system's package manager"
	exit 0
fi

# --- Debian, Ubuntu --------------------------------------------------------------------------------------------------
root=()
if [ "$(id -u)" -ne 0 ]; then
	by_hand="as root: apt-get update && apt-get install ${packages[*]}"
	command -v sudo >/dev/null || fail "missing are ${packages[*]}, and there is no sudo to install them; run $by_hand"
	root=(sudo)
	[ -t 0 ] || root=(sudo -n) # nobody there to type a password
fi
apt() {
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -qq "$@"
}

echo "setup: installing ${packages[*]}"
updated=yes
apt update || updated=no # with some mirror out of reach the lists already here may do
if ! apt install --no-install-recommends "${packages[@]}"; then
	missing=()
	for p in "${packages[@]}"; do
		dpkg -s "$p" >/dev/null 2>&1 || missing+=("$p")
	done
	[ $updated = yes ] ||
		echo "setup: apt-get update failed; is the network there, and is /etc/apt/sources.list right?" >&2
	fail "apt-get could not install ${missing[*]:-${packages[*]}} (its message is above);" \
		"put that right and run this again, or install by hand${by_hand:+, $by_hand}"
fi
[ "${1:-}" != full ] || unpack_mpich
echo "setup: done"
