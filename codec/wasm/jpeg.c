// The JPEG decoder as the sandbox in codec.go calls it: decoded rows of a file in memory, by libjpeg-turbo.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jpeglib.h"
#include "jerror.h"

#define EXPORT(name) __attribute__((export_name(#name)))

static unsigned char *input;
static size_t input_size;
static char message[JMSG_LENGTH_MAX];
static struct jpeg_decompress_struct info;
static struct jpeg_error_mgr errors;
static struct jpeg_source_mgr source;
static JSAMPARRAY row;
static int ended; // the decoder asked for more than there is

EXPORT(buffer) unsigned char *buffer(size_t size) {
	input_size = size;
	return input = malloc(size);
}
EXPORT(problem) const char *problem(void) { return message; }
EXPORT(width) unsigned width(void) { return info.image_width; }
EXPORT(height) unsigned height(void) { return info.image_height; }
EXPORT(channels) unsigned channels(void) { return info.out_color_components; }

// kind is that of the problem, as codec.Kind has it.
EXPORT(kind) int kind(void) {
	enum { damaged, unsupported, limit };
	switch (errors.msg_code) {
	case JERR_ARITH_NOTIMPL:
	case JERR_CCIR601_NOTIMPL:
	case JERR_COMPONENT_COUNT:
	case JERR_CONVERSION_NOTIMPL:
	case JERR_FRACT_SAMPLE_NOTIMPL:
	case JERR_NOTIMPL:
	case JERR_NOT_COMPILED:
	case JERR_SOF_UNSUPPORTED:
		return unsupported;
	case JERR_OUT_OF_MEMORY:
		return limit;
	}
	return damaged;
}

// fail ends the call; the host reads the message.
static void fail(j_common_ptr any) {
	any->err->format_message(any, message);
	__builtin_trap();
}

static void ends_early(void) {
	errors.msg_code = JMSG_NOMESSAGE;
	strcpy(message, "it ends too early");
	__builtin_trap();
}

// warn ends the call at what changes pixels. Bytes too many before a marker, and other oddities, change none.
static void warn(j_common_ptr any, int level) {
	if (level >= 0)
		return;
	switch (any->err->msg_code) {
	case JWRN_HIT_MARKER:
		if (ended)
			ends_early();
		// fallthrough
	case JWRN_ARITH_BAD_CODE:
	case JWRN_HUFF_BAD_CODE:
	case JWRN_MUST_RESYNC:
		fail(any);
	}
}

static void nothing(j_decompress_ptr d) {}

// refill gives the end marker that a file without one lacks, once.
static boolean refill(j_decompress_ptr d) {
	static const JOCTET end[] = {0xff, JPEG_EOI};
	if (ended)
		ends_early();
	ended = 1;
	source.next_input_byte = end;
	source.bytes_in_buffer = sizeof end;
	return TRUE;
}

static void skip(j_decompress_ptr d, long bytes) {
	if (bytes <= 0)
		return;
	if ((size_t)bytes > source.bytes_in_buffer)
		ends_early();
	source.next_input_byte += bytes;
	source.bytes_in_buffer -= bytes;
}

// open reads the header; nothing that depends on the size of the image is allocated yet.
EXPORT(open) int open_image(void) {
	info.err = jpeg_std_error(&errors);
	errors.error_exit = fail;
	errors.emit_message = warn;
	jpeg_create_decompress(&info);
	source.init_source = nothing;
	source.fill_input_buffer = refill;
	source.skip_input_data = skip;
	source.resync_to_restart = jpeg_resync_to_restart;
	source.term_source = nothing;
	source.next_input_byte = input;
	source.bytes_in_buffer = input_size;
	info.src = &source;
	if (jpeg_read_header(&info, TRUE) != JPEG_HEADER_OK)
		ends_early();
	switch (info.jpeg_color_space) {
	case JCS_GRAYSCALE:
		info.out_color_space = JCS_GRAYSCALE;
		break;
	case JCS_CMYK:
	case JCS_YCCK:
		info.out_color_space = JCS_CMYK;
		break;
	default:
		info.out_color_space = JCS_RGB;
	}
	jpeg_calc_output_dimensions(&info);
	return 1;
}

EXPORT(start) int start(void) {
	jpeg_start_decompress(&info);
	if (ended && info.progressive_mode) // later scans, with the details, may be missing
		ends_early();
	row = info.mem->alloc_sarray((j_common_ptr)&info, JPOOL_IMAGE, info.output_width * info.output_components, 1);
	return 1;
}

// next is the next row, channel values interleaved.
EXPORT(next) const unsigned char *next(void) {
	jpeg_read_scanlines(&info, row, 1);
	return row[0];
}
