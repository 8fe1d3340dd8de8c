// Package types has what WIT has and Go has not, as the generated bindings name it.
package types

// Unit is nothing at all.
type Unit struct{}

// Tuple2 is two things.
type Tuple2[A, B any] struct {
	F0 A
	F1 B
}

const (
	OptionNone uint8 = iota
	OptionSome
)

// Option is something, or nothing.
type Option[T any] struct {
	tag   uint8
	value T
}

func None[T any]() Option[T] {
	return Option[T]{}
}

func Some[T any](value T) Option[T] {
	return Option[T]{OptionSome, value}
}

func (option Option[T]) Tag() uint8 {
	return option.tag
}

// Some is what it is, which is T's zero value for nothing.
func (option Option[T]) Some() T {
	return option.value
}

const (
	ResultOk uint8 = iota
	ResultErr
)

// Result is what was asked for, or why it is not there.
type Result[T, E any] struct {
	tag   uint8
	value T
	why   E
}

func Ok[T, E any](value T) Result[T, E] {
	return Result[T, E]{tag: ResultOk, value: value}
}

func Err[T, E any](why E) Result[T, E] {
	return Result[T, E]{tag: ResultErr, why: why}
}

func (result Result[T, E]) Tag() uint8 {
	return result.tag
}

func (result Result[T, E]) Ok() T {
	return result.value
}

func (result Result[T, E]) Err() E {
	return result.why
}
