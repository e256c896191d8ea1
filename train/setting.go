package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// setting is a row of the table of settings, which has all that is to be said of one: flags, files, checks, what a
// resumed run may change, help and docs/flags.md are made of it.
type setting struct {
	name  string              // of the flag, and the key in TOML files; keys in JSON have _ for -
	field func(c *Config) any // a pointer to it
	start any                 // its value where no recipe, file or flag gives one; nil: zero
	off   bool                // the flag is --no-NAME, and turns it off
	both  bool                // --no-NAME is a flag too
	fixed bool                // a resumed run has it as it was begun with
	own   bool                // each process of a group may have its own

	choices []string              // all values that there are; nil: see check
	check   func(c *Config) error // what is wrong with the value

	placeholder string // of the value in --help; "": the choices, else the name
	help        string // a sentence, for --help and config.toml
	absent      string // what holds without it, where start doesn't tell
	more        string // further sentences, for docs/flags.md
}

// flag is the setting's on the command line.
func (s setting) flag() string {
	if s.off {
		return "no-" + s.name
	}
	return s.name
}

// problem is what is wrong with the value in c, as a *UsageError.
func (s setting) problem(c *Config) error {
	err := s.wrong(c)
	if err == nil || errors.As(err, new(*UsageError)) {
		return err
	}
	shown := ""
	switch v := s.value(c).(type) {
	case bool: // the flag says it
	case string:
		shown = strconv.Quote(v)
	default:
		shown = fmt.Sprint(v)
	}
	return &UsageError{"--" + s.flag(), shown, err.Error()}
}

func (s setting) wrong(c *Config) error {
	if v, ok := s.value(c).(string); ok && s.choices != nil && !slices.Contains(s.choices, v) {
		last := len(s.choices) - 1
		return fmt.Errorf("must be %s or %s", strings.Join(s.choices[:last], ", "), s.choices[last])
	}
	if s.check == nil {
		return nil
	}
	return s.check(c)
}

// value is that in c, nil where it is a pointer to nothing.
func (s setting) value(c *Config) any {
	v := reflect.ValueOf(s.field(c)).Elem()
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	return v.Interface()
}

// given is the value in c as the flag has it.
func (s setting) given(c *Config) any {
	if on, ok := s.value(c).(bool); ok && s.off {
		return !on
	}
	return s.value(c)
}

// settingOf finds the row of each field of Config.
var settingOf = func() map[string]setting {
	var c Config
	v := reflect.ValueOf(&c).Elem()
	rows := map[string]setting{}
	for _, s := range settings {
		for i := range v.NumField() {
			if v.Field(i).Addr().Interface() == s.field(&c) {
				rows[v.Type().Field(i).Name] = s
			}
		}
	}
	return rows
}()

// structOf is Config, its fields with tags that are made of their settings, in the order of Config.
func structOf(field func(f reflect.StructField, s setting) reflect.StructField) reflect.Type {
	var fields []reflect.StructField
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		fields = append(fields, field(reflect.StructField{Name: f.Name, Type: f.Type}, settingOf[f.Name]))
	}
	return reflect.StructOf(fields)
}

// filed is Config with the keys that its fields have in TOML and JSON.
var filed = structOf(func(f reflect.StructField, s setting) reflect.StructField {
	key := strings.ReplaceAll(s.name, "-", "_")
	if f.Type.Kind() == reflect.Pointer {
		key += ",omitempty"
	}
	comment := strings.TrimSuffix(s.help, ".")
	if s.off {
		comment = "false: " + strings.ToLower(comment[:1]) + comment[1:]
	}
	f.Tag = reflect.StructTag(fmt.Sprintf("toml:%q json:%q comment:%q", s.name, key, comment))
	return f
})

// file is a pointer to the same settings that encoders and decoders of files take.
func (c *Config) file() any {
	return reflect.ValueOf(c).Convert(reflect.PointerTo(filed)).Interface()
}

// MarshalJSON implements json.Marshaler.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.file()) }

// UnmarshalJSON implements json.Unmarshaler. What a file of before a setting does not have is as nothing else gives it.
func (c *Config) UnmarshalJSON(b []byte) error {
	*c = defaults()
	return json.Unmarshal(b, c.file())
}

// defaults are the settings that no recipe gives.
func defaults() Config {
	var c Config
	for _, s := range settings {
		if s.start != nil {
			reflect.ValueOf(s.field(&c)).Elem().Set(reflect.ValueOf(s.start))
		}
	}
	return c
}

// Validate checks every setting that can be judged without the data, the model or the adapter. The error is a
// *UsageError.
func (c Config) Validate() error {
	for _, s := range settings {
		if err := s.problem(&c); err != nil {
			return err
		}
	}
	return nil
}

// must is what is wrong where something isn't so.
func must(so bool, problem string) error {
	if so {
		return nil
	}
	return errors.New(problem)
}

func atLeastOne(v int) error { return must(v >= 1, "must be at least 1") }

// fraction is written so that NaN, for which every comparison is false, is refused; as all checks of numbers are.
func fraction(v float64) error { return must(v >= 0 && v < 1, "must be at least 0 and below 1") }

func finite(v float64, problem string) error { return must(v >= 0 && !math.IsInf(v, 0), problem) }
