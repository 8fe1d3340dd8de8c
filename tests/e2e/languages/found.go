// What was found wrong with the SDK for Go, each a publish of its name.
package main

import (
	"bytes"
	"fmt"
	"strings"

	"volley"
)

var table *volley.Table

func init() {
	volley.Export(volley.Rule{Name: "found", Version: "0.1.0", Init: open, Route: route})
}

func main() {}

func open(string) (err error) {
	table, err = volley.OpenTable("values", volley.TableOptions{})
	return err
}

func route(event *volley.Event) (volley.Answer, error) {
	words, _ := event.Data.Text()
	all := event.Subscribers()
	switch words {
	case "many": // What the host had written stayed until the next event.
		value := strings.Repeat("v", 10_000)
		for n := range 100 {
			if err := table.Put(fmt.Sprint(n), value); err != nil {
				return volley.Nothing(), err
			}
		}
		for n := range 20_000 {
			if got, _, err := table.Get(fmt.Sprint(n % 100)); err != nil || got != value {
				return volley.Nothing(), volley.Invalid("another value")
			}
		}
		return volley.Send(all, "many"), nil
	case "within": // A payload was {} within something else, and nothing at all in place of null.
		parts := map[string]any{"text": event.Data, "json": volley.JSON([]byte("[1]")), "null": volley.Payload{}}
		return volley.Send(all, parts).Send(all, volley.Payload{}), nil
	case "nobody": // Nobody was no operand.
		var some volley.Recipients
		return volley.Send(some.Or(volley.Only(event.Sender)).But(some), "you"), nil
	case "buffer": // What was used again was sent again.
		var answer volley.Answer
		var text bytes.Buffer
		for n := range 2 {
			text.Reset()
			fmt.Fprint(&text, n)
			answer = answer.Send(all, volley.JSON(text.Bytes()))
		}
		return answer, nil
	case "println": // It had died of it.
		println("to nobody")
		volley.Log(volley.Info, "not \xff UTF-8")
		return volley.Send(all, volley.Text("not \xff UTF-8")), nil
	default:
		_, err := volley.OpenTable("no/name", volley.TableOptions{})
		return volley.Send(all, volley.IsBadArgument(fmt.Errorf("wrapped: %w", err))), nil
	}
}
