// The HEIC decoder as the sandbox in codec.go calls it: a file's primary image, turned and cropped as the file says, as
// rows of RGBA, by libheif and libde265.
#include <cstdlib>

#include "libheif/heif.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

static unsigned char *input;
static size_t input_size;
static const char *message = "";
static int problem_kind;
static heif_image_handle *handle;
static const unsigned char *at;
static int stride;

EXPORT(buffer) unsigned char *buffer(size_t size) {
	input_size = size;
	return input = (unsigned char *)malloc(size);
}
EXPORT(problem) const char *problem() { return message; }
// kind is that of the problem, as codec.Kind has it.
EXPORT(kind) int kind() { return problem_kind; }
EXPORT(width) int width() { return heif_image_handle_get_width(handle); }
EXPORT(height) int height() { return heif_image_handle_get_height(handle); }
EXPORT(channels) int channels() { return 4; }

static bool failed(heif_error e) {
	enum { damaged, unsupported, limit };
	if (e.code == heif_error_Ok)
		return false;
	message = e.message;
	switch (e.code) {
	case heif_error_Unsupported_feature:
	case heif_error_Unsupported_filetype:
		problem_kind = unsupported;
		break;
	case heif_error_Memory_allocation_error:
		problem_kind = limit;
		break;
	default:
		problem_kind = damaged;
	}
	return true;
}

// open reads the container; nothing that depends on the size of the image is allocated yet.
EXPORT(open) int open_image() {
	heif_context *context = heif_context_alloc();
	heif_context_set_max_decoding_threads(context, 0);
	return !failed(heif_context_read_from_memory_without_copy(context, input, input_size, nullptr)) &&
		!failed(heif_context_get_primary_image_handle(context, &handle));
}

EXPORT(start) int start() {
	heif_decoding_options *options = heif_decoding_options_alloc();
	options->strict_decoding = 1;
	options->convert_hdr_to_8bit = 1;
	heif_image *image;
	if (failed(heif_decode_image(handle, &image, heif_colorspace_RGB, heif_chroma_interleaved_RGBA, options)))
		return 0;
	at = heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
	message = "its pixels are not of the size that its header says";
	return at && heif_image_get_width(image, heif_channel_interleaved) == width() &&
		heif_image_get_height(image, heif_channel_interleaved) == height();
}

// next is the next row.
EXPORT(next) const unsigned char *next() {
	const unsigned char *row = at;
	at += stride;
	return row;
}
