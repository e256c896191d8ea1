// The AVIF decoder as the sandbox in codec.go calls it: a file's primary image, or the first of a sequence, as it is
// stored, as rows of RGB or RGBA, by libavif, dav1d and libyuv. What the container says of turning and cropping is left
// to the caller.
#include <stdlib.h>

#include "avif/avif.h"

#define EXPORT(name) __attribute__((export_name(#name)))

static unsigned char *input;
static size_t input_size;
static const char *message = "";
static enum { damaged, unsupported, limit } problem_kind;
static avifDecoder *decoder;
static avifRGBImage rgb;
static const unsigned char *at;

EXPORT(buffer) unsigned char *buffer(size_t size) {
	input_size = size;
	return input = malloc(size);
}
EXPORT(problem) const char *problem(void) { return message; }
EXPORT(width) unsigned width(void) { return decoder->image->width; }
EXPORT(height) unsigned height(void) { return decoder->image->height; }
EXPORT(channels) unsigned channels(void) { return decoder->alphaPresent ? 4 : 3; }

// kind is that of the problem, as codec.Kind has it.
EXPORT(kind) int kind(void) { return problem_kind; }

static int failed(avifResult result) {
	switch (result) {
	case AVIF_RESULT_OK:
		return 0;
	case AVIF_RESULT_OUT_OF_MEMORY:
		problem_kind = limit;
		break;
	case AVIF_RESULT_NOT_IMPLEMENTED:
	case AVIF_RESULT_REFORMAT_FAILED: // to RGB, by a matrix that libavif does not have
	case AVIF_RESULT_UNSUPPORTED_DEPTH:
		problem_kind = unsupported;
		break;
	default:
		problem_kind = damaged;
	}
	message = avifResultToString(result);
	return 1;
}

// open reads the container; nothing that depends on the size of the image is allocated yet.
EXPORT(open) int open_image(void) {
	decoder = avifDecoderCreate();
	if (decoder == NULL)
		return !failed(AVIF_RESULT_OUT_OF_MEMORY);
	decoder->ignoreExif = decoder->ignoreXMP = AVIF_TRUE;
	decoder->strictFlags = AVIF_STRICT_DISABLED;
	decoder->imageDimensionLimit = 0; // the host judges the size
	return !failed(avifDecoderSetIOMemory(decoder, input, input_size)) && !failed(avifDecoderParse(decoder));
}

EXPORT(start) int start(void) {
	enum { tile = 1 << 22 }; // pixels, by which what an image is made of may be larger than the image
	unsigned w = width(), h = height();
	decoder->imageSizeLimit = w * h + tile;
	if (failed(avifDecoderNextImage(decoder)))
		return 0;
	message = "its pixels are not of the size that its header says";
	if (decoder->image->width != w || decoder->image->height != h)
		return 0;
	avifRGBImageSetDefaults(&rgb, decoder->image);
	rgb.depth = 8;
	rgb.avoidLibYUV = decoder->image->depth > 8; // it drops bits before it converts
	rgb.format = channels() == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
	if (failed(avifRGBImageAllocatePixels(&rgb)) || failed(avifImageYUVToRGB(decoder->image, &rgb)))
		return 0;
	at = rgb.pixels;
	return 1;
}

// next is the next row.
EXPORT(next) const unsigned char *next(void) {
	const unsigned char *row = at;
	at += rgb.rowBytes;
	return row;
}
