// Package runtime has what the bindings ask of Go's own: places in memory that the garbage collector leaves alone while the
// host writes to them or reads them, and an end.
package runtime

import (
	"runtime"
	"unsafe"
)

// Handle is a table or a scope, as the host numbers it.
type Handle struct {
	value int32
}

func MakeHandle(value int32) *Handle {
	return &Handle{value}
}

func (handle *Handle) Use() int32 {
	if handle.value == 0 {
		panic("it has been dropped")
	}
	return handle.value
}

func (handle *Handle) Set(value int32) {
	handle.value = value
}

func (handle *Handle) Take() int32 {
	value := handle.Use()
	handle.value = 0
	return value
}

func (handle *Handle) TakeOrNil() int32 {
	value := handle.value
	handle.value = 0
	return value
}

// Allocate gives memory that stays where it is until the pinner lets go.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	var place unsafe.Pointer
	if align == 8 {
		place = unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	} else {
		// Go aligns what has four bytes or more to four.
		place = unsafe.Pointer(unsafe.SliceData(make([]uint32, (size+3)/4)))
	}
	pinner.Pin(place)
	return place
}

// What the host has written, until there are pointers to it by which the collector knows that it is in use.
var written runtime.Pinner

// Unpin lets go of that: before a rule is called with what it was given, and after each call of the host's.
func Unpin() {
	written.Unpin()
}

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	place := Allocate(&written, size, align)
	if old != nil {
		copy(unsafe.Slice((*byte)(place), size), unsafe.Slice((*byte)(old), min(oldSize, size)))
	}
	return place
}

// Trap ends the instance: the event fails, and the next one has another instance. (What Go's runtime does of its own at a panic
// takes long and prints where nobody reads.)
func Trap() {
	exit(2)
}

//go:wasmimport wasi_snapshot_preview1 proc_exit
func exit(code int32)
