package packed

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"

	"ninvk/dataset"
	"ninvk/safetensors"
)

// block is how many images are decoded at a time.
const block = 32

// Write writes a set as a whole: an interruption, by the context as well, leaves no part of a file. Images are decoded
// by all cores; no more than a few hundred are in memory. Progress, if set, is told of them.
func Write(ctx context.Context, path string, d *dataset.Set, progress func(stage string, done, total int)) error {
	metadata := map[string]string{formatKey: d.Format}
	for key, list := range map[string][]string{classesKey: d.Classes, notesKey: d.Notes, brokenKey: d.Broken} {
		if len(list) == 0 {
			continue
		}
		b, err := json.Marshal(list)
		if err != nil {
			return err
		}
		metadata[key] = string(b)
	}
	got := dataset.NewSum(len(d.Classes))
	done, total := 0, d.Train.Len()+d.Test.Len()
	var tensors []safetensors.Stream
	// Labels first: so all elements are aligned.
	for i, split := range []dataset.Split{d.Train, d.Test} {
		list := make([]byte, 0, 8*split.Len())
		for _, l := range split.Labels {
			list = binary.LittleEndian.AppendUint64(list, uint64(l))
		}
		tensors = append(tensors, whole(splitNames[i]+labels, "I64", split.Len(), list))
	}
	for i, split := range []dataset.Split{d.Train, d.Test} {
		n, s := split.Len(), split.Shape
		tensors = append(tensors, safetensors.Stream{Name: splitNames[i] + images, DType: "U8",
			Shape: []int{n, s.C, s.H, s.W}, Write: func(w io.Writer) error {
				at := 0
				return each(ctx, split, func(image []byte) error {
					got.Add(split.Labels[at], image)
					at++
					if done++; progress != nil {
						progress("pack", done, total)
					}
					_, err := w.Write(image)
					return err
				})
			}})
	}
	for i, split := range []dataset.Split{d.Train, d.Test} {
		var list []byte
		for k := range split.Labels {
			list = append(list, strings.ReplaceAll(split.Name(k), "\x00", "\ufffd")...)
			list = append(list, 0)
		}
		tensors = append(tensors, whole(splitNames[i]+names, "U8", len(list), list))
	}
	tensors = append(tensors, safetensors.Stream{Name: sum, DType: "U8", Shape: []int{32}, Write: func(w io.Writer) error {
		b, err := hex.DecodeString(got.Hex())
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	}})
	return safetensors.WriteStream(path, metadata, tensors)
}

// whole is a tensor of one dimension that is in memory.
func whole(name, dtype string, n int, data []byte) safetensors.Stream {
	return safetensors.Stream{Name: name, DType: dtype, Shape: []int{n}, Write: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// each reads the images of a split in order, ahead by all cores.
func each(ctx context.Context, split dataset.Split, image func([]byte) error) error {
	r := dataset.NewReader(split, block)
	defer r.Close()
	r.Start(dataset.Order(0, 0, split.Len(), false), block)
	one := split.Shape.Bytes()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := r.Next()
		if err != nil || b == nil {
			return err
		}
		for ; len(b) > 0; b = b[one:] {
			if err := image(b[:one]); err != nil {
				return err
			}
		}
	}
}
