package train

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
)

// Flags are the settings as flags of a command line that kong reads; NewFlags makes them.
type Flags struct {
	Given any `embed:""` // a pointer to a struct with a field for each setting, nil where the flag was not given
}

// NewFlags are flags of which none is given yet.
func NewFlags() Flags { return Flags{reflect.New(flagged()).Interface()} }

// flagged has a field for each setting, with the tags of its flag.
func flagged() reflect.Type {
	var fields []reflect.StructField
	for i, s := range settings {
		pointer := reflect.TypeOf(s.field(new(Config)))
		if pointer.Elem().Kind() == reflect.Pointer {
			pointer = pointer.Elem()
		}
		help := s.help
		if d := s.standard(); !s.zero() {
			help = strings.TrimSuffix(help, ".") + "; default: " + d + "."
		}
		tag := fmt.Sprintf("name:%q help:%q", s.flag(), help)
		if p := cmp.Or(s.placeholder, strings.Join(s.choices, "|")); p != "" {
			tag += fmt.Sprintf(" placeholder:%q", p)
		}
		if s.both {
			tag += ` negatable:""`
		}
		fields = append(fields, reflect.StructField{Name: fmt.Sprint("Flag", i), Type: pointer, Tag: reflect.StructTag(tag)})
	}
	return reflect.StructOf(fields)
}

// zero says whether the setting is off, 0 or empty where nothing gives it, which goes without saying.
func (s setting) zero() bool {
	_, on := s.start.(bool)
	return s.absent == "" && (s.start == nil || on)
}

// standard is what holds where the flag is not given, as a person reads it.
func (s setting) standard() string {
	if s.absent != "" {
		return s.absent
	}
	c := defaults()
	text := fmt.Sprint(s.given(&c))
	switch text {
	case "":
		text = "none"
	case "true":
		text = "on"
	case "false":
		text = "off"
	}
	switch recipesWith()[s.name] {
	case 0:
		return text
	case len(Recipes()):
		c, _ = LoadRecipe(DefaultRecipe) // it is there
		return fmt.Sprintf("the recipe's (%s: %v)", DefaultRecipe, s.given(&c))
	}
	return text + ", or the recipe's"
}

// recipesWith is how many recipes give a setting, by its name.
var recipesWith = sync.OnceValue(func() map[string]int {
	n := map[string]int{}
	for _, name := range Recipes() {
		text, _ := RecipeText("--recipe", name) // it is there, and right
		var keys map[string]any
		_ = toml.Unmarshal([]byte(text), &keys)
		for key := range keys {
			n[key]++
		}
	}
	return n
})

// FlagText is what docs/flags.md says of a flag.
type FlagText struct {
	Text    string // Markdown
	Default string // what holds without it
}

// FlagTexts are those of the settings by the names of their flags.
func FlagTexts() map[string]FlagText {
	texts := map[string]FlagText{}
	for _, s := range settings {
		texts[s.flag()] = FlagText{strings.TrimSpace(s.help + " " + s.more), s.standard()}
	}
	return texts
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
