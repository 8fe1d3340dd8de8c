package volley

import (
	"errors"
	"fmt"
	"strings"
	"time"

	erlang "volley/internal/contract/volley_router_erlang"
	logger "volley/internal/contract/volley_router_logger"
	contract "volley/internal/contract/volley_router_types"
	wasm "volley/internal/wit/runtime"
	wit "volley/internal/wit/types"
)

// Why the host did not do what a rule asked.
type hostError struct {
	why contract.Error
}

// Error says it in words.
func (err hostError) Error() string {
	switch err.why.Tag() {
	case contract.ErrorBadarg:
		return "badarg: " + err.why.Badarg()
	case contract.ErrorNotOwner:
		return "the table belongs to another plugin"
	case contract.ErrorSystemLimit:
		return "system limit: " + err.why.SystemLimit()
	default:
		return "the table can't be reached"
	}
}

// Which of the reasons it is.
func is(err error, tag uint8) bool {
	var why hostError
	return errors.As(err, &why) && why.why.Tag() == tag
}

// IsLimit says whether a named bound was reached.
func IsLimit(err error) bool { return is(err, contract.ErrorSystemLimit) }

// IsBadArgument says whether an argument made no sense.
func IsBadArgument(err error) bool { return is(err, contract.ErrorBadarg) }

// IsNotOwner says whether the table belongs to another plugin.
func IsNotOwner(err error) bool { return is(err, contract.ErrorNotOwner) }

// IsUnavailable says whether a replicated table could not be reached in time.
func IsUnavailable(err error) bool { return is(err, contract.ErrorUnavailable) }

// What a call of the host's came to.
func done[T any](result wit.Result[T, contract.Error]) (T, error) {
	wasm.Unpin()
	if result.Tag() == wit.ResultErr {
		var nothing T
		return nothing, hostError{result.Err()}
	}
	return result.Ok(), nil
}

// Now is the server's time.
func Now() time.Time {
	return time.UnixMilli(int64(erlang.SystemTimeMs())).UTC()
}

// Monotonic is a clock that is never set: only what lies between two readings means anything.
func Monotonic() time.Duration {
	return time.Duration(erlang.MonotonicTimeUs()) * time.Microsecond
}

// Rand is a random number. (What math/rand gives is the same in every instance.)
func Rand() uint64 {
	return given(erlang.Rand(1))[0]
}

// What a call of the host's gave that can't fail.
func given[T any](value T) T {
	wasm.Unpin()
	return value
}

// Timer is one that has been set. It may be kept in a table, as a number.
type Timer uint64

// SendAfter sets a timer, of at least 10 ms and at most a year: an event of kind [Timed] on a topic of this plugin, with v as its data.
func SendAfter(delay time.Duration, topic string, v any) (Timer, error) {
	payload, err := payloadOf(v)
	if err != nil {
		return 0, err
	}
	timer, err := done(erlang.SendAfter(milliseconds(delay), topic, payload.lower()))
	return Timer(timer), err
}

// Cancel says whether it was still to fire.
func (timer Timer) Cancel() bool {
	return erlang.CancelTimer(uint64(timer))
}

// Level is how much a line of the log matters.
type Level uint8

const (
	Error   = Level(logger.LevelError)
	Warning = Level(logger.LevelWarning)
	Info    = Level(logger.LevelInfo)
	Debug   = Level(logger.LevelDebug)
)

// Log writes one line to the server's log, tagged with the plugin, its version and the event. Long ones are cut.
func Log(level Level, message string) {
	logger.Log(uint8(level), utf8(message))
}

// The host takes nothing else for words.
func utf8(words string) string {
	return strings.ToValidUTF8(words, "\ufffd")
}

// Rounded up, so that little is not nothing; what is over already is.
func milliseconds(wait time.Duration) uint64 {
	return uint64((max(wait, 0) + time.Millisecond - 1) / time.Millisecond)
}

// Logf formats it, as [fmt.Sprintf] does.
func Logf(level Level, format string, values ...any) {
	Log(level, fmt.Sprintf(format, values...))
}
