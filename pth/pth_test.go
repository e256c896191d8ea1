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

	"github.com/google/go-cmp/cmp"

	"ninvk/safetensors"
)

func TestReadsWhatPyTorchSaved(t *testing.T) {
	for file, expected := range map[string]string{
		"state.pth":      "state.safetensors",
		"checkpoint.pth": "state.safetensors",
		"parameters.pth": "parameters.safetensors",
		"views.pth":      "views.safetensors",
	} {
		t.Run(file, func(t *testing.T) {
			got, err := Read(filepath.Join("testdata", file))
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
	f, err := Read(filepath.Join("testdata", "state.pth"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range f.Tensors {
		names = append(names, strings.TrimPrefix(x.Name, "classifier."))
	}
	want := []string{"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked", "3.weight", "3.bias"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRefusesWhatPyTorchSaved(t *testing.T) {
	for file, parts := range map[string][]string{
		"code.pth":      {"data.pkl", "posix.system", "nothing of it was run"},
		"module.pth":    {"torch.nn.modules.linear.Linear", "torch.save(model.state_dict(), FILE)"},
		"double.pth":    {`tensor "w"`, "torch.DoubleStorage", ".float()"},
		"half.pth":      {`tensor "w"`, "torch.HalfStorage", ".float()"},
		"protocol4.pth": {"protocol 2"},
		"legacy.pth":    {"before 1.6", "torch.save it again"},
		"script.pth":    {"TorchScript", "state_dict"},
		"expanded.pth":  {`tensor "w"`, "more elements than its storage", ".contiguous()"},
		"list.pth":      {"a list", "state_dict"},
	} {
		path := filepath.Join("testdata", file)
		_, err := Read(path)
		checkFormat(t, file, err, append(parts, path))
	}
	if _, err := os.Stat("code-was-run"); err == nil {
		t.Error("code of a checkpoint was run")
	}
	if _, err := Read("nowhere.pth"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
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
func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}
func number(v int32) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }
func numbers(v ...int32) string {
	s := "("
	for _, x := range v {
		s += number(x)
	}
	return s + "t"
}

// huge is 2⁶³−1.
const huge = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"

// view is a tensor that looks at storage 0.
func view(class string, count, offset, size, stride string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + class + "\n" + text("0") + text("cpu") + count + "tQ" + offset + size + stride + "\x89}tR"
}

// only is the pickle of a dictionary with the one entry "w".
func only(value string) []byte { return []byte("\x80\x02}" + text("w") + value + "s.") }

func float(offset int32, size, stride []int32) []byte {
	return only(view("FloatStorage", number(6), number(offset), numbers(size...), numbers(stride...)))
}

func TestRefuses(t *testing.T) {
	six := member{"x/data/0", make([]byte, 24)}
	good := float(0, []int32{6}, []int32{1})
	if _, err := Decode(pack(t, good, six)); err != nil {
		t.Fatal("the good one, of which the others are variants: ", err)
	}
	whole := pack(t, good, six)
	damaged := bytes.Clone(whole)
	damaged[bytes.Index(damaged, []byte("x/data/0"))+8+5] ^= 1 // within the storage
	manyTimes := "\x80\x02}"                                   // 30 MB a time
	for i := range 40 {
		manyTimes += text(strings.Repeat("w", i+1)) + view("FloatStorage", number(7_500_000), number(0), numbers(7_500_000), numbers(1)) + "s"
	}
	for _, c := range []struct {
		name  string
		file  []byte
		parts []string
	}{
		{"empty", nil, []string{"not a zip archive"}},
		{"safetensors", []byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"), []string{"not a zip archive", "no import"}},
		{"truncated", whole[:len(whole)/2], []string{"damaged", "truncated"}},
		{"flipped bit", damaged, []string{"data/0", "CRC-32", "damaged"}},
		{"no pickle", zipped(t, zip.Store, six), []string{"no data.pkl"}},
		{"two pickles", zipped(t, zip.Store, member{"x/data.pkl", good}, member{"y/data.pkl", good}), []string{"two files data.pkl"}},
		{"two storages", pack(t, good, six, six), []string{"two files x/data/0"}},
		{"compressed", zipped(t, zip.Deflate, member{"x/data.pkl", good}, six), []string{"data.pkl", "compressed"}},
		{"big-endian", pack(t, good, six, member{"x/byteorder", []byte("big")}), []string{`"big"`, "little"}},
		{"missing storage", pack(t, good), []string{"data/0", "missing"}},
		{"short storage", pack(t, good, member{"x/data/0", make([]byte, 20)}), []string{`"w"`, "6 elements of 4 bytes", "20 bytes"}},
		{"odd storage", pack(t, good, member{"x/data/0", make([]byte, 27)}), []string{`"w"`, "27 bytes"}},
		{"beyond its storage", pack(t, float(1, []int32{6}, []int32{1}), six), []string{`"w"`, "leaves its storage"}},
		{"stride beyond", pack(t, float(0, []int32{2, 2}, []int32{4, 2}), six), []string{"leaves its storage"}},
		{"offset beyond", pack(t, float(6, nil, nil), six), []string{"leaves its storage"}},
		{"huge offset", pack(t, only(view("FloatStorage", number(6), huge, numbers(2), numbers(1))), six), []string{"leaves its storage"}},
		{"huge stride", pack(t, only(view("FloatStorage", number(6), number(0), numbers(2), huge+"\x85")), six), []string{"leaves its storage"}},
		{"huge size", pack(t, only(view("FloatStorage", number(6), number(0), huge+"\x85", numbers(1))), six), []string{"too large"}},
		{"huge beside nothing", pack(t, only(view("FloatStorage", number(6), number(0), number(0)+huge+"\x86", numbers(1, 1))), six), []string{"too large"}},
		{"huge product", pack(t, float(0, []int32{1 << 16, 1 << 16, 1 << 16, 1 << 16}, []int32{1, 1, 1, 1}), six), []string{"too large"}},
		{"larger than its storage", pack(t, float(0, []int32{7}, []int32{0}), six), []string{"more elements than its storage"}},
		{"together too large", pack(t, []byte(manyTimes+"."), member{"x/data/0", make([]byte, 30_000_000)}), []string{"1073741824 bytes"}},
		{"negative size", pack(t, float(0, []int32{-6}, []int32{1}), six), []string{"whole number from 0"}},
		{"negative stride", pack(t, float(5, []int32{6}, []int32{-1}), six), []string{"whole number from 0"}},
		{"negative offset", pack(t, float(-1, []int32{1}, []int32{1}), six), []string{"can't be followed"}},
		{"more strides than dimensions", pack(t, float(0, []int32{6}, []int32{1, 1}), six), []string{"1 dimensions and 2 strides"}},
		{"too many dimensions", pack(t, float(0, make([]int32, 65), make([]int32, 65)), six), []string{"at most 64"}},
		{"unknown storage", pack(t, only(view("FloatingStorage", number(6), number(0), numbers(6), numbers(1))), six), []string{"torch.FloatingStorage"}},
		{"not a tensor", pack(t, only("N")), []string{`"w"`, "None", `"state_dict"`}},
		{"state_dict is a list", pack(t, []byte("\x80\x02}"+text("state_dict")+"]s.")), []string{`"state_dict"`, "a list"}},
		{"key is a number", pack(t, []byte("\x80\x02}K\x01Ns.")), []string{"an int", "names of tensors"}},
		{"a name twice", pack(t, []byte("\x80\x02}"+strings.Repeat(text("w")+view("FloatStorage", number(6), number(0), numbers(6), numbers(1))+"s", 2)+"."), six), []string{"two tensors", `"w"`}},
		{"no pickle in it", pack(t, []byte("hello")), []string{"protocol 2"}},
		{"pickle cut off", pack(t, good[:len(good)-10], six), []string{"ends too early"}},
		{"something after the end", pack(t, append(bytes.Clone(good), '.'), six), []string{"1 bytes left"}},
		{"two values at the end", pack(t, []byte("\x80\x02NN.")), []string{"2 values"}},
		{"nothing at the end", pack(t, []byte("\x80\x02.")), []string{"0 values"}},
		{"unknown instruction", pack(t, []byte("\x80\x02N0.")), []string{"byte 3", "0x30"}},
		{"builds an object", pack(t, []byte("\x80\x02cos\nsystem\n"+text("ls")+"\x85R.")), []string{"byte 2", "os.system"}},
		{"old instance", pack(t, []byte("\x80\x02("+text("ls")+"ios\nsystem\n.")), []string{"0x69"}},
		{"empty stack", pack(t, []byte("\x80\x02R.")), []string{"nothing to work on"}},
		{"mark for a value", pack(t, []byte("\x80\x02}((s.")), []string{"a mark"}},
		{"no mark", pack(t, []byte("\x80\x02}u.")), []string{"mark is missing"}},
		{"items of a number", pack(t, []byte("\x80\x02K\x01NNs.")), []string{"an int"}},
		{"key without value", pack(t, []byte("\x80\x02}(Nu.")), []string{"no value"}},
		{"unknown memo", pack(t, []byte("\x80\x02h\x05.")), []string{"value 5"}},
		{"string longer than the pickle", pack(t, []byte("\x80\x02X\xff\xff\xff\xffa.")), []string{"4294967295 bytes"}},
		{"string not UTF-8", pack(t, []byte("\x80\x02"+text("\xff")+".")), []string{"UTF-8"}},
		{"long integer", pack(t, []byte("\x80\x02\x8a\x09123456789.")), []string{"9 bytes"}},
		{"name without end", pack(t, []byte("\x80\x02ctorch")), []string{"no end"}},
		{"foreign reference", pack(t, []byte("\x80\x02"+text("file:///etc/passwd")+"Q.")), []string{"not to a storage"}},
		{"called with too few", pack(t, []byte("\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.")), []string{"_rebuild_tensor_v2", "0 arguments"}},
		{"calls a value", pack(t, []byte("\x80\x02))R.")), []string{"a tuple"}},
		{"dictionary in itself", pack(t, []byte("\x80\x02}q\x00"+text("state_dict")+"h\x00s.")), []string{"a dict"}},
		{"pickle too large", pack(t, append([]byte("\x80\x02"), bytes.Repeat([]byte("N"), maxPickle)...)), []string{"at most"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode(c.file)
			checkFormat(t, c.name, err, c.parts)
		})
	}
}

// An archive may list the same bytes many times: it would take long to look at all of them.
func TestRefusesOverlap(t *testing.T) {
	one := view("FloatStorage", number(1000), number(0), numbers(1000), numbers(1))
	pickle := "\x80\x02}" + text("a") + one + "s" + text("b") + strings.Replace(one, text("0"), text("1"), 1) + "s."
	b := pack(t, []byte(pickle), member{"x/data/0", make([]byte, 4000)}, member{"x/data/1", nil})
	// The directory says of data/1 what it says of data/0: sum, sizes and place.
	from, to := bytes.LastIndex(b, []byte("x/data/0"))-46, bytes.LastIndex(b, []byte("x/data/1"))-46
	copy(b[to+16:to+28], b[from+16:from+28])
	copy(b[to+42:to+46], b[from+42:from+46])
	if _, err := Decode(b); err != nil {
		checkFormat(t, "overlap", err, []string{"data/1", "overlaps"})
		return
	}
	t.Error("two files of the archive share their bytes, and it was accepted")
}

// accepted checks what holds for everything that is read.
func accepted(t *testing.T, f *safetensors.File) {
	b, err := safetensors.Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	again, err := safetensors.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(f.Tensors, func(a, b safetensors.Tensor) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(f, again); diff != "" {
		t.Fatal(diff)
	}
}

// FuzzDecode feeds whole files to the reader, and FuzzPickle pickles in a sound archive, since a mutated one rarely has the right checksum:
// a refusal is a *FormatError, and what is accepted can be written.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.pth")
	if err != nil || len(files) == 0 {
		f.Fatal("no checkpoints: ", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Decode(b)
		if err != nil {
			checkFormat(t, "fuzz", err, nil)
			return
		}
		accepted(t, file)
	})
}

func FuzzPickle(f *testing.F) {
	for _, name := range []string{"state.pth", "checkpoint.pth", "parameters.pth", "views.pth", "code.pth", "module.pth"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		a, err := open(b)
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
	f.Fuzz(func(t *testing.T, pickle []byte) {
		file, err := Decode(pack(t, pickle, storages...))
		if err != nil {
			checkFormat(t, "fuzz", err, nil)
			return
		}
		accepted(t, file)
	})
}
