#!/usr/bin/env bash
# Builds the modules from the sources that Debian 12 keeps free of known faults, and libavif from its own repository,
# as Debian's is years behind. For Debian 12; the packages that it needs are clang lld wasi-libc libclang-rt-dev-wasm32
# libc++-14-dev-wasm32 libc++abi-14-dev-wasm32 dpkg-dev git. Nothing is installed; what is downloaded lies in a folder
# that goes away at the end.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# --- Sources of Debian packages, by apt's own lists of where they are -------------------------------------------------
sources() {
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$work/all.sources"
	local options=(-o Dir::Etc::sourcelist="$work/all.sources" -o Dir::Etc::sourceparts=/nonexistent
		-o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
	apt-get "${options[@]}" -qq update
	(cd "$work" && apt-get "${options[@]}" -qq source libjpeg-turbo libwebp dav1d libyuv &&
		apt-get "${options[@]}" -qq source --target-release bookworm libde265 libheif)
	git -c advice.detachedHead=false clone -q --depth 1 --branch v1.4.2 \
		https://github.com/AOMediaCodec/libavif "$work/libavif"
}

# wasm NAME SOURCE... compiles sources to NAME.wasm.gz; the sandbox gives it no file, no clock and no output.
wasm() {
	local name=$1
	shift
	"${compiler[@]}" --target=wasm32-wasi -O3 -DNDEBUG -w -mexec-model=reactor -Wl,--strip-all \
		-Wl,-z,stack-size=1048576 -o "$work/$name.wasm" "$@"
	gzip -9 -n -c "$work/$name.wasm" >"$here/$name.wasm.gz"
}

# part PATTERN NAME... names sources of a library, one a line.
part() {
	# shellcheck disable=SC2059 # the pattern is this file's own
	printf "$1\n" "${@:2}"
}

sources

cd "$work"/libjpeg-turbo-*/
version=$(sed -n 's/^set(VERSION \(.*\))$/\1/p' CMakeLists.txt)
sed -e 's/@JPEG_LIB_VERSION@/62/' -e "s/@VERSION@/$version/" -e 's/@LIBJPEG_TURBO_VERSION_NUMBER@/0/' \
	-e 's/@BITS_IN_JSAMPLE@/8/' -e 's/^#cmakedefine \(D_ARITH_CODING_SUPPORTED\) 1/#define \1 1/' \
	-e '/^#cmakedefine/d' jconfig.h.in >jconfig.h
sed -e 's/@BUILD@/0/' -e 's/@INLINE@/inline/' -e 's/@THREAD_LOCAL@//' -e 's/@CMAKE_PROJECT_NAME@/libjpeg-turbo/' \
	-e "s/@VERSION@/$version/" -e 's/@SIZE_T@/4/' -e '/^#cmakedefine/d' jconfigint.h.in >jconfigint.h
sed -e 's/@COPYRIGHT_YEAR@/2023/' jversion.h.in >jversion.h
compiler=(clang -I.)
wasm jpeg "$here/jpeg.c" jaricom.c jcomapi.c jdapimin.c jdapistd.c jdarith.c jdcoefct.c jdcolor.c jddctmgr.c jdhuff.c \
	jdinput.c jdmainct.c jdmarker.c jdmaster.c jdmerge.c jdphuff.c jdpostct.c jdsample.c jerror.c jidctflt.c jidctfst.c \
	jidctint.c jidctred.c jmemmgr.c jmemnobs.c jquant1.c jquant2.c jsimd_none.c jutils.c
{ cat LICENSE.md; echo; cat README.ijg; } >"$here/LICENSE.libjpeg-turbo"

cd "$work"/libwebp-*/
compiler=(clang -I. -Isrc)
wasm webp "$here/webp.c" src/dec/*.c src/demux/*.c \
	src/dsp/{alpha_processing,cpu,dec,dec_clip_tables,filters,lossless,rescaler,upsampling,yuv}.c \
	src/utils/{bit_reader,color_cache,filters,huffman,quant_levels_dec}_utils.c \
	src/utils/{random,rescaler,thread}_utils.c src/utils/utils.c
cp COPYING "$here/LICENSE.libwebp"

# These are C++ without exceptions and threads: where memory is short, they end.
cd "$work"/libheif-*/
sed -i -e 's/^  try {/  {/' -e 's/^  catch (const std::bad_alloc& excpt) {/  if (!mem) {/' libheif/heif_image.cc
sed -i '/de265_start_worker_threads/d' libheif/plugins/heif_decoder_libde265.cc
de265=("$work"/libde265-*/)
compiler=(clang++ -std=c++14 -fno-exceptions -D_WASI_EMULATED_SIGNAL -DHAVE_POSIX_MEMALIGN=1 -DHAVE_LIBDE265 -I.
	-Ilibheif -I"${de265[0]}" -I"${de265[0]}libde265" -I"$here/alone" -include "$here/alone/mutex.h")
mapfile -t parts < <(
	part libheif/%s.cc bitstream box common_utils error exif heif heif_avif heif_colorconversion heif_context heif_file \
		heif_hevc heif_image heif_init heif_plugin heif_plugin_registry metadata_compression nclx \
		plugins/heif_decoder_libde265
	part "${de265[0]}libde265/%s.cc" alloc_pool bitstream cabac contextmodel de265 deblock decctx dpb fallback-dct \
		fallback-motion fallback image intrapred md5 motion nal-parser nal pps quality refpic sao scan sei slice sps \
		threads transform util visualize vps vui
)
wasm heic "$here/heic.cc" "${parts[@]}" -lwasi-emulated-signal -lc++ -lc++abi
cp COPYING "$here/LICENSE.libheif"
cp "${de265[0]}COPYING" "$here/LICENSE.libde265"

# Parts of dav1d are compiled twice, for samples of 8 and of 16 bits.
cd "$work"/dav1d-*/
printf '#define %s\n' 'CONFIG_8BPC 1' 'CONFIG_16BPC 1' 'CONFIG_LOG 0' 'HAVE_ASM 0' 'HAVE_POSIX_MEMALIGN 1' \
	'HAVE_UNISTD_H 1' 'ENDIANNESS_BIG 0' ARCH_{AARCH64,ARM,PPC64LE,X86,X86_32,X86_64}' 0' >config.h
echo '#define DAV1D_VERSION ""' >vcs_version.h
mapfile -d . -t api < <(sed -n "s/^dav1d_soname_version *= '\(.*\)'/\1./p" meson.build)
sed -e "s/@DAV1D_API_VERSION_MAJOR@/${api[0]}/" -e "s/@DAV1D_API_VERSION_MINOR@/${api[1]}/" \
	-e "s/@DAV1D_API_VERSION_PATCH@/${api[2]}/" include/dav1d/version.h.in >include/dav1d/version.h
for file in src/*_tmpl.c; do
	for bits in 8 16; do
		printf '#define BITDEPTH %s\n#include "%s"\n' "$bits" "$file" >"$(basename "$file" _tmpl.c)_$bits.c"
	done
done
libavif=("$work"/libavif/)
libyuv=("$work"/libyuv-*/)
mapfile -t parts < <(
	part %s ./*_8.c ./*_16.c
	part src/%s.c cdf cpu data decode dequant_tables getbits intra_edge itx_1d lf_mask lib mem msac obu picture qm ref \
		refmvs scan tables thread_task warpmv wedge
	part "${libavif[0]}src/%s.c" alpha avif codec_dav1d colr colrconvert diag exif gainmap io mem obu properties \
		rawdata read reformat reformat_libsharpyuv reformat_libyuv sampletransform scale stream utils
	part "${libyuv[0]}source/%s.cc" convert_argb convert_from_argb cpu_id planar_functions row_any row_common scale \
		scale_any scale_common
)
compiler=(clang -fno-exceptions -D_GNU_SOURCE -DAVIF_CODEC_DAV1D -DAVIF_LIBYUV_ENABLED=1 -I. -Iinclude
	-I"${libavif[0]}include" -I"${libyuv[0]}include" -I"$here/alone")
wasm avif "$here/avif.c" "${parts[@]}"
cp COPYING "$here/LICENSE.dav1d"
cp "${libavif[0]}LICENSE" "$here/LICENSE.libavif"
cp "${libyuv[0]}LICENSE" "$here/LICENSE.libyuv"
