#!/usr/bin/env bash
# Everything worth knowing of a GPU, in at most nine minutes:
#
#   gpu.sh OUT
#
# In order of worth: adapters, check, the tests of gpu and ops, tune, bench of some networks, the same beside PyTorch,
# bench of nin and resnet18 with each of the other kernels of convolutions forced, and training to the end of the time.
# Each part has a limit of its own, and its result is in the folder OUT as soon as it is there; an interruption costs
# what had not begun. OUT.tar.gz holds all of it.
#
# It needs the files that `make gpu-kit` puts beside it, and bash, coreutils, gzip and tar; python3 with PyTorch for one
# part. No Go, no network, no root.
#
#   TOTAL=540          seconds for all
#   PARTS='tune bench' some parts only: adapters check tests tune bench peers variants train
#   MODELS='...'       which networks bench and peers take; all for all that there are: raise TOTAL, too
#   DATA=FOLDER        CIFAR-10's binary files, for training; without it that part is left out
#   TRAIN='...'        flags of ninvk train; EPOCHS stands for as many as fit the time that is left
#   NINVK_ADAPTER=...  which adapter, as for ninvk's --adapter
set -uo pipefail

fail() {
	echo "gpu.sh: $*" >&2
	exit 1
}

begun=$SECONDS
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -eq 1 ] || fail "one argument is needed: the folder for the results"
mkdir -p "$1" || fail "the folder $1 can't be made"
out=$(cd "$1" && pwd)
if [ -d "${DATA:-}" ]; then
	DATA=$(cd "$DATA" && pwd) # another folder is gone to
fi
total=${TOTAL:-540}
parts=" ${PARTS:-adapters check tests tune bench peers variants train} "
train=${TRAIN:---model nin-bn --recipe full --epochs EPOCHS}
command -v timeout >/dev/null || fail "there is no timeout command (of coreutils)"
programs=$(mktemp -d) || fail "there is no place for temporary files"
trap 'rm -rf "$programs"' EXIT
for file in ninvk gpu.test ops.test; do
	[ -e "$here/$file.gz" ] || fail "$file.gz is missing beside this script; make gpu-kit puts it there"
	gzip -dc "$here/$file.gz" >"$programs/$file" || fail "$file.gz can't be unpacked"
	chmod +x "$programs/$file" || fail "$programs/$file can't be made executable"
done

