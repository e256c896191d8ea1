// The WebP decoder as the sandbox in codec.go calls it: a file in memory, or the first frame of an animation on its
// canvas, as rows of RGBA, by libwebp.
#include <stdlib.h>
#include <string.h>

#include "webp/decode.h"
#include "webp/demux.h"

#define EXPORT(name) __attribute__((export_name(#name)))

static unsigned char *input;
static size_t input_size;
static const char *message = "";
static enum { damaged, unsupported, limit } problem_kind;
static WebPDecoderConfig config;
static const unsigned char *at;
static size_t stride;

EXPORT(buffer) unsigned char *buffer(size_t size) {
	input_size = size;
	return input = malloc(size);
}
EXPORT(problem) const char *problem(void) { return message; }
EXPORT(width) unsigned width(void) { return config.input.width; }
EXPORT(height) unsigned height(void) { return config.input.height; }
EXPORT(channels) unsigned channels(void) { return 4; }

// kind is that of the problem, as codec.Kind has it.
EXPORT(kind) int kind(void) { return problem_kind; }

static int failed(VP8StatusCode status) {
	switch (status) {
	case VP8_STATUS_OK:
		return 0;
	case VP8_STATUS_OUT_OF_MEMORY:
		problem_kind = limit;
		return 1;
	case VP8_STATUS_NOT_ENOUGH_DATA:
		message = "it ends too early";
		return 1;
	case VP8_STATUS_UNSUPPORTED_FEATURE:
		problem_kind = unsupported;
		message = "an uncommon feature";
		return 1;
	default:
		message = "its data contradict each other";
		return 1;
	}
}

// open reads the header; nothing that depends on the size of the image is allocated yet.
EXPORT(open) int open_image(void) {
	if (!WebPInitDecoderConfig(&config))
		return 0;
	return !failed(WebPGetFeatures(input, input_size, &config.input));
}

static int start_animation(void) {
	WebPData data = {input, input_size};
	WebPAnimDecoderOptions options;
	WebPAnimDecoder *decoder;
	uint8_t *canvas;
	int time;
	if (!WebPAnimDecoderOptionsInit(&options))
		return 0;
	options.color_mode = MODE_RGBA;
	decoder = WebPAnimDecoderNew(&data, &options);
	message = "its first frame can't be read";
	if (decoder == NULL || !WebPAnimDecoderGetNext(decoder, &canvas, &time))
		return 0;
	at = canvas;
	stride = 4 * (size_t)config.input.width;
	return 1;
}

EXPORT(start) int start(void) {
	if (config.input.has_animation)
		return start_animation();
	config.output.colorspace = MODE_RGBA;
	if (failed(WebPDecode(input, input_size, &config)))
		return 0;
	at = config.output.u.RGBA.rgba;
	stride = config.output.u.RGBA.stride;
	return 1;
}

// next is the next row.
EXPORT(next) const unsigned char *next(void) {
	const unsigned char *row = at;
	at += stride;
	return row;
}
