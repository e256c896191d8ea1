package bench

import (
	"os"
	"testing"

	"ninvk/ci/slow"
)

func TestMain(m *testing.M) { os.Exit(slow.Run(m, "TestMeasures", "TestTintAcceptsEveryShader")) }