# --- The Vulkan loader and a driver's manifest ------------------------------------------------------------------------
PATH=$PATH:/usr/sbin:/sbin # ldconfig, for users other than root
known() {
	ldconfig -p 2>/dev/null | grep -F "$1" >/dev/null ||
		find ${LD_LIBRARY_PATH:+${LD_LIBRARY_PATH//:/ }} -name "$1*" 2>/dev/null | grep . >/dev/null
}
if ! known libvulkan.so.1; then
	[ -e "$here/lib/libvulkan.so.1" ] ||
		fail "there is no Vulkan loader, libvulkan.so.1 (Debian: libvulkan1), neither on this system nor in $here/lib"
	export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
	echo "gpu.sh: this system has no Vulkan loader; the one beside this script is used"
fi
shopt -s nullglob
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]; then
	usual=(/usr/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json
		"${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}"/vulkan/icd.d/*.json)
	elsewhere=(/usr/local/nvidia/share/vulkan/icd.d/*.json /run/opengl-driver/share/vulkan/icd.d/*.json
		/opt/amdgpu*/etc/vulkan/icd.d/*.json)
	if [ ${#usual[@]} -gt 0 ]; then
		: # the loader finds them
	elif [ ${#elsewhere[@]} -gt 0 ]; then
		VK_DRIVER_FILES=$(IFS=: && echo "${elsewhere[*]}")
	elif known libGLX_nvidia.so.0; then # in containers the driver comes without its manifest
		VK_DRIVER_FILES=$out/nvidia_icd.json
		echo '{"file_format_version": "1.0.0",' \
			'"ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}}' >"$VK_DRIVER_FILES"
	else
		fail "there is no Vulkan driver: no manifest in /usr/share/vulkan/icd.d, /etc/vulkan/icd.d" \
			"or /usr/local/nvidia/share/vulkan/icd.d, and no libGLX_nvidia.so.0" \
			"(in a container of NVIDIA's, NVIDIA_DRIVER_CAPABILITIES must contain graphics)"
	fi
	[ -z "${VK_DRIVER_FILES:-}" ] || export VK_DRIVER_FILES VK_ICD_FILENAMES=$VK_DRIVER_FILES
fi

# --- Parts ------------------------------------------------------------------------------------------------------------
left() { echo $((total - SECONDS + begun)); }

# part NAME LIMIT FILE COMMAND... runs a part for so many seconds at most; what it prints goes to OUT/FILE, its messages
# to OUT/NAME.log.
part() {
	local name=$1 limit=$2 file=$3 start=$SECONDS code
	shift 3
	case $parts in *" ${name%%-*} "*) ;; *) return ;; esac
	[ "$limit" -le $(($(left) - 5)) ] || limit=$(($(left) - 5)) # whom the signal does not end has five seconds
	if [ "$limit" -lt 3 ]; then
		echo "$name: left out, the time is over" | tee -a "$out/summary.txt"
		return
	fi
	timeout -k 5 -s INT "$limit" "$@" >"$out/$file" 2>"$out/$name.log"
	code=$?
	case $code in
	0) code="done" ;;
	124 | 137) code="not done after its $limit s" ;;
	*) code="exit code $code: $(tail -n 1 "$out/$name.log")" ;;
	esac
	echo "$name: $code ($((SECONDS - start)) s; $file)" | tee -a "$out/summary.txt"
}

cd "$programs" || exit 1
: >"$out/summary.txt"
./ninvk version >"$out/version.txt"
part adapters 20 adapters.json ./ninvk adapters --json
[ ! -s "$out/adapters.json" ] || ./ninvk adapters | tee "$out/adapters.txt"
part check 40 check.json ./ninvk check --json
part tests-gpu 40 tests-gpu.txt ./gpu.test -test.v
part tests-ops 60 tests-ops.txt ./ops.test -test.v
part tune 60 tune.json ./ninvk tune --json
models=${MODELS:-nin nin-bn nin-imagenet}
[ "$models" != all ] || models=$(./ninvk models --json | sed -n 's/^ *"model": "\(.*\)",$/\1/p')
for model in $models; do
	part "bench-$model" 90 "bench-$model.json" ./ninvk bench --json --model "$model" --batches 64,256
done
python=$(command -v python3 || true)
if [ -n "$python" ] && "$python" -c 'import torch' 2>/dev/null; then
	part peers 150 peers.txt "$python" "$here/run.py" --no-install --peers pytorch --ninvk "$programs/ninvk" \
		--models "${models//[[:space:]]/,}" --out "$out/peers.md" --state "$out/peers.json" --seconds 1 --budget 110
elif [[ $parts == *" peers "* ]]; then
	echo "peers: left out, no python3 here has PyTorch" | tee -a "$out/summary.txt"
fi

# variants are the values of NINVK_VARIANT that force a variant in all passes of convolutions that have it, by those
# that tune tells of; bench has measured the usual ones.
variants() {
	sed -nE 's/^ *"(pass|variant)": "(.*)",?$/\1 \2/p' "$out/tune.json" 2>/dev/null | awk '
		$1 == "pass" { pass = $2 }
		$1 == "variant" && pass ~ /^conv\// && !seen[pass "=" $2]++ { all[$2] = all[$2] "," pass "=" $2 }
		END { for (v in all) if (v !~ /^(naive|tiled|.*straight)$/) print substr(all[v], 2) }' | sort
}
for model in nin resnet18; do
	for forced in $(variants); do
		part "variants-$model-${forced##*=}" 25 "variants-$model-${forced##*=}.json" env NINVK_VARIANT="$forced" \
			./ninvk bench --json --operators --model "$model"
	done
done
# Batch norm by the dispatches that software drivers have; bench has measured the fused ones.
part variants-nin-bn-apart 25 variants-nin-bn-apart.json env NINVK_VARIANT=norm/forward=apart,norm/gradient=apart \
	./ninvk bench --json --operators --model nin-bn

# --- Training ---------------------------------------------------------------------------------------------------------
# rate is the images a second that bench measured of training nin-bn with the smallest batch, 0 where it did not.
rate() {
	awk '/"train_images_per_second"/ { gsub(/[^0-9.]/, "", $2); print int($2); found = 1; exit }
		END { if (!found) print 0 }' "$out/bench-nin-bn.json" 2>/dev/null || echo 0
}

if [ -n "${DATA:-}" ] && [[ $parts == *" train "* ]]; then
	images=$(cat "$DATA"/data_batch_*.bin | wc -c)
	images=$((images / 3073))
	speed=${RATE:-$(rate)}
	[ "$speed" -gt 0 ] || speed=1000
	# A tenth of the time is for the start and the evaluations.
	epochs=$((9 * ($(left) - 15) * speed / (10 * (images + 1))))
	[ "$epochs" -ge 1 ] || epochs=1
	echo "training: $images images, $speed images/s measured, $epochs epochs in $(left) s" | tee -a "$out/summary.txt"
	# shellcheck disable=SC2086 # several flags
	part train "$(left)" train.txt ./ninvk train --data "$DATA" ${train//EPOCHS/$epochs} --out "$out/run"
	[ ! -s "$out/train.txt" ] || tail -n 5 "$out/train.txt"
elif [[ $parts == *" train "* ]]; then
	echo "train: left out, DATA names no folder" | tee -a "$out/summary.txt"
fi
tar -C "$(dirname "$out")" -czf "$out.tar.gz" --exclude checkpoint "$(basename "$out")"
echo "gpu.sh: all results are in $out.tar.gz; $((SECONDS - begun)) s"
