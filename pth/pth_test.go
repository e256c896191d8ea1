package pth

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ninvk/safetensors"
)

// testdata is a file that make.py wrote.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// largest is the set with the most tensors, the first of equals.
func largest(c *Checkpoint) *TensorSet {
	best := c.Sets[0]
	for _, s := range c.Sets {
		if len(s.Tensors) > len(best.Tensors) {
			best = s
		}
	}
	return best
}

// read reads all tensors of the largest set.
func read(b []byte) (*safetensors.File, error) {
	c, err := Decode(b)
	if err != nil {
		return nil, err
	}
	f := &safetensors.File{}
	for _, x := range largest(c).Tensors {
		s, err := x.Read()
		if err != nil {
			return nil, err
		}
		f.Tensors = append(f.Tensors, s)
	}
	return f, nil
}

func TestReadsWhatPyTorchSaved(t *testing.T) {
	for file, expected := range map[string]string{
		"state.pth":             "state.safetensors",
		"checkpoint.pth":        "state.safetensors",
		"parameters.pth":        "parameters.safetensors",
		"views.pth":             "views.safetensors",
		"module.pth":            "module.safetensors",
		"module-stream.pth":     "module.safetensors",
		"types.pth":             "types.safetensors",
		"types-stream.pth":      "types.safetensors",
		"stream.pth":            "views.safetensors",
		"tar.pth":               "tar.safetensors",
		"python2.pth":           "state.safetensors",
		"protocol3.pth":         "state.safetensors",
		"protocol4.pth":         "state.safetensors",
		"protocol5.pth":         "state.safetensors",
		"stream-protocol3.pth":  "state.safetensors",
		"stream-protocol4.pth":  "state.safetensors",
		"stream-protocol5.pth":  "state.safetensors",
		"hyper.pth":             "state.safetensors",
		"hyper-protocol4.pth":   "state.safetensors",
		"hyper-stream.pth":      "state.safetensors",
		"flat.pth":              "state.safetensors",
		"code-beside.pth":       "state.safetensors",
		"without-checksums.pth": "state.safetensors",
		"list.pth":              "state.safetensors",
	} {
		t.Run(file, func(t *testing.T) {
			got, err := read(testdata(t, file))
			if err != nil {
				t.Fatal(err)
			}
			want, err := safetensors.Read(filepath.Join("testdata", expected))
			if err != nil {
				t.Fatal(err)
			}
			order := func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) }
			slices.SortFunc(got.Tensors, order)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-PyTorch +read:\n%s", diff)
			}
		})
	}
}

