package train

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Flags are the settings as flags of a command line that kong reads; NewFlags makes them.
type Flags struct {
	Given any `embed:""` // a pointer to a struct with a field for each setting, nil where the flag was not given
}

// NewFlags are flags of which none is given yet.
func NewFlags() Flags { return Flags{reflect.New(flagged).Interface()} }

// flagged has a field for each setting, with the tags of its flag.
var flagged = func() reflect.Type {
	var fields []reflect.StructField
	config := reflect.TypeFor[Config]()
	for _, s := range settings {
		i := slices.IndexFunc(reflect.VisibleFields(config), func(f reflect.StructField) bool {
			return settingOf[f.Name].name == s.name
		})
		f := config.Field(i)
		if f.Type.Kind() != reflect.Pointer {
			f.Type = reflect.PointerTo(f.Type)
		}
		tag := fmt.Sprintf("name:%q help:%q", s.flag(), s.flagHelp())
		if p := cmp.Or(s.placeholder, strings.Join(s.choices, "|")); p != "" {
			tag += fmt.Sprintf(" placeholder:%q", p)
		}
		if s.both {
			tag += ` negatable:""`
		}
		fields = append(fields, reflect.StructField{Name: f.Name, Type: f.Type, Tag: reflect.StructTag(tag)})
	}
	return reflect.StructOf(fields)
}()

// flagHelp is the help text with what holds where the flag is not given, if that does not depend on the recipe.
func (s setting) flagHelp() string {
	absent := s.absent
	if v := reflect.ValueOf(s.start); absent == "" && v.IsValid() && v.Kind() != reflect.Bool {
		absent = fmt.Sprint(s.start)
	}
	if absent == "" {
		return s.help
	}
	return fmt.Sprintf("%s; default: %s.", strings.TrimSuffix(s.help, "."), absent)
}

// Set sets what is given.
func (f Flags) Set(c *Config) {
	given := reflect.ValueOf(f.Given).Elem()
	for i, s := range settings {
		flag, to := given.Field(i), reflect.ValueOf(s.field(c)).Elem()
		switch {
		case flag.IsNil():
		case to.Kind() == reflect.Pointer:
			to.Set(flag)
		case s.off:
			to.SetBool(!flag.Elem().Bool())
		default:
			to.Set(flag.Elem())
		}
	}
}

// Forget makes a flag one that was not given.
func (f Flags) Forget(name string) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
	reflect.ValueOf(f.Given).Elem().Field(i).SetZero()
}

// Config is what flags, a configuration file (an empty name: none) and the recipe come to, in that order.
func (f Flags) Config(file string) (Config, error) {
	var given Config
	f.Set(&given)
	c, err := LoadConfig(given.Recipe, file, given.Model)
	if err != nil {
		return c, err
	}
	f.Set(&c)
	c.Recipe = cmp.Or(given.Recipe, c.Recipe)
	c.Resolve()
	return c, c.Validate()
}

// Resumed is the saved run's settings with what flags and a configuration file say about them, which must be what they
// may say.
func (f Flags) Resumed(s *Saved, file string) (Config, error) {
	var given Config
	f.Set(&given)
	if given.Out != "" && filepath.Clean(given.Out) != s.Dir {
		return given, &UsageError{"--out", given.Out, "a resumed run stays in its folder, " + s.Dir}
	}
	c := s.Config
	if file != "" {
		if err := MergeFile(file, &c); err != nil {
			return c, err
		}
	}
	f.Set(&c)
	c.Out = s.Dir
	c.Resolve()
	if err := c.Validate(); err != nil {
		return c, err
	}
	return c, s.Check(c)
}
