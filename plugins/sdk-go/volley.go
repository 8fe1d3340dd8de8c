// Package volley is what a rule for a Volley server is written with.
//
// A rule is asked one event at a time and answers with the complete list: who gets what. The host does the sending. Main has
// two functions, of which the second is never called:
//
//	func init() {
//		volley.Export(volley.Rule{Name: "topic", Version: "0.1.0", Route: route})
//	}
//
//	func main() {}
//
//	func route(event *volley.Event) (volley.Answer, error) {
//		if event.Kind != volley.Publish {
//			return volley.Nothing(), nil
//		}
//		return volley.Forward(event.Subscribers()), nil
//	}
//
// There are no files, no network, no clock and no chance but what the host gives: [Now], [Rand], [SendAfter] and [Log]. To
// package time it is always 1970, who sleeps fails the event, and what a rule writes to os.Stderr goes nowhere. What is to
// outlive the instance, and what instances share, belongs in a [Table] or a [Scope], which Init opens.
//
// Goroutines may compute. Only the one that Route and Init are called on may call the host, which is nearly everything here
// that is a function: another's call may trap.
package volley

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"volley/internal/contract/export_volley_router_handler"
	"volley/internal/contract/volley_router_handler"
	contract "volley/internal/contract/volley_router_types"
	_ "volley/internal/contract/wit_exports"
	wasm "volley/internal/wit/runtime"
	wit "volley/internal/wit/types"
)

// Rule says who gets what.
type Rule struct {
	// Name is the rule's own; Version its release, such as 0.2.0; Description what it does, in a line.
	Name, Version, Description string
	// Init is called once an instance, before any event, with the route's config as JSON. It opens tables and scopes and
	// writes nothing. An error refuses the config, in words for the operator. May be nil.
	Init func(config string) error
	// Route answers one event. What [Refused] and [Invalid] return is told the client; any other error, and a panic, fails
	// the event: the client gets a 502, and the log says why.
	Route func(event *Event) (Answer, error)
}

// Export makes it the rule of this component. Call it from an init function of package main.
func Export(rule Rule) {
	export_volley_router_handler.Info = func() volley_router_handler.PluginInfo {
		if rule.Route == nil {
			fail("the rule has no Route")
		}
		return volley_router_handler.PluginInfo{Name: rule.Name, Version: rule.Version, Description: rule.Description}
	}
	export_volley_router_handler.Init = rule.init
	export_volley_router_handler.Route = rule.route
}

func (rule *Rule) init(config string) wit.Result[wit.Unit, string] {
	defer failOnPanic()
	if rule.Init != nil {
		if err := rule.Init(config); err != nil {
			return wit.Err[wit.Unit](utf8(err.Error()))
		}
	}
	return wit.Ok[wit.Unit, string](wit.Unit{})
}

func (rule *Rule) route(event contract.Event) wit.Result[contract.Outcome, contract.Refusal] {
	defer failOnPanic()
	answer, err := rule.Route(eventOf(&event))
	if err == nil {
		return wit.Ok[contract.Outcome, contract.Refusal](answer.outcome)
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		fail(err)
	}
	if refusal.Invalid {
		return wit.Err[contract.Outcome](contract.MakeRefusalInvalid(utf8(refusal.Words)))
	}
	return wit.Err[contract.Outcome](contract.MakeRefusalRefused(utf8(refusal.Words)))
}

func failOnPanic() {
	if why := recover(); why != nil {
		fail(fmt.Sprintf("%v%s", why, where()))
	}
}

// The log has the words.
func fail(why any) {
	Log(Error, fmt.Sprint(why))
	wasm.Trap()
}

// Where the rule was when it panicked: its frames are still there.
func where() string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "main.") {
			return fmt.Sprintf(" (%s:%d)", path.Base(frame.File), frame.Line)
		}
		if !more {
			return ""
		}
	}
}

// Refusal is an error that is told the client, of a publish or a join. Nothing is delivered.
type Refusal struct {
	// Invalid: what was sent is not understood (400); otherwise it is not allowed (403).
	Invalid bool
	Words   string
}

func (refusal *Refusal) Error() string {
	return refusal.Words
}

// Refused is for what is not allowed: a 403 with these words.
func Refused(words string) error {
	return &Refusal{Words: words}
}

// Invalid is for what is not understood: a 400 with these words.
func Invalid(words string) error {
	return &Refusal{Invalid: true, Words: words}
}
