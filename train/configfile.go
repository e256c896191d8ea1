package train

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// ConfigError says what is wrong with a configuration file.
type ConfigError struct {
	Path string
	Err  error
}

func (e *ConfigError) Error() string { return fmt.Sprintf("configuration %s: %v", e.Path, e.Err) }

func (e *ConfigError) Unwrap() error { return e.Err }

// MergeFile sets what a TOML file gives and leaves the rest of c alone. An unknown key, a value of the wrong type or
// broken TOML is an error that names the file, the line and the key; c is then unchanged.
func MergeFile(file string, c *Config) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &ConfigError{file, err}
	}
	if err := merge(text, c); err != nil {
		return &ConfigError{file, err}
	}
	return nil
}

func merge(text []byte, c *Config) error {
	// Decoded into a copy that shares no pointers, so that an error leaves c
	// as it was and the decoder does not write through another Config.
	merged := *c
	merged.MaxSteps, merged.Resize, merged.Dropout = clone(c.MaxSteps), clone(c.Resize), clone(c.Dropout)
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(merged.file())
	var unknown *toml.StrictMissingError
	var broken *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("line %d: unknown key %q; known are the names of the train command's flags, such as batch, lr or "+
			"weight-decay", line, strings.Join(first.Key(), "."))
	case errors.As(err, &broken):
		line, column := broken.Position()
		problem := strings.TrimPrefix(broken.Error(), "toml: ")
		if m := wrongType.FindStringSubmatch(problem); m != nil {
			problem = fmt.Sprintf("is a TOML %s, expected %s", m[1], kindNames[m[2]])
		}
		if key := keyAt(text, line); key != "" {
			problem = key + ": " + problem
		}
		return fmt.Errorf("line %d, column %d: %s", line, column, problem)
	case err != nil:
		return err
	}
	*c = merged
	return nil
}

// wrongType matches the library's message about a value's type, which speaks of Go's fields; kindNames says the same in
// a user's words.
var wrongType = regexp.MustCompile(`^cannot decode TOML (\S+) into struct field .* of type \*?(\w+)$`)

var kindNames = map[string]string{
	"int": "a whole number", "uint64": "a whole number", "float64": "a number", "string": "a string",
	"bool": "true or false",
}

// keyAt is the key set on a line counted from 1: the library's errors about
// values don't carry it. Empty where the line sets none.
func keyAt(text []byte, line int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	key, _, ok := strings.Cut(lines[line-1], "=")
	if !ok {
		return ""
	}
	return strings.TrimSpace(key)
}
