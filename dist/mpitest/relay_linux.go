package mpitest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// relayVariable makes a test that imports this package the program that machines.sh calls RELAY.
const relayVariable = "NINVK_TEST_RELAY"

func init() {
	if os.Getenv(relayVariable) == "" {
		return
	}
	fmt.Fprintln(os.Stderr, "relay:", relay(os.Args[1], os.Args[2]))
	os.Exit(1)
}

// relay carries packets from the device line of this namespace to stdout, and from stdin to the device. What goes to
// stdout goes at a rate, in Mbit/s, and comes after a delay in ms.
func relay(rate, delay string) error {
	megabits, err := strconv.ParseFloat(rate, 64)
	if err != nil {
		return err
	}
	milliseconds, err := strconv.ParseFloat(delay, 64)
	if err != nil {
		return err
	}
	line, err := openLine()
	if err != nil {
		return err
	}
	packets := make(chan packet, 1<<14)
	failed := make(chan error, 3)
	go func() { failed <- take(line, megabits, milliseconds, packets) }()
	go func() { failed <- give(packets) }()
	go func() { failed <- bring(line) }()
	return <-failed
}

// packet is one on its way, with when it is there.
type packet struct {
	due time.Time
	b   []byte
}

// take reads packets from the device.
func take(line int, megabits, milliseconds float64, packets chan<- packet) error {
	free := time.Now() // when all that was sent before is on its way
	for {
		b := make([]byte, 1<<16)
		n, err := syscall.Read(line, b)
		if err != nil {
			return err
		}
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		if megabits > 0 {
			free = free.Add(time.Duration(float64(8*n) / megabits * float64(time.Microsecond)))
		}
		packets <- packet{free.Add(time.Duration(milliseconds * float64(time.Millisecond))), b[:n]}
	}
}

// give writes packets to stdout when they are due, each behind its length.
func give(packets <-chan packet) error {
	for p := range packets {
		time.Sleep(time.Until(p.due))
		if _, err := os.Stdout.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(p.b)))); err != nil {
			return err
		}
		if _, err := os.Stdout.Write(p.b); err != nil {
			return err
		}
	}
	return nil
}

// bring writes the packets that come from stdin to the device.
func bring(line int) error {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		var n [4]byte
		if _, err := io.ReadFull(in, n[:]); err != nil {
			return err
		}
		b := make([]byte, binary.LittleEndian.Uint32(n[:]))
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		if _, err := syscall.Write(line, b); err != nil && err != syscall.EIO { // the device isn't up yet
			return err
		}
	}
}

// openLine opens the device as the driver tun has it: a read or write is a packet.
func openLine() (int, error) {
	const setInterface, tun, noInfo = 0x400454ca, 0x0001, 0x1000
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	var request [40]byte
	copy(request[:], "line")
	binary.NativeEndian.PutUint16(request[16:], tun|noInfo)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), setInterface,
		uintptr(unsafe.Pointer(&request[0]))); errno != 0 {
		return 0, errno
	}
	return fd, nil
}
