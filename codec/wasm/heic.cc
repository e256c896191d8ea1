// The HEIC decoder as the sandbox in codec.go calls it: the planes of a file's primary image as they are stored, turned
// and cropped as the file says, by libheif and libde265.
#include <cstdlib>

#include "libheif/heif.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

static unsigned char *input;
static size_t input_size;
static const char *message = "";
static int problem_kind;
static heif_image_handle *handle;
static heif_image *image;
static heif_color_profile_nclx *colour;

EXPORT(buffer) unsigned char *buffer(size_t size) {
	input_size = size;
	return input = (unsigned char *)malloc(size);
}
EXPORT(problem) const char *problem() { return message; }
// kind is that of the problem, as codec.Kind has it.
EXPORT(kind) int kind() { return problem_kind; }
EXPORT(width) int width() { return heif_image_handle_get_width(handle); }
EXPORT(height) int height() { return heif_image_handle_get_height(handle); }

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
	if (failed(heif_decode_image(handle, &image, heif_colorspace_undefined, heif_chroma_undefined, options)))
		return 0;
	if (heif_image_get_nclx_color_profile(image, &colour).code != heif_error_Ok)
		colour = nullptr;
	return 1;
}

// What the image is made of: numbers as libheif has them.
EXPORT(space) int space() { return heif_image_get_colorspace(image); }
EXPORT(matrix) int matrix() { return colour ? colour->matrix_coefficients : heif_matrix_coefficients_unspecified; }
EXPORT(full) int full() { return colour ? colour->full_range_flag : 0; }

// Of a channel: its plane, or null; then bytes of a row, size, bits of a sample, which are in one byte or two.
static heif_channel chosen;
static int row_bytes;
EXPORT(plane) const unsigned char *plane(int channel) {
	chosen = (heif_channel)channel;
	return heif_image_get_plane_readonly(image, chosen, &row_bytes);
}
EXPORT(stride) int stride() { return row_bytes; }
EXPORT(plane_width) int plane_width() { return heif_image_get_width(image, chosen); }
EXPORT(plane_height) int plane_height() { return heif_image_get_height(image, chosen); }
EXPORT(bits) int bits() { return heif_image_get_bits_per_pixel_range(image, chosen); }
