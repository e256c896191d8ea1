// Package tensorboard writes TensorBoard's event files. They hold scalars and pictures.
//
// An event file is a sequence of records in TensorFlow's TFRecord framing, each a protobuf message Event; the first
// names the format's version. Bytes are appended to a slice, so that whoever has the file decides how it is written.
package tensorboard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"math"
	"regexp"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of the messages, by their numbers in event.proto and summary.proto
// (https://github.com/tensorflow/tensorboard/tree/2.20.0/tensorboard/compat/proto).
const (
	eventWallTime    protowire.Number = 1 // double, seconds since 1970
	eventStep        protowire.Number = 2
	eventFileVersion protowire.Number = 3
	eventSummary     protowire.Number = 5
	eventSessionLog  protowire.Number = 7

	summaryValue protowire.Number = 1

	valueTag    protowire.Number = 1
	valueSimple protowire.Number = 2 // float
	valueImage  protowire.Number = 4

	imageHeight     protowire.Number = 1
	imageWidth      protowire.Number = 2
	imageColorspace protowire.Number = 3
	imageEncoded    protowire.Number = 4

	sessionLogStatus protowire.Number = 1
)

// Values of enumerations.
const (
	sessionStart  = 1 // SessionLog.START
	colorspaceRGB = 3
)

// fileVersion is what the first event of a file must say; the names of newer formats begin the same.
const fileVersion = "brain.Event:2"

// Name is that of an event file begun at a time. TensorBoard finds event files by the part before the number, and reads
// those of one folder in the order of their names as one run. It usually ends in the host's name, which is nobody's
// business.
func Name(begun time.Time) string {
	return fmt.Sprintf("events.out.tfevents.%010d.ninvk", begun.Unix())
}

var name = regexp.MustCompile(`^events\.out\.tfevents\.(\d{10})\.ninvk$`)

// Begun is the time in a name that Name gave; ok is false for other names.
func Begun(file string) (t time.Time, ok bool) {
	m := name.FindStringSubmatch(file)
	if m == nil {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseInt(m[1], 10, 64)
	return time.Unix(seconds, 0), err == nil
}

// Scalar is a number under a tag. Tags are grouped by what stands before a slash.
type Scalar struct {
	Tag   string
	Value float64
}

// AppendStart appends the head of an event file whose first step is step: the format's version, and that what other
// files of the folder have from that step on is superseded.
func AppendStart(b []byte, now time.Time, step int) []byte {
	version := event(now, 0)
	version.text(eventFileVersion, fileVersion)
	var log message
	log.int(sessionLogStatus, sessionStart)
	start := event(now, step)
	start.add(eventSessionLog, log)
	return appendRecord(appendRecord(b, version), start)
}

// AppendScalars appends numbers of a step, as float32.
func AppendScalars(b []byte, now time.Time, step int, scalars []Scalar) []byte {
	var summary message
	for _, s := range scalars {
		var value message
		value.text(valueTag, s.Tag)
		value.float(valueSimple, float32(s.Value))
		summary.add(summaryValue, value)
	}
	e := event(now, step)
	e.add(eventSummary, summary)
	return appendRecord(b, e)
}

// AppendImage appends a picture under a tag.
func AppendImage(b []byte, now time.Time, step int, tag string, img image.Image) ([]byte, error) {
	var encoded bytes.Buffer
	if err := (&png.Encoder{}).Encode(&encoded, img); err != nil {
		return b, fmt.Errorf("the picture %s: %w", tag, err)
	}
	var picture, value, summary message
	picture.int(imageHeight, img.Bounds().Dy())
	picture.int(imageWidth, img.Bounds().Dx())
	picture.int(imageColorspace, colorspaceRGB)
	picture.add(imageEncoded, encoded.Bytes())
	value.text(valueTag, tag)
	value.add(valueImage, picture)
	summary.add(summaryValue, value)
	e := event(now, step)
	e.add(eventSummary, summary)
	return appendRecord(b, e), nil
}

// appendRecord appends a record: the length of the content, the length's checksum, the content, the content's checksum
// (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
func appendRecord(b, content []byte) []byte {
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(content)))
	b = binary.LittleEndian.AppendUint32(append(b, length...), checksum(length))
	return binary.LittleEndian.AppendUint32(append(b, content...), checksum(content))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of a record's part, masked so that checksums of data that hold checksums don't coincide.
func checksum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// message is a protobuf message under construction: fields are appended, in any order.
type message []byte

// event begins an Event.
func event(now time.Time, step int) message {
	var m message
	m = protowire.AppendTag(m, eventWallTime, protowire.Fixed64Type)
	m = protowire.AppendFixed64(m, math.Float64bits(float64(now.Unix())+float64(now.Nanosecond())/1e9))
	if step != 0 { // as every protobuf library does it
		m.int(eventStep, step)
	}
	return m
}

func (m *message) int(field protowire.Number, v int) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}

func (m *message) text(field protowire.Number, s string) {
	*m = protowire.AppendString(protowire.AppendTag(*m, field, protowire.BytesType), s)
}

func (m *message) add(field protowire.Number, sub message) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), sub)
}
