package models

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What other files begin with, and what to do about it. Texts are told apart by looksLike.
var beginnings = []struct{ begin, what string }{
	{"version https://git-lfs.github.com/spec/", "it is a pointer of Git LFS, which stands for a file that was not " +
		"downloaded; fetch it: git lfs pull"},
	{"\x1f\x8b", "it is compressed by gzip; unpack it first: gunzip"},
	{"BZh", "it is compressed by bzip2; unpack it first: bunzip2"},
	{"\xfd7zXZ\x00", "it is compressed by xz; unpack it first: unxz"},
	{"\x28\xb5\x2f\xfd", "it is compressed by zstd; unpack it first: unzstd"},
	{"7z\xbc\xaf\x27\x1c", "it is a 7z archive; unpack it first"},
	{"Rar!", "it is a RAR archive; unpack it first"},
	{"\x89HDF\r\n\x1a\n", "it is an HDF5 file, as Keras writes; weights are read from safetensors and from PyTorch's " +
		"files"},
	{"\x93NUMPY", "it is an array of NumPy; weights are read from safetensors and from PyTorch's files"},
	{"GGUF", "it is a GGUF model; weights are read from safetensors and from PyTorch's files"},
	{"\x80\x02", pickled}, {"\x80\x03", pickled}, {"\x80\x04", pickled}, {"\x80\x05", pickled},
	{"\x89PNG", "it is a PNG image, not weights"},
	{"\xff\xd8\xff", "it is a JPEG image, not weights"},
	{"GIF8", "it is a GIF image, not weights"},
	{"%PDF", "it is a PDF document, not weights"},
	{"\x7fELF", "it is a program, not weights"},
}

const pickled = "it is a Python pickle that torch.save did not write; load it in Python and torch.save(weights, FILE)"

// foreign says what a file is that can't be weights, from its content; "" where it may be safetensors.
func foreign(b []byte) string {
	if len(b) == 0 {
		return "it is empty; was the download cut off?"
	}
	if len(b) > 9 && b[8] == '{' { // safetensors, whose length may look like anything
		return ""
	}
	if len(b) > 8 && string(b[4:8]) == "TFL3" {
		return "it is a TensorFlow Lite model; weights are read from safetensors and from PyTorch's files"
	}
	// the format's version, then the producer's name
	if len(b) > 4 && b[0] == 0x08 && b[1] < 32 && b[2] == 0x12 && b[3] < 64 {
		return "it is an ONNX model; weights are read from safetensors and from PyTorch's files"
	}
	for _, x := range beginnings {
		if bytes.HasPrefix(b, []byte(x.begin)) {
			return x.what
		}
	}
	if len(bytes.Trim(b[:min(len(b), 4096)], "\x00")) == 0 {
		return "it begins with zeros alone; was it only partly downloaded or copied?"
	}
	return foreignText(b[:min(len(b), 4096)])
}

// foreignText is foreign for what can be read.
func foreignText(b []byte) string {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	for cut := 0; cut < 4 && !utf8.Valid(b) && len(b) > 4; cut++ { // in the midst of a character
		b = b[:len(b)-1]
	}
	if !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool {
		return unicode.IsControl(r) &&
			!unicode.IsSpace(r)
	}) {
		return ""
	}
	text := strings.TrimSpace(string(b))
	switch lower := strings.ToLower(text); {
	case strings.HasPrefix(lower, "<!doctype html"), strings.HasPrefix(lower, "<html"), strings.HasPrefix(lower,
		"<head"):
		return "it is an HTML page: the download brought a page in place of the file; open the address in a browser " +
			"and save the file itself"
	case strings.HasPrefix(lower, "<"):
		return "it is XML or HTML, not weights: the download may have brought a message in place of the file"
	case strings.HasPrefix(text, "{") && strings.Contains(text, `"weight_map"`):
		return "it is the index of weights in several files; name one of those"
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		return "it is JSON, not weights"
	}
	return fmt.Sprintf("it is a text that begins with %q, not weights", firstWords(text))
}

// firstWords is the beginning of a text.
func firstWords(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// shown is a name out of a file as it can be shown on a terminal.
func shown(s string) string {
	if r := []rune(s[:min(len(s), 400)]); len(r) > 100 {
		s = string(r[:99]) + "…"
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}