// The tensors come in the order of the state_dict.
func TestKeepsOrder(t *testing.T) {
	f, err := read(testdata(t, "state.pth"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range f.Tensors {
		names = append(names, strings.TrimPrefix(x.Name, "classifier."))
	}
	want := []string{"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var",
		"1.num_batches_tracked", "3.weight", "3.bias"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRefusesWhatPyTorchSaved(t *testing.T) {
	for file, parts := range map[string][]string{
		"code.pth":     {"no tensors", `"weight"`, "posix.system", "not run", "torch.save(model.state_dict(), FILE)"},
		"complex.pth":  {`tensor "w"`, "complex64", ".float()"},
		"script.pth":   {"TorchScript", "state_dict"},
		"expanded.pth": {`tensor "w"`, "more elements than its storage", ".contiguous()"},
		"numbers.pth":  {"no tensors", "a list", `"0" is an int`},
	} {
		_, err := read(testdata(t, file))
		checkFormat(t, file, err, parts)
	}
	if _, err := os.Stat("code-was-run"); err == nil {
		t.Error("code of a checkpoint was run")
	}
}

// What lies beside the weights is named, not run.
func TestBeside(t *testing.T) {
	for file, want := range map[string]struct {
		key    string
		beside []Entry
	}{
		"state.pth":   {"", nil},
		"flat.pth":    {"", []Entry{{"epoch", "an int"}, {"history", "a list"}}},
		"list.pth":    {"1", []Entry{{"0", "an int"}, {"2", "a tensor"}}},
		"python2.pth": {"state_dict", []Entry{{"arch", "a str"}, {"big", "an int"}}},
		"code-beside.pth": {"model", []Entry{{"hook", `an object of "posix.system", which was not run`}, {"log",
			`an object of "posix.system", which was not run`}}},
	} {
		c, err := Decode(testdata(t, file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		g := largest(c)
		if diff := cmp.Diff(want.beside, g.Beside()); diff != "" || g.Key() != want.key {
			t.Errorf("%s: key %q, want %q; beside it (-want +got):\n%s", file, g.Key(), want.key, diff)
		}
	}
	c, err := Decode(testdata(t, "hyper.pth"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{}
	for _, e := range largest(c).Beside() {
		kinds[e.Name] = e.Kind
	}
	for name, kind := range map[string]string{
		"args": "argparse.Namespace", "best": "numpy", "history": "numpy", "shape": "a tuple", "optimizer": "a " +
			"dict", "counts": "collections.Counter",
		"when": "datetime.datetime", "set": "set", "seed": "an " +
			"int", "raw": "", "complex": "complex", "path": "pathlib", "dtype": "torch.float16",
	} {
		if got, ok := kinds[name]; !ok || !strings.Contains(got, kind) {
			t.Errorf("hyper.pth: %s is %q, want %q", name, got, kind)
		}
	}
	if _, err := os.Stat("code-was-run"); err == nil {
		t.Error("code of a checkpoint was run")
	}
}

// A file without checksums says so; one where some are there is damaged.
func TestChecksums(t *testing.T) {
	b := testdata(t, "without-checksums.pth")
	if c, err := Decode(b); err != nil || !c.Unchecked {
		t.Fatalf("without checksums: %+v, %v", c, err)
	}
	if c, err := Decode(testdata(t, "state.pth")); err != nil || c.Unchecked {
		t.Fatalf("with checksums: %+v, %v", c, err)
	}
	whole := testdata(t, "state.pth")
	z, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File { // the checksum of the first storage alone is taken out of the directory
		if strings.HasSuffix(f.Name, "/data/0") {
			at := bytes.LastIndex(whole, []byte(f.Name)) - 46
			copy(whole[at+16:], []byte{0, 0, 0, 0})
		}
	}
	_, err = read(whole)
	checkFormat(t, "one checksum", err, []string{"data/0", "CRC-32"})
}

// checkFormat checks that err is a *FormatError whose message has all parts.
func checkFormat(t *testing.T, name string, err error, parts []string) {
	t.Helper()
	var format *FormatError
	if !errors.As(err, &format) {
		t.Errorf("%s: error %v, expected a *FormatError", name, err)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %q lacks %q", name, err, part)
		}
	}
}

// member is a file of an archive.
type member struct {
	name string
	data []byte
}

// pack makes a checkpoint of a pickle and storages.
func pack(t testing.TB, pickle []byte, more ...member) []byte {
	t.Helper()
	return zipped(t, zip.Store, append([]member{{"x/data.pkl", pickle}}, more...)...)
}

func zipped(t testing.TB, method uint16, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		w, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Parts of pickles.
func word(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}
func int4(v int32) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }
func ints(v ...int32) string {
	s := "("
	for _, x := range v {
		s += int4(x)
	}
	return s + "t"
}

// huge is 2⁶³−1.
const huge = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"

// view is a tensor that looks at storage 0.
func view(class string, count, offset, size, stride string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n((" + word("storage") + "ctorch\n" + class + "\n" + word("0") +
		word("cpu") + count + "tQ" + offset + size + stride + "\x89}tR"
}

// only is the pickle of a dictionary with the one entry "w".
func only(value string) []byte { return []byte("\x80\x02}" + word("w") + value + "s.") }

func float(offset int32, size, stride []int32) []byte {
	return only(view("FloatStorage", int4(6), int4(offset), ints(size...), ints(stride...)))
}

func TestRefuses(t *testing.T) {
	six := member{"x/data/0", make([]byte, 24)}
	good := float(0, []int32{6}, []int32{1})
	if _, err := read(pack(t, good, six)); err != nil {
		t.Fatal("the good one, of which the others are variants: ", err)
	}
	whole := pack(t, good, six)
	damaged := bytes.Clone(whole)
	damaged[bytes.Index(damaged, []byte("x/data/0"))+8+5] ^= 1 // within the storage
	manyTimes := "\x80\x02}"                                   // 30 MB a time
	for i := range 40 {
		manyTimes += word(strings.Repeat("w", i+1)) + view("FloatStorage", int4(7_500_000), int4(0), ints(7_500_000),
			ints(1)) + "s"
	}
	for _, c := range []struct {
		name  string
		file  []byte
		parts []string
	}{
		{"empty", nil, []string{"no file of torch.save"}},
		{"safetensors", []byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"), []string{"no file of torch.save"}},
		{"truncated", whole[:len(whole)/2], []string{"damaged", "truncated"}},
		{"flipped bit", damaged, []string{"data/0", "CRC-32", "damaged"}},
		{"no pickle", zipped(t, zip.Store, six), []string{"no data.pkl"}},
		{"two pickles", zipped(t, zip.Store, member{"x/data.pkl", good}, member{"y/data.pkl", good}),
			[]string{"two files data.pkl"}},
		{"two storages", pack(t, good, six, six), []string{"two files x/data/0"}},
		{"compressed", zipped(t, zip.Deflate, member{"x/data.pkl", good}, six), []string{"data.pkl", "compressed"}},
		{"big-endian", pack(t, good, six, member{"x/byteorder", []byte("big")}), []string{`"big"`, "little"}},
		{"missing storage", pack(t, good), []string{"data/0", "missing"}},
		{"short storage", pack(t, good, member{"x/data/0", make([]byte, 20)}),
			[]string{`"w"`, "6 elements of 4 bytes", "20 bytes"}},
		{"odd storage", pack(t, good, member{"x/data/0", make([]byte, 27)}), []string{`"w"`, "27 bytes"}},
		{"beyond its storage", pack(t, float(1, []int32{6}, []int32{1}), six), []string{`"w"`, "leaves its storage"}},
		{"stride beyond", pack(t, float(0, []int32{2, 2}, []int32{4, 2}), six), []string{"leaves its storage"}},
		{"offset beyond", pack(t, float(6, nil, nil), six), []string{"leaves its storage"}},
		{"huge offset", pack(t, only(view("FloatStorage", int4(6), huge, ints(2), ints(1))), six),
			[]string{"leaves its storage"}},
		{"huge stride", pack(t, only(view("FloatStorage", int4(6), int4(0), ints(2), huge+"\x85")), six),
			[]string{"leaves its storage"}},
		{"huge size", pack(t, only(view("FloatStorage", int4(6), int4(0), huge+"\x85", ints(1))), six),
			[]string{"too large"}},
		{"huge beside nothing", pack(t, only(view("FloatStorage", int4(6), int4(0), int4(0)+huge+"\x86", ints(1, 1))),
			six), []string{"too large"}},
		{"huge product", pack(t, float(0, []int32{1 << 16, 1 << 16, 1 << 16, 1 << 16}, []int32{1, 1, 1, 1}), six),
			[]string{"too large"}},
		{"larger than its storage", pack(t, float(0, []int32{7}, []int32{0}), six),
			[]string{"more elements than its storage"}},
		{"together too large", pack(t, []byte(manyTimes+"."), member{"x/data/0", make([]byte, 30_000_000)}),
			[]string{"1073741824 bytes"}},
		{"negative size", pack(t, float(0, []int32{-6}, []int32{1}), six), []string{"whole number from 0"}},
		{"negative stride", pack(t, float(5, []int32{6}, []int32{-1}), six), []string{"whole number from 0"}},
		{"negative offset", pack(t, float(-1, []int32{1}, []int32{1}), six), []string{"can't be followed"}},
		{"more strides than dimensions", pack(t, float(0, []int32{6}, []int32{1, 1}), six),
			[]string{"1 dimensions and 2 strides"}},
		{"too many dimensions", pack(t, float(0, make([]int32, 65), make([]int32, 65)), six), []string{"at most 64"}},
		{"unknown storage", pack(t, only(view("FloatingStorage", int4(6), int4(0), ints(6), ints(1))), six),
			[]string{"FloatingStorage"}},
		{"not a tensor", pack(t, only("N")), []string{"no tensors", `"w"`, "None", "model.state_dict()"}},
		{"state_dict is a list", pack(t, []byte("\x80\x02}"+word("state_dict")+"]s.")), []string{"no tensors",
			`"state_dict"`, "a list"}},
		{"key is a number", pack(t, []byte("\x80\x02}K\x01Ns.")), []string{"no tensors", `"1" is None`}},
		{"a name twice", pack(t, []byte("\x80\x02}"+strings.Repeat(word("w")+view("FloatStorage", int4(6), int4(0),
			ints(6), ints(1))+"s", 2)+"."), six), []string{"two tensors", `"w"`}},
		{"no pickle in it", pack(t, []byte("hello")), []string{"protocol 2"}},
		{"pickle cut off", pack(t, good[:len(good)-10], six), []string{"ends too early"}},
		{"something after the end", pack(t, append(bytes.Clone(good), '.'), six), []string{"1 bytes left"}},
		{"two values at the end", pack(t, []byte("\x80\x02NN.")), []string{"2 values"}},
		{"nothing at the end", pack(t, []byte("\x80\x02.")), []string{"0 values"}},
		{"unknown instruction", pack(t, []byte("\x80\x02N\x82\x01.")), []string{"byte 3", "0x82"}},
		{"builds an object", pack(t, []byte("\x80\x02cos\nsystem\n"+word("ls")+"\x85R.")), []string{"no tensors",
			"os.system", "not run"}},
		{"old instance", pack(t, []byte("\x80\x02("+word("ls")+"ios\nsystem\n.")), []string{"os.system", "not run"}},
		{"empty stack", pack(t, []byte("\x80\x02R.")), []string{"nothing to work on"}},
		{"mark for a value", pack(t, []byte("\x80\x02}((s.")), []string{"a mark"}},
		{"no mark", pack(t, []byte("\x80\x02}u.")), []string{"mark is missing"}},
		{"items of a number", pack(t, []byte("\x80\x02K\x01NNs.")), []string{"an int"}},
		{"key without value", pack(t, []byte("\x80\x02}(Nu.")), []string{"no value"}},
		{"unknown memo", pack(t, []byte("\x80\x02h\x05.")), []string{"value 5"}},
		{"string longer than the pickle", pack(t, []byte("\x80\x02X\xff\xff\xff\xffa.")), []string{"ends too early"}},
		{"string not UTF-8", pack(t, []byte("\x80\x02"+word("\xff")+".")), []string{"UTF-8"}},
		{"long integer", pack(t, []byte("\x80\x02\x8a\x09123456789.")), []string{"no tensors", "an int"}},
		{"name without end", pack(t, []byte("\x80\x02ctorch")), []string{"no end"}},
		{"foreign reference", pack(t, []byte("\x80\x02"+word("file:///etc/passwd")+"Q.")),
			[]string{"not to a storage"}},
		{"called with too few", pack(t, []byte("\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.")),
			[]string{"_rebuild_tensor_v2", "0 arguments"}},
		{"calls a value", pack(t, []byte("\x80\x02))R.")), []string{"a tuple"}},
		{"dictionary in itself", pack(t, []byte("\x80\x02}q\x00"+word("state_dict")+"h\x00s.")), []string{"a dict"}},
		{"too many instructions", pack(t, append([]byte("\x80\x02"), bytes.Repeat([]byte("N"), maxInstructions+1)...)),
			[]string{"2000000 instructions"}},
		{"pickle too large", pack(t, append([]byte("\x80\x02X\xff\xff\xff\x7f"), make([]byte, maxPickle)...)),
			[]string{"67108864 bytes"}},
		{"many of one", pack(t, []byte("\x80\x02ccollections\nOrderedDict\n(]("+strings.Repeat("NN\x86",
			10000)+"etq\x01"+strings.Repeat("0ccollections\nOrderedDict\nh\x01R", 1000)+".")), []string{"instructions"}},
		{"itself", pack(t, []byte("\x80\x02]q\x00h\x00a.")), []string{"no tensors", "a list"}},
		{"call within call",
			pack(t, []byte("\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._tensor\n_rebuild_from_type_v2\nN)NtR.")),
			[]string{"can't be followed"}},
		{"protocol of tomorrow", pack(t, []byte("\x80\x06N.")), []string{"protocol 6", "2 to 5"}},
		{"number without digits", pack(t, []byte("\x80\x02Iten\n.")), []string{"number"}},
		{"appending to a tuple", pack(t, []byte("\x80\x02)Na.")), []string{"a tuple"}},
		{"arrays of NumPy", zipped(t, zip.Store, member{"a/x.npy", nil}), []string{"NumPy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(c.file)
			checkFormat(t, c.name, err, c.parts)
		})
	}
}

// An archive may list the same bytes many times: it would take long to look at all of them.
func TestRefusesOverlap(t *testing.T) {
	one := view("FloatStorage", int4(1000), int4(0), ints(1000), ints(1))
	pickle := "\x80\x02}" + word("a") + one + "s" + word("b") + strings.Replace(one, word("0"), word("1"), 1) + "s."
	b := pack(t, []byte(pickle), member{"x/data/0", make([]byte, 4000)}, member{"x/data/1", nil})
	// The directory says of data/1 what it says of data/0: sum, sizes and place.
	from, to := bytes.LastIndex(b, []byte("x/data/0"))-46, bytes.LastIndex(b, []byte("x/data/1"))-46
	copy(b[to+16:to+28], b[from+16:from+28])
	copy(b[to+42:to+46], b[from+42:from+46])
	if _, err := read(b); err != nil {
		checkFormat(t, "overlap", err, []string{"data/1", "overlaps"})
		return
	}
	t.Error("two files of the archive share their bytes, and it was accepted")
}

// fuzzed checks what holds for every file: an error is a *FormatError, whatever is read can be written, and all that
// lies in it can be named.
func fuzzed(t *testing.T, b []byte) {
	c, err := Decode(b)
	if err != nil {
		checkFormat(t, "fuzz", err, nil)
		return
	}
	for _, s := range c.Sets {
		s.Key()
		s.Model()
		s.Beside()
		f := &safetensors.File{}
		for _, x := range s.Tensors {
			s, err := x.Read()
			if err != nil {
				checkFormat(t, "fuzz", err, nil)
				continue
			}
			if utf8.ValidString(s.Name) && s.Name != "__metadata__" { // names that the other format can have
				f.Tensors = append(f.Tensors, s)
			}
		}
		b, err := safetensors.Encode(f)
		if err != nil {
			t.Fatal(err)
		}
		again, err := safetensors.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(f.Tensors, func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) })
		if diff := cmp.Diff(f, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	}
}

// FuzzDecode feeds whole files of all formats to the reader, and FuzzPickle pickles in a sound archive, since a mutated
// one rarely has the right checksum.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.pth")
	if err != nil || len(files) == 0 {
		f.Fatal("no checkpoints: ", err)
	}
	for _, file := range files {
		f.Add(testdata(f, filepath.Base(file)))
	}
	f.Fuzz(fuzzed)
}

func FuzzPickle(f *testing.F) {
	for _, name := range []string{
		"state.pth", "checkpoint.pth", "parameters.pth", "views.pth", "code.pth", "module.pth", "hyper.pth",
		"hyper-protocol4.pth", "protocol5.pth",
	} {
		a, err := open(testdata(f, name))
		if err != nil {
			f.Fatal(err)
		}
		pickle, err := a.entry("data.pkl")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pickle)
	}
	f.Add(float(0, []int32{2, 3}, []int32{1, 2}))
	// Storages of the sizes that views.pth, parameters.pth and float have.
	var storages []member
	for key, size := range map[string]int{"0": 24, "1": 96, "2": 192, "3": 4, "4": 0, "5": 8, "6": 48} {
		storages = append(storages, member{"x/data/" + key, bytes.Repeat([]byte{1, 2, 3, 4}, size/4)})
	}
	f.Fuzz(func(t *testing.T, pickle []byte) { fuzzed(t, pack(t, pickle, storages...)) })
}

// Newer versions of PyTorch save storages of bytes, and the type with the tensor.
func TestUntypedStorage(t *testing.T) {
	pickle := func(dtype string) []byte {
		return only("ctorch._utils\n_rebuild_tensor_v3\n((" + word("storage") + "ctorch.storage\nUntypedStorage\n" +
			word("0") +
			word("cpu") + int4(8) + "tQ" + int4(1) + ints(1) + ints(1) + "\x89}ctorch\n" + dtype + "\ntR")
	}
	eight := member{"x/data/0", []byte("\x00\x00\x00\x00\x00\x00\xc0\x3f")}
	f, err := read(pack(t, pickle("float32"), eight))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := f.Tensors[0].Float32s(); err != nil || len(v) != 1 || v[0] != 1.5 {
		t.Errorf("read %v, %v", v, err)
	}
	for _, c := range []struct {
		dtype string
		data  string
		want  float32
	}{
		{"float8_e4m3fn", "\x00\xb4", -0.75}, {"float8_e5m2", "\x00\xc1", -2.5}, {"float8_e4m3fnuz", "\x00\x3c", 0.75},
		{"float8_e5m2fnuz", "\x00\x45", 2.5}, {"float8_e8m0fnu", "\x00\x7e", 0.5},
	} {
		f, err := read(pack(t, pickle(c.dtype), member{"x/data/0", []byte(c.data + "\x00\x00\x00\x00\x00\x00")}))
		if err != nil {
			t.Errorf("%s: %v", c.dtype, err)
			continue
		}
		if v, err := f.Tensors[0].Float32s(); err != nil || len(v) != 1 || v[0] != c.want {
			t.Errorf("%s: read %v, %v; want %v", c.dtype, v, err, c.want)
		}
	}
	for _, dtype := range []string{"uint16", "uint32", "uint64"} {
		f, err := read(pack(t, pickle(dtype), member{"x/data/0", bytes.Repeat([]byte{0xff}, 8)}))
		if dtype == "uint64" {
			checkFormat(t, "element 1 of one of 8 bytes", err, []string{`"w"`, "storage"})
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", dtype, err)
			continue
		}
		if v, err := f.Tensors[0].Int64(); err != nil ||
			v != map[string]int64{"uint16": 1<<16 - 1, "uint32": 1<<32 - 1}[dtype] {
			t.Errorf("%s: read %v, %v", dtype, v, err)
		}
	}
	for _, dtype := range []string{"float4_e2m1fn_x2", "float3"} {
		_, err = read(pack(t, pickle(dtype), eight))
		checkFormat(t, "a type of no weights", err, []string{`"w"`, dtype, ".float()"})
	}
}
