// A room with a host. Members hear of each other by name, and what one says reaches the others.
//
// Who comes in first is the room's host for good, and may silence others for ten minutes by saying `/mute NAME`.
package main

import (
	"errors"
	"strings"
	"time"

	"volley"
)

const mute = 10 * time.Minute

var (
	hosts   *volley.Table // topic -> the host's name
	mutes   *volley.Table // topic, a space, a name; gone by itself
	members *volley.Scope // a group a topic
)

func init() {
	volley.Export(volley.Rule{
		Name:        "room",
		Version:     "0.1.0",
		Description: "a room whose host may mute",
		Init:        open,
		Route:       route,
	})
}

func main() {}

func open(config string) error {
	var errs [3]error
	hosts, errs[0] = volley.OpenTable("hosts", volley.TableOptions{})
	mutes, errs[1] = volley.OpenTable("mutes", volley.TableOptions{TTL: mute})
	members, errs[2] = volley.OpenScope("members", volley.Node)
	return errors.Join(errs[:]...)
}

func route(event *volley.Event) (volley.Answer, error) {
	switch event.Kind {
	case volley.Publish:
		return say(event)
	case volley.Join:
		return join(event)
	case volley.Leave, volley.Exit:
		return left(event), nil
	default:
		return volley.Nothing(), nil
	}
}

func join(event *volley.Event) (volley.Answer, error) {
	if event.User == "" {
		return volley.Nothing(), volley.Refused("say who you are")
	}
	if _, err := hosts.InsertNew(volley.Object{Key: event.Topic, Value: event.User}); err != nil {
		return volley.Nothing(), err
	}
	if _, err := members.Join(event.Topic, event.Sender); err != nil {
		return volley.Nothing(), err
	}
	joined := map[string]any{"joined": event.User, "members": members.Count(event.Topic)}
	return volley.Send(members.Members(event.Topic), joined), nil
}

// Of an exit the host has left all groups already.
func left(event *volley.Event) volley.Answer {
	members.Leave(event.Topic, event.Sender)
	left := map[string]any{"left": event.User, "members": members.Count(event.Topic)}
	return volley.Send(members.Members(event.Topic), left)
}

func silence(event *volley.Event, name string) (volley.Answer, error) {
	host, _, err := hosts.Get(event.Topic)
	if err != nil {
		return volley.Nothing(), err
	}
	if event.User == "" || event.User != host {
		return volley.Nothing(), volley.Refused("only the host may mute")
	}
	if err := mutes.Put(event.Topic+" "+name, ""); err != nil {
		return volley.Nothing(), err
	}
	return volley.Send(members.Members(event.Topic), map[string]string{"muted": name}), nil
}

func say(event *volley.Event) (volley.Answer, error) {
	everyone := members.Members(event.Topic)
	words, _ := event.Data.Text()
	if name, is := strings.CutPrefix(words, "/mute "); is {
		return silence(event, name)
	}
	if event.User == "" { // a back-end
		return volley.Forward(everyone), nil
	}
	if _, muted, err := mutes.Get(event.Topic + " " + event.User); err != nil {
		return volley.Nothing(), err
	} else if muted {
		return volley.Nothing(), volley.Refused("you are muted")
	}
	return volley.Forward(everyone.But(volley.Only(event.Sender))), nil
}
