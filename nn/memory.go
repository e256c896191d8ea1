package nn

import (
	"fmt"
	"sync"

	"ninvk/memory"
)

// hostMemory is the memory that this process may have, which is also that of a software adapter.
var hostMemory = sync.OnceValue(memory.Least)

// What a process with a software adapter takes beside the adapter's buffers: the driver's compiler, what it keeps of
// kernels, this program's heap. Measured with Lavapipe: 365 to 415 MB while it trains and compiles all kernels, 150 to
// 220 MB while it classifies. A batch that is suggested must fit, so the first is rounded up; one that may just fit is
// not refused where little is at stake, so the second is rounded down.
const (
	besideTraining  = 448 << 20
	besideInference = 128 << 20
)

// beyondMemory says why a network of planned bytes does not fit into the host's memory, of which an adapter has
// allocated some already, or "".
func beyondMemory(host memory.Limit, allocated, planned uint64, train bool) string {
	beside := uint64(besideInference)
	if train {
		beside = besideTraining
	}
	if host.Bytes == 0 || allocated+planned+beside <= host.Bytes {
		return ""
	}
	has := fmt.Sprintf("the machine has %d MB", host.Bytes>>20)
	if host.Of != memory.Machine {
		has = fmt.Sprintf("this process may have %d MB (%s)", host.Bytes>>20, host.Of)
	}
	return fmt.Sprintf("it takes about %d MB, %d of them for what is beside the network, and %s",
		(allocated+planned+beside)>>20, (allocated+beside)>>20, has)
}
