package train

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"

	"ninvk/tensorboard"
)

// The records of metrics.jsonl. A field is declared here alone: json is its key in the lines, and wherever else JSON
// tells of it (the keys are a promise), event its tag in TensorBoard's files, column its place in the table of epochs
// (see Columns). NaN stands for what was not measured: it is null in the lines, or left out where the tag says
// omitzero.

// RunInfo is the first line of metrics.jsonl: what is trained, on what.
type RunInfo struct {
	Version    string `json:"version"`    // of ninvk
	Model      string `json:"model"`      // such as "nin-bn"
	Parameters int    `json:"parameters"` // number of learned values
	Recipe     string `json:"recipe"`
	Adapter    string `json:"adapter"`
	Driver     string `json:"driver"`
	DataSet    string `json:"data_set"`    // a folder, or "sample"
	DataSHA256 string `json:"data_sha256"` // of the training records, in hexadecimal
	Classes    int    `json:"classes,omitempty"`

	Variants map[string]string `json:"variants,omitempty"` // of the kernels used, by pass and shape
}

// StepRecord is one step of training.
type StepRecord struct {
	Epoch           int     `json:"epoch"`                   // from 1
	Step            int     `json:"step"`                    // from 1 through the whole run
	Loss            float64 `json:"loss" event:"loss/batch"` // mean over the batch, before the update
	LearningRate    float64 `json:"learning_rate" event:"training/learning_rate"`
	ImagesPerSecond float64 `json:"images_per_second" event:"training/images_per_second"`
	GradientNorm    float64 `json:"gradient_norm" event:"training/gradient_norm"` // of all gradients, before clipping
}

// EpochRecord is one epoch of training and the evaluation after it.
type EpochRecord struct {
	Epoch        int     `json:"epoch"`                                                  // from 1
	Steps        int     `json:"steps"`                                                  // in this epoch
	LearningRate float64 `json:"learning_rate" column:"1,learning rate,   rate,.6g,.2g"` // of the epoch's last step
	// Mean over the training steps.
	TrainLoss float64 `json:"train_loss" event:"loss/train" column:"2,   loss,  loss,.4f,,always"`
	// From 0 to 1, dropout off.
	TrainAccuracy   float64 `json:"train_accuracy" event:"accuracy/train" column:"3,train acc.,  train,%,,always"`
	TestLoss        float64 `json:"test_loss" event:"loss/test"`
	TestAccuracy    float64 `json:"test_accuracy" event:"accuracy/test" column:"4,test acc.,   test,%,,always"`
	Seconds         float64 `json:"seconds"`
	ImagesPerSecond float64 `json:"images_per_second" column:"6,images/s,img/s,.1f"`
	Size            int     `json:"size"` // pixels a side of the images evaluated, which is that of the last step

	// Fraction of the images whose class is among the five of the largest logits; of MostPlain classes or fewer NaN.
	TrainTop5 float64 `json:"train_top5_accuracy,omitzero" event:"accuracy/train_top5"`
	TestTop5  float64 `json:"test_top5_accuracy,omitzero" event:"accuracy/test_top5" column:"5,   top 5,  top 5,%"`

	Waited float64 `json:"waited_seconds,omitempty"` // seconds that steps waited for images to be read
}

// MostPlain is the number of classes up to which top-5 accuracy says little.
const MostPlain = 10

// RollbackRecord is a return to a checkpoint after training diverged. Steps from ToStep+1 on are done again and stand
// behind it.
type RollbackRecord struct {
	Epoch              int     `json:"epoch"` // of the step that diverged
	Step               int     `json:"step"`  // that diverged
	Loss               float64 `json:"loss"`  // of that step
	Reason             string  `json:"reason"`
	ToStep             int     `json:"to_step"`              // the checkpoint's
	LearningRateFactor float64 `json:"learning_rate_factor"` // of all steps to come, against the schedule
}

// number is a float64 that JSON can hold whatever its value: NaN and infinities are written as null, and null is read
// as NaN.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// IsZero has omitzero leave out what was not measured.
func (n number) IsZero() bool { return math.IsNaN(float64(n)) }

// lineOf is the type of a record's line: "type", and behind it the record's fields, with number for float64.
func lineOf[R any]() reflect.Type {
	fields := []reflect.StructField{{Name: "Type", Type: reflect.TypeFor[string](), Tag: `json:"type"`}}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[R]()) {
		if f.Type.Kind() == reflect.Float64 {
			f.Type = reflect.TypeFor[number]()
		}
		fields = append(fields, reflect.StructField{Name: f.Name, Type: f.Type, Tag: f.Tag})
	}
	return reflect.StructOf(fields)
}

// lines are the types of the lines by what "type" says.
var lines = map[string]reflect.Type{
	"run": lineOf[RunInfo](), "step": lineOf[StepRecord](), "epoch": lineOf[EpochRecord](),
	"rollback": lineOf[RollbackRecord](),
}

// encodeLine writes a record as a line of a kind.
func encodeLine(kind string, record any) ([]byte, error) {
	from, line := reflect.ValueOf(record), reflect.New(lines[kind]).Elem()
	line.Field(0).SetString(kind)
	for i := range from.NumField() {
		line.Field(i + 1).Set(from.Field(i).Convert(line.Field(i + 1).Type()))
	}
	return json.Marshal(line.Interface())
}

// decodeLine reads the record in a line of a kind.
func decodeLine[R any](kind string, text []byte) (record R, err error) {
	line := reflect.New(lines[kind])
	for i := range line.Elem().NumField() { // what the line lacks was not measured
		if strings.HasSuffix(lines[kind].Field(i).Tag.Get("json"), ",omitzero") {
			line.Elem().Field(i).SetFloat(math.NaN())
		}
	}
	if err := json.Unmarshal(text, line.Interface()); err != nil {
		return record, err
	}
	to := reflect.ValueOf(&record).Elem()
	for i := range to.NumField() {
		to.Field(i).Set(line.Elem().Field(i + 1).Convert(to.Field(i).Type()))
	}
	return record, nil
}

// Fields are the values by their keys, for programs in JavaScript; nil is what was not measured.
func (e EpochRecord) Fields() map[string]any {
	fields := map[string]any{}
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		fields[key] = v.Field(i).Interface()
		if f, ok := fields[key].(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			fields[key] = nil
		}
	}
	return fields
}

// scalars are what TensorBoard shows of a record.
func scalars(record any) []tensorboard.Scalar {
	var list []tensorboard.Scalar
	v := reflect.ValueOf(record)
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("event"); tag != "" {
			list = append(list, tensorboard.Scalar{Tag: tag, Value: v.Field(i).Float()})
		}
	}
	return list
}
